package web_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// call records a call that was made minutes ago, and returns its id.
func (d *dashboard) call(userID string, org store.Organization, connection uuid.UUID, minutes int, change ...func(*store.AuditEvent)) string {
	d.t.Helper()
	e := store.AuditEvent{
		ID: uuid.Must(uuid.NewV7()), OrgID: org.ID, UserID: userID, ConnectionID: connection, ClientID: "client",
		Action: "list_incidents", Outcome: store.OutcomeOK, At: now.Add(-time.Duration(minutes) * time.Minute),
		Duration: 12345 * time.Microsecond, RequestID: fmt.Sprintf("request-%d", minutes),
	}
	for _, f := range change {
		f(&e)
	}
	d.must(d.store.RecordAudit(d.t.Context(), []store.AuditEvent{e}))
	return e.ID.String()
}

func tool(action, outcome string, incident int) func(*store.AuditEvent) {
	return func(e *store.AuditEvent) { e.Action, e.Outcome, e.Incident = action, outcome, &incident }
}

// calls are the ids of the rows of the table of activity, in order.
func (p *page) calls() []string {
	return p.Find("#activity [data-call]").Map(func(_ int, row *goquery.Selection) string { return row.AttrOr("data-call", "") })
}

// cell is what a row of it says in the column with the label.
func (p *page) cell(call, label string) string {
	return words(p.Find(`[data-call="` + call + `"] [data-label="` + label + `"]`))
}

// words are the texts in s, apart from one another as they are on the page.
func words(s *goquery.Selection) string {
	texts := s.Find("*").AddSelection(s).Contents().FilterFunction(func(_ int, s *goquery.Selection) bool { return goquery.NodeName(s) == "#text" })
	return strings.Join(strings.Fields(strings.Join(texts.Map(func(_ int, s *goquery.Selection) string { return s.Text() }), " ")), " ")
}

// download returns an export as it is sent.
func (d *dashboard) download(user, target string) *httptest.ResponseRecorder {
	d.t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.AddCookie(&http.Cookie{Name: "user", Value: user})
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// requests are the request ids in an export, in order: in the fixtures each call
// of an organization has its own.
func (d *dashboard) requests(user, query string) (inCSV, inJSON []string) {
	d.t.Helper()
	w := d.download(user, "/settings/activity.csv"+query)
	if w.Code != http.StatusOK {
		d.t.Fatalf("CSV of %q: got status %d", query, w.Code)
	}
	rows, err := csv.NewReader(w.Body).ReadAll()
	d.must(err)
	for _, row := range rows[1:] {
		inCSV = append(inCSV, row[9])
	}
	lines := json.NewDecoder(d.download(user, "/settings/activity.jsonl"+query).Body)
	for lines.More() {
		var line struct {
			RequestID string `json:"request_id"`
		}
		d.must(lines.Decode(&line))
		inJSON = append(inJSON, line.RequestID)
	}
	return inCSV, inJSON
}

// logged is a log of several people, organizations, clients and outcomes.
type logged struct {
	claude, cursor, alices, carols                                       uuid.UUID
	incident                                                             *store.Incident
	read, refused, created, inDashboard, cursors, byAlice, byCarol, dead string
}

func (d *dashboard) logged() logged {
	d.t.Helper()
	l := logged{
		claude: d.connect(bob, acme), cursor: d.connect(bob, acme, named("Cursor")),
		alices: d.connect(alice, acme), carols: d.connect(carol, globex),
		incident: d.incident(store.NewIncident{OrgID: acme.ID, Title: "Payments fail"}),
	}
	l.read = d.call(bob, acme, l.claude, 1, tool("get_incident", store.OutcomeOK, 1))
	l.refused = d.call(bob, acme, l.claude, 2, tool("get_incident", "not_found", 99))
	l.created = d.call(bob, acme, l.claude, 3, tool("create_incident", store.OutcomeReplayed, 1))
	l.inDashboard = d.call(bob, acme, uuid.Nil, 4, tool("publish_draft", store.OutcomeOK, 1), func(e *store.AuditEvent) { e.ClientID = "" })
	l.cursors = d.call(bob, acme, l.cursor, 3*24*60, tool("post_incident_update", "insufficient_scope", 1))
	l.byAlice = d.call(alice, acme, l.alices, 6)
	l.byCarol = d.call(carol, globex, l.carols, 7)
	d.exec(`INSERT INTO users (id, name, email, email_verified, created_at, synced_at, deleted_at) VALUES ('user_gone', '', '', false, now(), now(), now())`)
	l.dead = d.call("user_gone", acme, uuid.Nil, 8, tool("scaling://incidents/{sequentialId}", "odd_code", 1))
	return l
}

func TestActivityIsToldInPlainWords(t *testing.T) {
	t.Parallel()
	d := open(t)
	l := d.logged()
	p := d.get(alice, "/settings/activity")
	expectStatus(t, p, http.StatusOK)
	expect(t, "navigation", p.text(`nav [aria-current="page"]:not(.tabs *)`), "Activity")
	if diff := cmp.Diff([]string{l.read, l.refused, l.created, l.inDashboard, l.byAlice, l.dead, l.cursors}, p.calls()); diff != "" {
		t.Errorf("the organization's (-want +got):\n%s", diff)
	}
	for _, row := range []struct{ call, label, says string }{
		{l.read, "When", "1 minute ago"},
		{l.read, "Person", "Bob Baker bob@example.com"},
		{l.byAlice, "Person", "Alice Archer You alice@example.com"},
		{l.dead, "Person", "Somebody whose account was deleted user_gone"},
		{l.read, "Client", "Claude"},
		{l.inDashboard, "Client", "In the dashboard"},
		{l.read, "What", "Read an incident #1 Details get_incident: ok 22 November 2026, 11:59:00 UTC Request request-1"},
		{l.refused, "What", "Tried to read an incident #99 Details get_incident: not_found 22 November 2026, 11:58:00 UTC Request request-2"},
		{l.read, "Outcome", "Done"},
		{l.refused, "Outcome", "Refused not found"},
		{l.created, "Outcome", "Done before a repeated call, answered again"},
		{l.cursors, "Outcome", "Refused no permission"},
		{l.dead, "Outcome", "Refused odd_code"},
		{l.read, "Took", "12 ms"},
	} {
		expect(t, row.label, p.cell(row.call, row.label), row.says)
	}
	if what := p.cell(l.dead, "What"); !strings.HasPrefix(what, "scaling://incidents/{sequentialId} #1") {
		t.Errorf("an action without words: got %q", what)
	}
	expect(t, "link of the incident", p.Find(`[data-call="`+l.read+`"] [data-label="What"] a`).AttrOr("href", ""), incidentPath(l.incident))
	expect(t, "link of the connection", p.Find(`[data-call="`+l.read+`"] [data-label="Client"] a`).AttrOr("href", ""), connectionPath(l.claude)+"?view=organization")
	if p.Find(`[data-call="`+l.refused+`"] [data-label="What"] a`).Length() > 0 {
		t.Error("a link to an incident that does not exist")
	}
}

// TestActivityIsNarrowed: by each filter and by several, on the page and in both
// exports alike.
func TestActivityIsNarrowed(t *testing.T) {
	t.Parallel()
	d := open(t)
	l := d.logged()
	for _, row := range []struct {
		query string
		want  []string
	}{
		{"", []string{l.read, l.refused, l.created, l.inDashboard, l.byAlice, l.dead, l.cursors}},
		{"?org=acme", []string{l.read, l.refused, l.created, l.inDashboard, l.byAlice, l.dead, l.cursors}},
		{"?view=mine", []string{l.byAlice}},
		{"?org=globex", nil}, // of which she is a member
		{"?person=BOB@example.com", []string{l.read, l.refused, l.created, l.inDashboard, l.cursors}},
		{"?person=user_gone", []string{l.dead}},
		{"?client=Cursor", []string{l.cursors}},
		{"?connection=" + l.claude.String(), []string{l.read, l.refused, l.created}},
		{"?connection=" + l.carols.String(), nil},
		{"?tool=get_incident", []string{l.read, l.refused}},
		{"?tool=scaling%3A%2F%2Fincidents%2F%7BsequentialId%7D", []string{l.dead}},
		{"?outcome=ok", []string{l.read, l.inDashboard, l.byAlice}},
		{"?outcome=replayed", []string{l.created}},
		{"?outcome=refused", []string{l.refused, l.dead, l.cursors}},
		{"?outcome=not_found", []string{l.refused}},
		{"?from=2026-11-20", []string{l.read, l.refused, l.created, l.inDashboard, l.byAlice, l.dead}},
		{"?to=2026-11-19", []string{l.cursors}},
		{"?from=2026-11-19&to=2026-11-19", []string{l.cursors}},
		{"?person=bob%40example.com&outcome=refused&to=2026-11-21&tool=&client=", []string{l.cursors}},
		{"?client=%27+OR+true+--", nil},
	} {
		p := d.get(alice, "/settings/activity"+row.query)
		expectStatus(t, p, http.StatusOK)
		if diff := cmp.Diff(row.want, p.calls(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", row.query, diff)
		}
		var shown []string
		p.Find("#activity details p:last-child").Each(func(_ int, s *goquery.Selection) {
			shown = append(shown, strings.TrimPrefix(strings.TrimSpace(s.Text()), "Request "))
		})
		inCSV, inJSON := d.requests(alice, row.query)
		if !slices.Equal(inCSV, shown) || !slices.Equal(inJSON, shown) {
			t.Errorf("%q: the page has %v, the CSV %v, JSON %v", row.query, shown, inCSV, inJSON)
		}
		if href, ok := p.Find(`.head a:contains("CSV")`).Attr("href"); ok {
			linked, _ := d.requests(alice, strings.TrimPrefix(href, "/settings/activity.csv"))
			if !slices.Equal(linked, shown) {
				t.Errorf("%q: its link exports %v, want %v", row.query, linked, shown)
			}
		}
	}
}

// TestAnothersActivityIsNotSeen: by a member, or by an administrator of another
// organization, whatever they ask for.
func TestAnothersActivityIsNotSeen(t *testing.T) {
	t.Parallel()
	d := open(t)
	l := d.logged()
	own := []string{l.read, l.refused, l.created, l.inDashboard, l.cursors}
	for _, query := range []string{"", "?org=acme", "?view=organization", "?view=organization&org=acme", "?person=alice%40example.com",
		"?person=user_alice&org=acme", "?view=mine&person=user_alice"} {
		p := d.get(bob, "/settings/activity"+query)
		if diff := cmp.Diff(own, p.calls()); diff != "" {
			t.Errorf("a member, %q (-want +got):\n%s", query, diff)
		}
		if inCSV, inJSON := d.requests(bob, query); len(inCSV) != len(own) || len(inJSON) != len(own) {
			t.Errorf("a member, %q: exported %v and %v", query, inCSV, inJSON)
		}
		if p.Find(`[name="person"], #people option`).Length() > 0 || strings.Contains(p.Text(), "Alice") {
			t.Errorf("a member, %q: is told of others", query)
		}
	}
	for _, query := range []string{"?connection=" + l.alices.String(), "?connection=" + l.alices.String() + "&org=acme", "?person=user_alice&connection=" + l.alices.String()} {
		if calls := d.get(bob, "/settings/activity"+query).calls(); len(calls) > 0 {
			t.Errorf("a member, %q: sees %v", query, calls)
		}
		if inCSV, inJSON := d.requests(bob, query); len(inCSV)+len(inJSON) > 0 {
			t.Errorf("a member, %q: exported %v and %v", query, inCSV, inJSON)
		}
	}
	for _, query := range []string{"?person=user_bob", "?connection=" + l.claude.String(), "?client=Cursor"} {
		if calls := d.get(carol, "/settings/activity"+query).calls(); len(calls) > 0 {
			t.Errorf("another's administrator, %q: sees %v", query, calls)
		}
	}

	// Nothing tells an organization that exists from one that does not, nor a
	// person.
	none, err := d.get(carol, "/settings/activity?org=nothing").Html()
	d.must(err)
	for _, path := range []string{"/settings/activity", "/settings/activity.csv", "/settings/activity.jsonl"} {
		p := d.get(carol, path+"?org=acme")
		expectStatus(t, p, http.StatusNotFound)
		if html, _ := p.Html(); html != none {
			t.Errorf("%s: the page of another's organization differs from that of none", path)
		}
	}
	expect(t, "another's person", d.get(carol, "/settings/activity?person=bob%40example.com").text(".wrong"), "Nobody with this address is or was in Globex.")
	expect(t, "no such person", d.get(carol, "/settings/activity?person=x%40example.com").text(".wrong"), "Nobody with this address is or was in Globex.")
}

// TestActivityAsksForTheRoleEachTime: also before an export.
func TestActivityAsksForTheRoleEachTime(t *testing.T) {
	t.Parallel()
	d := open(t)
	l := d.logged()
	paths := []string{"/settings/activity", "/settings/activity.csv", "/settings/activity.jsonl"}
	for _, path := range paths {
		before := d.asked
		d.download(alice, path+"?org=acme")
		if d.asked != before+1 {
			t.Errorf("%s: asked %d times", path, d.asked-before)
		}
	}
	d.roles[alice] = []store.Membership{{Organization: acme, Role: store.RoleMember}}
	if diff := cmp.Diff([]string{l.byAlice}, d.get(alice, "/settings/activity?org=acme").calls()); diff != "" {
		t.Errorf("who is a member now (-want +got):\n%s", diff)
	}
	if inCSV, _ := d.requests(alice, "?org=acme"); len(inCSV) != 1 {
		t.Errorf("who is a member now exports %v", inCSV)
	}
	d.roles[alice] = nil
	for _, path := range paths {
		expectStatus(t, d.get(alice, path+"?org=acme"), http.StatusNotFound)
	}
	d.clerkAway = true
	for _, path := range paths {
		for _, query := range []string{"", "?org=acme", "?view=mine"} {
			p := d.get(alice, path+query)
			expectStatus(t, p, http.StatusServiceUnavailable)
			expect(t, "heading", p.text("h1"), "Your membership cannot be checked right now")
		}
	}
}

func TestActivityFilterKeepsWhatWasWrittenAndSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.logged()
	query := "?person=Bob&client=Cursor&tool=odd%3Atool&outcome=refused&from=22.11.2026&to=2026-02-30"
	p := d.get(alice, "/settings/activity"+query)
	expectStatus(t, p, http.StatusUnprocessableEntity)
	for name, want := range map[string]string{"person": "Bob", "client": "Cursor", "from": "22.11.2026", "to": "2026-02-30"} {
		expect(t, name, p.Find(`[name="`+name+`"]`).AttrOr("value", ""), want)
	}
	expect(t, "tool", p.Find(`[name="tool"] [selected]`).AttrOr("value", ""), "odd:tool")
	expect(t, "outcome", p.Find(`[name="outcome"] [selected]`).AttrOr("value", ""), "refused")
	for name, want := range map[string]string{"person": "Write an e-mail address.", "from": "Write a day like 2026-11-25.", "to": "Write a day like 2026-11-25."} {
		control := p.Find(`[name="` + name + `"]`)
		expect(t, name+" is wrong", control.AttrOr("aria-invalid", ""), "true")
		expect(t, "why "+name+" is wrong", p.text("#"+control.AttrOr("aria-describedby", "")), want)
	}
	if _, open := p.Find("main details.card").Attr("open"); !open {
		t.Error("the filter is closed")
	}
	expectStatus(t, d.get(alice, "/settings/activity.csv"+query), http.StatusUnprocessableEntity)
	p = d.get(alice, "/settings/activity?from=2026-11-22&to=2026-11-21")
	expect(t, "days in the wrong order", p.text("#to-wrong"), "This day is before the first one.")
	for _, query := range []string{"?connection=1", "?after=x", "?after=1.x", "?after=-1." + uuid.NewString(), "?after=9999999999999999999." + uuid.NewString(), "?client=%00", "?tool=%ff"} {
		expectStatus(t, d.get(alice, "/settings/activity"+query), http.StatusNotFound)
		expectStatus(t, d.get(alice, "/settings/activity.csv"+query), http.StatusNotFound)
	}
}

// TestActivityPagesHaveEachCallOnce: also where many were made in one instant,
// and in one's own of several organizations.
func TestActivityPagesHaveEachCallOnce(t *testing.T) {
	t.Parallel()
	d := open(t)
	inAcme, inGlobex := d.connect(alice, acme), d.connect(alice, globex)
	var want int
	for minute := range 30 {
		for range 3 {
			d.call(alice, acme, inAcme, minute, tool("get_incident", "not_found", 1))
			d.call(alice, globex, inGlobex, minute, tool("get_incident", "not_found", 1))
			want += 2
		}
		d.call(alice, acme, inAcme, minute)
	}
	seen := map[string]bool{}
	target, pages := "/settings/activity?view=mine&outcome=refused", 0
	for ; target != "" && pages < 10; pages++ {
		p := d.get(alice, target)
		for _, call := range p.calls() {
			if seen[call] {
				t.Fatalf("%s is there twice", call)
			}
			seen[call] = true
		}
		if first := p.Find(`nav[aria-label="Pages"] a:contains("Newest")`); (first.Length() == 0) != (pages == 0) {
			t.Errorf("page %d: got %d links to the first", pages+1, first.Length())
		}
		target = p.Find(`nav[aria-label="Pages"] a[rel="next"]`).AttrOr("href", "")
	}
	if len(seen) != want || pages != 4 {
		t.Errorf("got %d calls on %d pages, want %d on 4", len(seen), pages, want)
	}
	if inCSV, _ := d.requests(alice, "?view=mine&outcome=refused"); len(inCSV) != want {
		t.Errorf("exported %d, want %d", len(inCSV), want)
	}
}

// TestExportHasEveryCallInEveryColumn: more than it holds in memory, in the order
// of the page.
func TestExportHasEveryCallInEveryColumn(t *testing.T) {
	t.Parallel()
	d := open(t)
	c := d.connect(bob, acme, named(`=HYPERLINK("http://evil.example","x")`))
	d.exec(`UPDATE users SET name = '@SUM(1)' || chr(10) || 'Bøb', email = '+bob@example.com' WHERE id = 'user_bob'`)
	d.call(bob, acme, c, 1, tool("create_incident", store.OutcomeOK, 7))
	d.exec(`INSERT INTO audit_events (org_id, id, at, user_id, action, outcome, duration_us)
	        SELECT 'org_acme', gen_random_uuid(), $1::timestamptz - n * interval '1 second', 'user_bob', '-' || n, CASE n WHEN 62 THEN ' ' || chr(8203) || '=1' ELSE chr(9) || 'x' END, 1 FROM generate_series(61, 2560) n`, now)

	w := d.download(alice, "/settings/activity.csv?org=acme")
	expect(t, "Content-Type", w.Header().Get("Content-Type"), "text/csv; charset=utf-8")
	expect(t, "Content-Disposition", w.Header().Get("Content-Disposition"), "attachment; filename=activity-acme-2026-11-22.csv")
	expect(t, "Cache-Control", w.Header().Get("Cache-Control"), "no-store")
	rows, err := csv.NewReader(w.Body).ReadAll()
	d.must(err)
	want := [][]string{
		{"time", "person", "email", "client", "connection", "tool", "incident", "outcome", "duration_ms", "request_id", "organization", "person_id"},
		{"2026-11-22T11:59:00Z", "'@SUM(1)\nBøb", "'+bob@example.com", `'=HYPERLINK("http://evil.example","x")`, c.String(), "create_incident", "7", "ok", "12.345", "request-1", "Acme", bob},
		{"2026-11-22T11:58:59Z", "'@SUM(1)\nBøb", "'+bob@example.com", "", "", "'-61", "", "'\tx", "0.001", "", "Acme", bob},
		{"2026-11-22T11:58:58Z", "'@SUM(1)\nBøb", "'+bob@example.com", "", "", "'-62", "", "' \u200b=1", "0.001", "", "Acme", bob},
	}
	if len(rows) != 2502 {
		t.Fatalf("got %d rows, want 2502", len(rows))
	}
	if diff := cmp.Diff(want, rows[:4]); diff != "" {
		t.Errorf("CSV (-want +got):\n%s", diff)
	}
	expect(t, "the last", rows[2501][5], "'-2560")

	w = d.download(alice, "/settings/activity.jsonl?org=acme")
	expect(t, "Content-Type", w.Header().Get("Content-Type"), "application/jsonl; charset=utf-8")
	lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
	if len(lines) != 2501 {
		t.Fatalf("got %d lines, want 2501", len(lines))
	}
	var line map[string]any
	d.must(json.Unmarshal([]byte(lines[0]), &line))
	wantLine := map[string]any{"time": "2026-11-22T11:59:00Z", "person": "@SUM(1)\nBøb", "email": "+bob@example.com", "client": `=HYPERLINK("http://evil.example","x")`,
		"connection": c.String(), "tool": "create_incident", "incident": 7., "outcome": "ok", "duration_ms": 12.345, "request_id": "request-1", "organization": "Acme", "person_id": bob}
	if diff := cmp.Diff(wantLine, line); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}

	r := httptest.NewRequest(http.MethodHead, "/settings/activity.csv?org=acme", nil)
	if p := d.do(alice, r); p.status != http.StatusOK || p.header.Get("Content-Disposition") == "" {
		t.Errorf("HEAD: got %d, %v", p.status, p.header)
	}
}

// TestBrokenExportDoesNotLookComplete: its reader is told, once the status is
// sent, by a connection that ends too early.
func TestBrokenExportDoesNotLookComplete(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.exec(`INSERT INTO audit_events (org_id, id, at, user_id, action, outcome, duration_us)
	        SELECT 'org_acme', gen_random_uuid(), $1::timestamptz - n * interval '1 second', 'user_bob', 'x', 'ok', 1 FROM generate_series(1, 50000) n`, now)
	server := httptest.NewServer(d.handler)
	t.Cleanup(server.Close)
	for _, path := range []string{"/settings/activity.csv", "/settings/activity.jsonl"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		d.must(err)
		r.AddCookie(&http.Cookie{Name: "user", Value: alice})
		answer, err := server.Client().Do(r) // the status is sent, and the buffers on the way hold but a part
		d.must(err)
		d.exec(`ALTER TABLE audit_events RENAME TO away`)
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		d.exec(`ALTER TABLE away RENAME TO audit_events`)
		if err == nil {
			t.Errorf("%s: it ended as if it were complete", path)
		}
	}
	if !strings.Contains(d.log.String(), "export broken off") {
		t.Error("it is not in the log")
	}
	// Before that, it is a page that says so.
	d.exec(`ALTER TABLE audit_events RENAME TO away`)
	expectStatus(t, d.get(alice, "/settings/activity.csv"), http.StatusInternalServerError)
}

func TestConnectionPageHasItsLatestActivity(t *testing.T) {
	t.Parallel()
	d := open(t)
	c, other := d.connect(bob, acme), d.connect(bob, acme)
	expect(t, "before it did anything", d.get(bob, connectionPath(c)).text(".section > p"), "It has done nothing yet.")
	d.call(bob, acme, other, 1)
	var want []string
	for minute := range 25 {
		call := d.call(bob, acme, c, minute)
		if minute < 20 {
			want = append(want, call)
		}
	}
	for _, user := range []string{bob, alice} {
		p := d.get(user, connectionPath(c))
		if diff := cmp.Diff(want, p.calls()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", user, diff)
		}
		expect(t, "what", p.cell(want[3], "What"), "Listed incidents Details list_incidents: ok 22 November 2026, 11:57:00 UTC Request request-3")
		expect(t, "took", p.cell(want[3], "Took"), "12 ms")
		all := d.get(user, p.Find(".section > p a").AttrOr("href", ""))
		if got := len(all.calls()); got != 25 {
			t.Errorf("%s: its link leads to %d calls, want 25", user, got)
		}
		expect(t, "says", all.text("main details.card form > p"), "Of one connection only. Show those of all")
	}
}

func TestActivityIsEmptyAtFirst(t *testing.T) {
	t.Parallel()
	d := open(t)
	expect(t, "at first", d.get(bob, "/settings/activity").text(".empty h2"), "Nothing has happened yet")
	d.call(bob, acme, d.connect(bob, acme), 1)
	p := d.get(bob, "/settings/activity?tool=get_incident")
	expect(t, "nothing matches", p.text(".empty h2"), "No call matches")
	if calls := d.get(bob, p.Find(".empty a").AttrOr("href", "")).calls(); len(calls) != 1 {
		t.Errorf("got %d calls behind the link, want 1", len(calls))
	}
	if p.Find(".tabs").Length() > 0 {
		t.Error("a member has a choice")
	}
}

func TestActivitySwitchesBetweenOrganizations(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.roles[alice][1].Role = store.RoleAdmin
	l := d.logged()
	p := d.get(alice, "/settings/activity")
	expect(t, "tabs", p.text(`nav[aria-label="Organization"]`), "AcmeGlobex")
	expect(t, "the first", p.text(`nav[aria-label="Organization"] [aria-current]`), "Acme")
	p = d.get(alice, p.Find(`nav[aria-label="Organization"] a:contains("Globex")`).AttrOr("href", ""))
	if diff := cmp.Diff([]string{l.byCarol}, p.calls()); diff != "" {
		t.Errorf("Globex (-want +got):\n%s", diff)
	}
	p = d.get(alice, p.Find(`nav[aria-label="Whose activity"] a:contains("Mine")`).AttrOr("href", ""))
	if diff := cmp.Diff([]string{l.byAlice}, p.calls()); diff != "" {
		t.Errorf("Mine (-want +got):\n%s", diff)
	}
}

func TestDraftsThatWaitAreListedForTheirAuthor(t *testing.T) {
	t.Parallel()
	d := open(t)
	if p := d.get(bob, "/settings/activity"); p.Find(`a[href="/settings/drafts"]`).Length() > 0 {
		t.Error("a way to no drafts")
	}
	path := d.draft("Cards\nfail. \u202e")
	notice := d.get(bob, "/settings/activity")
	expect(t, "notice", notice.text(`.notice a[href="/settings/drafts"]`), "A public update waits for your word")
	p := d.get(bob, "/settings/drafts")
	expect(t, "link", p.Find("#waiting a").AttrOr("href", ""), path)
	expect(t, "row", words(p.Find("#waiting tbody tr")), `#1 Payments fail \u{202e} Acme Cards fail. \u{202e} Claude Waits for you 1 hour ago`)
	for _, user := range []string{alice, carol} {
		if p := d.get(user, "/settings/drafts"); p.Find("[data-draft]").Length() > 0 {
			t.Errorf("%s sees it", user)
		}
		if p := d.get(user, "/settings/activity"); p.Find(`a[href="/settings/drafts"]`).Length() > 0 {
			t.Errorf("%s is told of it", user)
		}
	}
	for _, row := range []struct{ sql, says string }{
		{`UPDATE update_drafts SET discarded_at = $1`, "Discarded 1 minute ago"},
		{`UPDATE update_drafts SET discarded_at = NULL, expires_at = $1`, "Not published 1 minute ago"},
	} {
		d.exec(row.sql, now.Add(-time.Minute))
		p := d.get(bob, "/settings/drafts")
		expect(t, "state", words(p.Find(`#ended [data-label="State"]`)), row.says)
		if p.Find("#waiting").Length() > 0 {
			t.Error("it waits still")
		}
		d.exec(row.sql, now.Add(-25*time.Hour))
		if p := d.get(bob, "/settings/drafts"); p.Find("[data-draft]").Length() > 0 {
			t.Errorf("a day later: got %s", p.text("table"))
		}
	}
	d.exec(`UPDATE update_drafts SET expires_at = $1`, now.Add(time.Hour))
	d.roles[bob] = nil
	if p := d.get(bob, "/settings/drafts"); p.Find("[data-draft]").Length() > 0 {
		t.Error("who left sees it")
	}
	d.clerkAway = true
	expectStatus(t, d.get(bob, "/settings/drafts"), http.StatusServiceUnavailable)
	expect(t, "signed out, to", d.get("", "/settings/drafts").header.Get("Location"), "/sign-in?return_to="+url.QueryEscape("/settings/drafts"))
}

// TestActivityTellsOfConnections: who ended whose, by the client's name, also when
// the connection is on no page any more.
func TestActivityTellsOfConnections(t *testing.T) {
	t.Parallel()
	d := open(t)
	connection := d.connect(bob, acme, func(c *store.Connection) { c.ClientName = "Cursor" })
	d.submit(alice, d.get(alice, "/settings/connections/"+connection.String()+"?view=organization"), "Revoke")
	if !d.isRevoked(connection) {
		t.Fatal("it lives")
	}
	row := d.get(alice, "/settings/activity?org=acme&tool=revoked:admin&client=Cursor").calls()
	if len(row) != 1 {
		t.Fatalf("%d rows, want 1", len(row))
	}
	p := d.get(alice, "/settings/activity?org=acme")
	for label, want := range map[string]string{
		"Person": "Alice Archer You alice@example.com", "Client": "Cursor", "Outcome": "Ended", "Took": "–",
	} {
		expect(t, label, p.cell(row[0], label), want)
	}
	if got := p.cell(row[0], "What"); !strings.HasPrefix(got, "Revoked a connection, as administrator ") {
		t.Errorf("what she did: %q", got)
	}
}
