package web_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/web"
)

// statusSite is a Server that serves status pages and nothing else: it knows of
// no sessions, and would panic if it asked for one.
type statusSite struct {
	t       testing.TB
	store   *store.Store
	handler http.Handler
	now     atomic.Pointer[time.Time]
	reads   atomic.Int64 // of a page from the database
	log     strings.Builder
}

func (s *statusSite) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "FROM status_pages") {
		s.reads.Add(1)
	}
	return ctx
}
func (s *statusSite) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func openStatusSite(t testing.TB) *statusSite {
	t.Helper()
	s := &statusSite{t: t}
	s.at(0)
	s.store = storetest.Open(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = s })
	server := web.New(web.Config{
		PublicURL: "https://mcp.example.com", Store: s.store,
		Log: slog.New(slog.NewTextHandler(&s.log, nil)), Now: func() time.Time { return *s.now.Load() },
	})
	mux := http.NewServeMux()
	server.Mount(mux)
	s.handler = mux
	return s
}

// at sets the clock to some time after now.
func (s *statusSite) at(later time.Duration) { s.now.Store(new(now.Add(later))) }

// statusOrg is an organization with a status page, and one who works there.
type statusOrg struct {
	*statusSite
	id, member string
	components map[string]uuid.UUID
}

// org stores an organization whose page shows the named components, and one that
// is called Hidden and not on it.
func (s *statusSite) org(id string, components ...store.Component) *statusOrg {
	s.t.Helper()
	o := &statusOrg{s, id, "Member of " + id, map[string]uuid.UUID{}}
	_, err := s.store.SavePerson(s.t.Context(), store.User{ID: "user_" + id, Name: o.member, Email: id + "@example.com"},
		[]store.Membership{{Organization: store.Organization{ID: id, Slug: id, Name: "Legal name of " + id}, Role: store.RoleAdmin}}, now, "")
	s.must(err)
	o.do(func(ctx context.Context, tx pgx.Tx) error {
		page := store.NewStatusPage{OrgID: id, Slug: id, Name: "The " + id, Published: true}
		for _, c := range append(components, store.Component{Name: "Hidden", GroupLabel: "Hidden group"}) {
			cid, err := s.store.CreateComponentTx(ctx, tx, id, c, now)
			if err != nil {
				return err
			}
			o.components[c.Name] = cid
			if c.Name != "Hidden" {
				page.ComponentIDs = append(page.ComponentIDs, cid)
			}
		}
		return s.store.CreateStatusPageTx(ctx, tx, page, now)
	})
	return o
}

func (s *statusSite) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (o *statusOrg) do(f func(context.Context, pgx.Tx) error) {
	o.t.Helper()
	o.must(pgx.BeginFunc(o.t.Context(), o.store.Pool(), func(tx pgx.Tx) error { return f(o.t.Context(), tx) }))
}

func (o *statusOrg) change(ago time.Duration) store.Change {
	return store.Change{UserID: "user_" + o.id, Via: new("Client of " + o.id), At: now.Add(-ago)}
}

// incident stores an incident that is not public.
func (o *statusOrg) incident(title string, severity store.Severity, ago time.Duration, components ...string) uuid.UUID {
	o.t.Helper()
	n := store.NewIncident{OrgID: o.id, Title: title, Description: "Description of " + title, Severity: severity, OwnerID: new("user_" + o.id)}
	for _, name := range components {
		n.ComponentIDs = append(n.ComponentIDs, o.components[name])
	}
	var id uuid.UUID
	o.do(func(ctx context.Context, tx pgx.Tx) error {
		i, err := o.store.CreateIncidentTx(ctx, tx, n, o.change(ago))
		if err == nil {
			id = i.ID
		}
		return err
	})
	return id
}

// publish makes an incident public as one is that was made by somebody who may
// publish: without a word.
func (o *statusOrg) publish(id uuid.UUID, ago time.Duration) {
	o.t.Helper()
	o.sql(`UPDATE incidents SET public_at = $3 WHERE org_id = $1 AND id = $2 AND public_at IS NULL`, o.id, id, now.Add(-ago))
}

// says posts a public update, which makes its incident public.
func (o *statusOrg) says(id uuid.UUID, body string, ago time.Duration) uuid.UUID {
	o.t.Helper()
	return o.post(id, body, store.VisibilityPublic, ago)
}

func (o *statusOrg) post(id uuid.UUID, body string, v store.Visibility, ago time.Duration) (update uuid.UUID) {
	o.t.Helper()
	o.do(func(ctx context.Context, tx pgx.Tx) error {
		u, err := o.store.PostUpdateTx(ctx, tx, o.id, id, body, v, o.change(ago))
		if err == nil {
			update = u.ID
		}
		return err
	})
	return update
}

func (o *statusOrg) redact(update uuid.UUID) {
	o.t.Helper()
	o.sql(`UPDATE incident_updates SET body = NULL, redacted_at = $3, redacted_by = posted_by WHERE org_id = $1 AND id = $2`, o.id, update, now)
}

func (o *statusOrg) sql(statement string, args ...any) {
	o.t.Helper()
	_, err := o.store.Pool().Exec(o.t.Context(), statement, args...)
	o.must(err)
}

func (o *statusOrg) to(id uuid.UUID, from, to store.IncidentStatus, ago time.Duration) {
	o.t.Helper()
	o.do(func(ctx context.Context, tx pgx.Tx) error {
		return o.store.ChangeStatusTx(ctx, tx, o.id, id, from, to, new("Note of "+o.id), o.change(ago))
	})
}

// resolve takes the incident through all that remains.
func (o *statusOrg) resolve(id uuid.UUID, from store.IncidentStatus, ago time.Duration) {
	o.t.Helper()
	steps := store.IncidentStatuses()
	for n := slices.Index(steps, from); n+1 < len(steps); n++ {
		o.to(id, steps[n], steps[n+1], ago)
	}
}

func (s *statusSite) do(method, target string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Header = header
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *statusSite) get(target string) *page {
	s.t.Helper()
	w := s.do(http.MethodGet, target, http.Header{})
	doc, err := goquery.NewDocumentFromReader(w.Body)
	s.must(err)
	return &page{doc, w.Code, w.Result().Header}
}

// parts are the texts of the elements in s, or its own where it has none.
func parts(s *goquery.Selection) string {
	if s.Children().Length() > 0 {
		s = s.Children()
	}
	return strings.Join(strings.Fields(strings.Join(s.Map(func(_ int, s *goquery.Selection) string { return s.Text() }), " ")), " ")
}

// entries are the entries of the incident with a title, and the label of the
// disclosure that some of them are behind.
func (p *page) entries(title string) []string {
	article := p.Find("article").FilterFunction(func(_ int, s *goquery.Selection) bool { return s.Find("h3").Text() == title })
	return article.Find("li, summary").Map(func(_ int, s *goquery.Selection) string { return parts(s) })
}

func TestStatusPageTellsCustomersWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := openStatusSite(t)
	o := s.org("acme", store.Component{Name: "API", GroupLabel: "Core"}, store.Component{Name: "Docs"},
		store.Component{Name: "Queue", GroupLabel: "Core"}, store.Component{Name: "Mail", GroupLabel: "Edge"})
	expect(t, "banner", s.get("/status/acme").text(".banner"), "All systems operational")
	s.at(time.Minute)
	o.do(func(ctx context.Context, tx pgx.Tx) error {
		return s.store.OverrideComponentStatusTx(ctx, tx, "acme", o.components["Mail"], new(store.ComponentMaintenance))
	})
	expect(t, "banner", s.get("/status/acme").text(".banner"), "Maintenance under way, everything else operational")
	s.at(2 * time.Minute)

	over := o.incident("Slow queue", store.SeverityCritical, 50*time.Hour, "Queue")
	o.says(over, "It was slow.", 49*time.Hour)
	o.resolve(over, store.StatusInvestigating, 48*time.Hour)
	down := o.incident("API down", store.SeverityHigh, 40*time.Minute, "API", "Hidden")
	o.post(down, "internal", store.VisibilityInternal, 39*time.Minute)
	o.to(down, store.StatusInvestigating, store.StatusIdentified, 30*time.Minute)
	o.says(down, "We know why.\nIt takes an hour.", 20*time.Minute)
	o.redact(o.says(down, "Blame.", 10*time.Minute))
	late := o.incident("Docs late", store.SeverityLow, 5*time.Minute, "Docs")
	o.publish(late, 5*time.Minute)

	p := s.get("/status/acme")
	expectStatus(t, p, http.StatusOK)
	expect(t, "title", p.text("title"), "The acme status")
	expect(t, "heading", p.text("h1"), "The acme status")
	expect(t, "banner", p.text(".banner"), "Partial outage")
	var components []string
	p.Find(".rows").Each(func(_ int, list *goquery.Selection) {
		group := list.Prev().Text() + ":"
		list.Find("li").Each(func(_ int, li *goquery.Selection) {
			group += " " + li.Find("bdi").Text() + " " + li.Find(".badge").Text() + ","
		})
		components = append(components, group)
	})
	if diff := cmp.Diff([]string{
		"Core: API Partial outage, Queue Operational,", "Other: Docs Degraded,", "Edge: Mail Maintenance,",
	}, components); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
	titles := func(heading string) []string {
		return p.Find("section[aria-labelledby=" + heading + "] h3").Map(func(_ int, s *goquery.Selection) string { return s.Text() })
	}
	if diff := cmp.Diff([][]string{{"Docs late", "API down"}, {"Slow queue"}}, [][]string{titles("open-heading"), titles("history-heading")}); diff != "" {
		t.Errorf("active and past incidents (-want +got):\n%s", diff)
	}
	expect(t, "state of the incident", parts(p.Find("#open-2 + .summary")), "Identified Affects API")
	expect(t, "state of the past one", parts(p.Find("#past-1 + .summary")), "Resolved Affected Queue")
	if diff := cmp.Diff([]string{
		"Update 22 November 2026, 11:50 UTC (12 minutes ago) The text of this update was removed.",
		"Update 22 November 2026, 11:40 UTC (22 minutes ago) We know why. It takes an hour.",
		"Show all 4 updates",
		"Identified 22 November 2026, 11:30 UTC (32 minutes ago)",
		"Investigating 22 November 2026, 11:20 UTC (42 minutes ago)",
	}, p.entries("API down")); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	expect(t, "exact text", p.Find("article .verbatim").First().Text(), "We know why.\nIt takes an hour.")
	if diff := cmp.Diff([]string{"Investigating 22 November 2026, 11:55 UTC (7 minutes ago)"}, p.entries("Docs late")); diff != "" {
		t.Errorf("timeline of one step (-want +got):\n%s", diff)
	}
	if got := p.entries("Slow queue"); len(got) != 6 || !strings.HasPrefix(got[0], "Resolved 20 November") || got[4] != "Show all 5 updates" {
		t.Errorf("timeline of the past incident: got %q", got)
	}
	if p.Find(`time[datetime="2026-11-22T11:40:00Z"]`).Length() != 1 {
		t.Error("a time is not there for programs")
	}
	if p.Find("main, footer, section[aria-labelledby], article[aria-labelledby]").Length() != 2+3+3 || p.Find("details[open]").Length() > 0 {
		t.Error("landmarks, or what is closed at first, are not as they should be")
	}
	p.Find("[aria-labelledby]").Each(func(_ int, s *goquery.Selection) {
		if id := s.AttrOr("aria-labelledby", ""); p.Find("#"+id).Length() != 1 {
			t.Errorf("there is not one %s", id)
		}
	})
	if p.Find("script, style, [style], form, img, iframe").Length() > 0 {
		t.Error("the page has what it needs not")
	}
}

// Whatever an organization writes for itself stays there.
func TestNothingInternalIsOnTheStatusPage(t *testing.T) {
	t.Parallel()
	s := openStatusSite(t)
	o := s.org("acme", store.Component{Name: "API", Description: "Description of the API"})
	other := s.org("globex", store.Component{Name: "API of globex"})
	other.says(other.incident("Incident of globex", store.SeverityCritical, time.Hour, "API of globex"), "Update of globex", time.Hour)

	long := o.incident("Long ago", store.SeverityCritical, 100*24*time.Hour, "API")
	o.says(long, "Update of long ago", 100*24*time.Hour)
	o.resolve(long, store.StatusInvestigating, 91*24*time.Hour)
	public := o.incident("Public", store.SeverityHigh, time.Hour, "API", "Hidden")
	o.post(public, "Internal before", store.VisibilityInternal, 50*time.Minute)
	o.says(public, "For customers", 40*time.Minute)
	o.post(public, "Internal after", store.VisibilityInternal, 30*time.Minute)
	o.redact(o.says(public, "Redacted", 20*time.Minute))
	secret := o.incident("Secret", store.SeverityCritical, time.Hour, "API")
	// A public update makes its incident public; should one ever be stored that did
	// not, it still waits for somebody to publish the incident.
	o.says(secret, "Update of a secret", time.Hour)
	o.sql(`UPDATE incidents SET public_at = NULL WHERE org_id = $1 AND id = $2`, o.id, secret)
	o.says(o.incident("Elsewhere", store.SeverityCritical, time.Hour, "Hidden"), "Update elsewhere", time.Hour)
	past := o.incident("Past", store.SeverityCritical, time.Hour, "API")
	o.says(past, "For customers, too", 50*time.Minute)
	o.post(past, "Internal of the past", store.VisibilityInternal, 45*time.Minute)
	o.resolve(past, store.StatusInvestigating, 40*time.Minute)
	o.do(func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.store.PageLayerTx(ctx, tx, store.LayerPage{
			OrgID: o.id, IncidentID: public, Layer: 1, PersonIDs: []string{"user_acme"}, NextPageAt: now.Add(time.Hour)}, now)
		if err == nil {
			err = s.store.AcknowledgeIncidentTx(ctx, tx, o.id, public, o.change(0))
		}
		return err
	})

	html := s.do(http.MethodGet, "/status/acme", http.Header{}).Body.String()
	for _, want := range []string{"Public", "For customers", "Past", "For customers, too", "The acme", "API"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, internal := range []string{
		"Internal", "Redacted", "Secret", "secret", "elsewhere", "Elsewhere", "Hidden", "ong ago", "Description", "Note of",
		"Member of", "Client of", "user_", "@example", "Legal name", "globex", "Acknowledge", "severity", "Paged", "paged",
		public.String(), past.String(), o.components["API"].String(), "Settings", "Sign in",
	} {
		if strings.Contains(html, internal) {
			t.Errorf("the page tells %q", internal)
		}
	}
	expect(t, "banner, of the public incident alone", s.get("/status/acme").text(".banner"), "Partial outage")
}

// Whatever happened, and in whatever order, the page has every public word and
// no other.
func TestStatusPageHasExactlyThePublicWords(t *testing.T) {
	t.Parallel()
	s := openStatusSite(t)
	orgs := 0
	rapid.Check(t, func(rt *rapid.T) {
		orgs++
		o := s.org(fmt.Sprintf("org-%d", orgs), store.Component{Name: "API"}, store.Component{Name: "Queue"})
		var want []string // words of the page
		words := 0
		word := func() string { words++; return fmt.Sprintf("word-%d-%d-", orgs, words) }
		ages := rapid.SliceOfN(rapid.IntRange(2, 180*24), 0, 4).Draw(rt, "hours ago")
		slices.Sort(ages)
		for _, hours := range slices.Backward(ages) { // incidents are created in the order of time
			ago := time.Duration(hours) * time.Hour
			affects := rapid.SampledFrom([][]string{{"API"}, {"API", "Queue"}, {"Hidden", "Queue"}, {"Hidden"}, {}}).Draw(rt, "affects")
			title := word()
			id := o.incident(title, rapid.SampledFrom(store.Severities()).Draw(rt, "severity"), ago, affects...)
			public, said := false, []string{title}
			steps, status := store.IncidentStatuses(), 0
			entries := 1
			for range rapid.IntRange(0, 6).Draw(rt, "events") {
				if status == len(steps)-1 {
					break
				}
				ago -= time.Duration(rapid.IntRange(0, int(ago.Minutes())).Draw(rt, "minutes later")) * time.Minute
				switch rapid.SampledFrom([]string{"internal", "public", "redacted", "step", "publish"}).Draw(rt, "event") {
				case "internal":
					o.post(id, word(), store.VisibilityInternal, ago)
				case "public":
					body := word()
					o.says(id, body, ago)
					public, said, entries = true, append(said, body), entries+1
				case "redacted":
					o.redact(o.says(id, word(), ago))
					public, entries = true, entries+1
				case "step":
					o.to(id, steps[status], steps[status+1], ago)
					status, entries = status+1, entries+1
				case "publish":
					o.publish(id, ago)
					public = true
				}
			}
			if rapid.Bool().Draw(rt, "ends") {
				o.resolve(id, steps[status], ago)
				status, entries = len(steps)-1, entries+len(steps)-1-status
			}
			onPage := slices.Contains(affects, "API") || slices.Contains(affects, "Queue")
			recent := status < len(steps)-1 || ago < store.StatusHistory
			if public && onPage && recent {
				want = append(want, said...)
				want = append(want, fmt.Sprintf("%s: %d entries", title, entries))
			}
		}
		p := s.get("/status/" + o.id)
		got := regexp.MustCompile(`word-\d+-\d+-`).FindAllString(p.Text(), -1)
		p.Find("article").Each(func(_ int, a *goquery.Selection) {
			got = append(got, fmt.Sprintf("%s: %d entries", a.Find("h3").Text(), a.Find(".log > li").Length()))
		})
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Errorf("on the page (-want +got):\n%s", diff)
		}
	})
}

func TestThereIsOneAnswerForEveryPageThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := openStatusSite(t)
	s.org("acme", store.Component{Name: "API"})
	s.get("/status/acme") // leaves a copy
	_, err := s.store.Pool().Exec(t.Context(), `UPDATE status_pages SET published = false`)
	s.must(err)
	s.at(6 * time.Second)
	absent := s.do(http.MethodGet, "/status/nobody", http.Header{})
	if absent.Code != http.StatusNotFound || absent.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("got %d, %s", absent.Code, absent.Header().Get("Cache-Control"))
	}
	for _, slug := range []string{"acme", "ACME", "%00", "acme%2f", "a..b", "%ff", "-", strings.Repeat("a", 64), strings.Repeat("a", 5000)} {
		w := s.do(http.MethodGet, "/status/"+slug, http.Header{})
		if diff := cmp.Diff(absent.Body.String(), w.Body.String()); w.Code != http.StatusNotFound || diff != "" {
			t.Errorf("%.20s: got %d (-of an unknown one +got):\n%s", slug, w.Code, diff)
		}
	}
	if s.log.Len() > 0 {
		t.Errorf("logged: %s", s.log.String())
	}
}

func TestStatusPageMayBeKeptForAMoment(t *testing.T) {
	t.Parallel()
	s := openStatusSite(t)
	o := s.org("acme", store.Component{Name: "API"})
	id := o.incident("API down", store.SeverityHigh, time.Hour, "API")
	o.says(id, "We are on it.", time.Hour)
	first := s.do(http.MethodGet, "/status/acme", http.Header{"Cookie": {"session=1"}})
	for name, want := range map[string]string{
		"Cache-Control":           "public, max-age=30, stale-if-error=300",
		"Content-Type":            "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"Referrer-Policy":         "same-origin",
		"X-Content-Type-Options":  "nosniff",
		"Set-Cookie":              "",
		"Vary":                    "",
	} {
		expect(t, name, first.Header().Get(name), want)
	}
	etag := first.Header().Get("ETag")

	// Four seconds later something is said. The copy does not know, and is not kept
	// elsewhere for longer than its thirty seconds.
	o.says(id, "It is fixed.", 0)
	s.at(4 * time.Second)
	second := s.do(http.MethodGet, "/status/acme", http.Header{"If-None-Match": {etag}})
	if second.Code != http.StatusNotModified || second.Body.Len() > 0 || second.Header().Get("Cache-Control") != "public, max-age=26, stale-if-error=300" {
		t.Errorf("after 4 s: got %d, %d bytes, %s", second.Code, second.Body.Len(), second.Header().Get("Cache-Control"))
	}
	s.at(5 * time.Second)
	third := s.do(http.MethodGet, "/status/acme", http.Header{"If-None-Match": {etag}})
	if third.Code != http.StatusOK || !strings.Contains(third.Body.String(), "It is fixed.") || third.Header().Get("ETag") == etag {
		t.Errorf("after 5 s: got %d with ETag %s, want the new page", third.Code, third.Header().Get("ETag"))
	}

	// What has not changed is not sent again.
	s.at(15 * time.Second)
	again := s.do(http.MethodGet, "/status/acme", http.Header{"If-None-Match": {third.Header().Get("ETag")}})
	if again.Code != http.StatusNotModified {
		t.Errorf("the same page, made anew: got %d, want 304", again.Code)
	}
	head := s.do(http.MethodHead, "/status/acme", http.Header{})
	if head.Code != http.StatusOK || head.Body.Len() > 0 || head.Header().Get("Content-Length") != fmt.Sprint(third.Body.Len()) {
		t.Errorf("HEAD: got %d, %d bytes, length %s", head.Code, head.Body.Len(), head.Header().Get("Content-Length"))
	}
}

func TestACrowdReadsThePageOnce(t *testing.T) {
	t.Parallel()
	s := openStatusSite(t)
	s.org("acme", store.Component{Name: "API"})
	for n := range 3 {
		s.at(time.Duration(n) * 5 * time.Second)
		var crowd sync.WaitGroup
		for range 200 {
			crowd.Go(func() {
				if w := s.do(http.MethodGet, "/status/acme", http.Header{}); w.Code != http.StatusOK {
					t.Errorf("got %d", w.Code)
				}
			})
		}
		crowd.Wait()
		if got := int(s.reads.Load()); got != n+1 {
			t.Fatalf("crowd %d: the page was read %d times in all, want %d", n, got, n+1)
		}
	}
}

// Whoever is first and leaves does not take the page from those who wait.
func TestAVisitorWhoLeavesSpoilsNothing(t *testing.T) {
	t.Parallel()
	s := openStatusSite(t)
	s.org("acme", store.Component{Name: "API"})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/status/acme", nil))
	if w.Code != http.StatusOK || s.reads.Load() != 1 {
		t.Errorf("got %d after %d reads", w.Code, s.reads.Load())
	}
	if p := s.get("/status/acme"); p.status != http.StatusOK || s.reads.Load() != 1 {
		t.Errorf("the next visitor: got %d after %d reads", p.status, s.reads.Load())
	}
}

func TestStatusPageOutlastsTheDatabase(t *testing.T) {
	t.Parallel()
	s := openStatusSite(t)
	s.org("acme", store.Component{Name: "API"})
	s.get("/status/acme")
	_, err := s.store.Pool().Exec(t.Context(), `ALTER TABLE status_pages RENAME TO elsewhere`)
	s.must(err)
	s.at(4 * time.Minute)
	p := s.get("/status/acme")
	expectStatus(t, p, http.StatusOK)
	expect(t, "Cache-Control", p.header.Get("Cache-Control"), "public, max-age=5, stale-if-error=300")
	s.at(5 * time.Minute)
	for _, slug := range []string{"acme", "nobody"} {
		s.log.Reset()
		p = s.get("/status/" + slug)
		expectStatus(t, p, http.StatusServiceUnavailable)
		expect(t, "Retry-After", p.header.Get("Retry-After"), "5")
		expect(t, "Cache-Control", p.header.Get("Cache-Control"), "no-store")
		if text := p.Text(); strings.Contains(text, "relation") || strings.Contains(text, "store:") {
			t.Errorf("the page tells too much: %s", text)
		}
		if got := strings.Count(s.log.String(), "level=ERROR"); got != 1 {
			t.Errorf("logged %d errors, want 1:\n%s", got, s.log.String())
		}
	}
	_, err = s.store.Pool().Exec(t.Context(), `ALTER TABLE elsewhere RENAME TO status_pages`)
	s.must(err)
	expectStatus(t, s.get("/status/acme"), http.StatusOK)
}

func TestStatusPageTextHidesNothing(t *testing.T) {
	t.Parallel()
	s := openStatusSite(t)
	const trick, shown = "a\u202eb\u200bc\U000E0041<i>d</i>&amp;", `a\u{202e}b\u{200b}c\u{e0041}<i>d</i>&amp;`
	o := s.org("acme", store.Component{Name: trick, GroupLabel: trick})
	_, err := s.store.Pool().Exec(t.Context(), `UPDATE status_pages SET name = $1`, trick)
	s.must(err)
	o.says(o.incident(trick, store.SeverityHigh, time.Hour, trick), trick+"\r\n\ttab", time.Hour)
	p := s.get("/status/acme")
	for what, got := range map[string]string{
		"title":        p.text("title"),
		"heading":      p.text("h1"),
		"group":        p.text(".grid h3") + " status",
		"component":    p.text(".rows bdi") + " status",
		"incident":     p.text("article h3") + " status",
		"its affected": p.text("article .summary bdi") + " status",
	} {
		expect(t, what, got, shown+" status")
	}
	expect(t, "update", p.Find("article .verbatim").Text(), shown+"\n\ttab")
	if p.Find("main i").Length() > 0 {
		t.Error("text became markup")
	}
}

func TestStatusPageSaysThatItIsNotAll(t *testing.T) {
	t.Parallel()
	s := openStatusSite(t)
	o := s.org("acme", store.Component{Name: "API"})
	for n := range 21 {
		o.publish(o.incident(fmt.Sprintf("Incident %d", n), store.SeverityLow, time.Duration(60-n)*time.Minute, "API"), time.Hour)
	}
	last := o.incident("Talkative", store.SeverityLow, time.Minute, "API")
	for range 51 {
		o.says(last, "…", 0)
	}
	for n := range 101 {
		past := o.incident(fmt.Sprintf("Past %d", n), store.SeverityLow, time.Minute, "API")
		o.publish(past, time.Minute)
		o.to(past, store.StatusInvestigating, store.StatusResolved, time.Minute)
	}
	p := s.get("/status/acme")
	for what, row := range map[string]struct{ selector, want string }{
		"active":  {"[aria-labelledby=open-heading] > p", "There are older active incidents, which are not shown here."},
		"past":    {"[aria-labelledby=history-heading] > p", "Incidents that ended before these are not shown here."},
		"updates": {"#open-1 ~ .more ~ p", "Older updates are not shown here."},
	} {
		expect(t, what, p.text(row.selector), row.want)
	}
}
