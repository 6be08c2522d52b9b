package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

func incidentPath(i *store.Incident) string { return "/incidents/" + i.ID.String() }

// incident stores an incident that alice created through Claude an hour ago, and
// to which then happened what the given functions do.
func (d *dashboard) incident(n store.NewIncident, then ...func(pgx.Tx, *store.Incident) error) *store.Incident {
	d.t.Helper()
	if n.Severity == "" {
		n.Severity = store.SeverityHigh
	}
	var i *store.Incident
	d.must(pgx.BeginFunc(d.t.Context(), d.store.Pool(), func(tx pgx.Tx) (err error) {
		by := store.Change{UserID: alice, Via: new("Claude"), At: now.Add(-time.Hour)}
		if i, err = d.store.CreateIncidentTx(d.t.Context(), tx, n, by); err != nil {
			return err
		}
		for _, f := range then {
			if err := f(tx, i); err != nil {
				return err
			}
		}
		return nil
	}))
	return i
}

// pieces are the texts in s that stand apart on the page.
func pieces(s *goquery.Selection) string {
	return strings.Join(s.Find(".badge, strong, bdi, time, .muted").Map(func(_ int, s *goquery.Selection) string { return s.Text() }), " ")
}

// fact is what the facts of a page say under a heading.
func (p *page) fact(heading string) string {
	return pieces(p.Find("dt").FilterFunction(func(_ int, dt *goquery.Selection) bool { return dt.Text() == heading }).Next())
}

func TestIncidentPageTellsWhatHappened(t *testing.T) {
	t.Parallel()
	d := open(t)
	var api uuid.UUID
	d.must(pgx.BeginFunc(t.Context(), d.store.Pool(), func(tx pgx.Tx) (err error) {
		api, err = d.store.CreateComponentTx(t.Context(), tx, acme.ID, store.Component{Name: "Checkout API"}, now)
		return err
	}))
	d.incident(store.NewIncident{OrgID: acme.ID, Title: "The first"})
	i := d.incident(store.NewIncident{
		OrgID: acme.ID, Title: "Payments fail", Description: "Since 10:50.\n  Cards only.", Severity: store.SeverityCritical,
		OwnerID: new(bob), ComponentIDs: []uuid.UUID{api},
	}, func(tx pgx.Tx, i *store.Incident) error {
		return d.store.AcknowledgeIncidentTx(t.Context(), tx, acme.ID, i.ID, store.Change{UserID: bob, At: now.Add(-50 * time.Minute)})
	})

	p := d.get(bob, incidentPath(i))
	expectStatus(t, p, http.StatusOK)
	expect(t, "title", p.text("title"), "#2 Payments fail · Scaling MCP")
	expect(t, "heading", p.text("h1"), "Payments fail")
	expect(t, "above it", p.text(".head .muted"), "Incident #2 of Acme")
	expect(t, "badges", pieces(p.Find(".head .summary")), "Critical severity Investigating")
	expect(t, "description", p.Find("section p.verbatim").Text(), "Since 10:50.\n  Cards only.")
	expect(t, "history", pieces(p.Find(".steps li")), "Investigating 22 November 2026, 11:00 UTC (1 hour ago)")
	for heading, want := range map[string]string{
		"Owner":        "Bob Baker",
		"Affects":      "Checkout API",
		"Created":      "Alice Archer via Claude 22 November 2026, 11:00 UTC (1 hour ago)",
		"Acknowledged": "Bob Baker 22 November 2026, 11:10 UTC (50 minutes ago)",
		"Resolved":     "Not yet",
	} {
		expect(t, heading, p.fact(heading), want)
	}
	if p.Find("main form, main button").Length() > 0 {
		t.Error("the page of an incident changes something")
	}
}

func TestResolvedIncidentShowsEveryStep(t *testing.T) {
	t.Parallel()
	d := open(t)
	i := d.incident(store.NewIncident{OrgID: acme.ID, Title: "Slow search"}, func(tx pgx.Tx, i *store.Incident) error {
		steps := store.IncidentStatuses()
		for n, to := range steps[1:] {
			var note *string
			if to == store.StatusResolved {
				note = new("Rolled back.\nA test guards it.")
			}
			by := store.Change{UserID: bob, At: now.Add(time.Duration(n-30) * time.Minute)}
			if err := d.store.ChangeStatusTx(t.Context(), tx, acme.ID, i.ID, steps[n], to, note, by); err != nil {
				return err
			}
		}
		return nil
	})
	p := d.get(alice, incidentPath(i))
	expect(t, "badges", pieces(p.Find(".head .summary")), "High severity Resolved")
	var steps []string
	p.Find(".steps li").Each(func(_ int, li *goquery.Selection) { steps = append(steps, pieces(li)+li.Find(".verbatim").Text()) })
	if diff := cmp.Diff([]string{
		"Investigating 22 November 2026, 11:00 UTC (1 hour ago)",
		"Identified 22 November 2026, 11:30 UTC (30 minutes ago)",
		"Monitoring 22 November 2026, 11:31 UTC (29 minutes ago)",
		"Resolved 22 November 2026, 11:32 UTC (28 minutes ago)Rolled back.\nA test guards it.",
	}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	expect(t, "Owner", p.fact("Owner"), "Nobody")
	expect(t, "Acknowledged", p.fact("Acknowledged"), "Never")
	expect(t, "Resolved", p.fact("Resolved"), "22 November 2026, 11:32 UTC (28 minutes ago)")
}

// Whoever is no member learns nothing: not whether there is such an incident,
// nor whose it is.
func TestIncidentIsForMembersAlone(t *testing.T) {
	t.Parallel()
	d := open(t)
	ofAcme := d.incident(store.NewIncident{OrgID: acme.ID, Title: "Secret of Acme"})
	ofGlobex := d.incident(store.NewIncident{OrgID: globex.ID, Title: "Secret of Globex"})
	for _, reader := range []struct {
		user     string
		incident *store.Incident
	}{{alice, ofAcme}, {alice, ofGlobex}, {bob, ofAcme}, {carol, ofGlobex}} {
		expectStatus(t, d.get(reader.user, incidentPath(reader.incident)), http.StatusOK)
	}
	unknown, err := d.get(bob, "/incidents/"+uuid.Must(uuid.NewV7()).String()).Html()
	d.must(err)
	for user, path := range map[string]string{carol: incidentPath(ofAcme), bob: incidentPath(ofGlobex)} {
		p := d.get(user, path)
		expectStatus(t, p, http.StatusNotFound)
		html, err := p.Html()
		d.must(err)
		expect(t, user, html, unknown)
	}
	id := ofAcme.ID.String()
	for _, spelling := range []string{"1", "x", "%00", strings.ToUpper(id), "{" + id + "}", "urn:uuid:" + id, id + "%20"} {
		expectStatus(t, d.get(alice, "/incidents/"+spelling), http.StatusNotFound)
	}

	d.roles[bob] = nil // removed from Acme
	expectStatus(t, d.get(bob, incidentPath(ofAcme)), http.StatusNotFound)
}

func TestIncidentWaitsForClerk(t *testing.T) {
	t.Parallel()
	d := open(t)
	i := d.incident(store.NewIncident{OrgID: acme.ID, Title: "Secret"})
	d.clerkAway = true
	member, err := d.get(alice, incidentPath(i)).Html()
	d.must(err)
	for user, path := range map[string]string{alice: incidentPath(i), carol: incidentPath(i), bob: "/incidents/" + uuid.NewString()} {
		p := d.get(user, path)
		expectStatus(t, p, http.StatusServiceUnavailable)
		expect(t, "Retry-After", p.header.Get("Retry-After"), "30")
		html, err := p.Html()
		d.must(err)
		expect(t, user, html, member)
	}
}

// What strangers wrote shows all that is in it, and is nothing but text.
func TestIncidentTextHidesNothing(t *testing.T) {
	t.Parallel()
	d := open(t)
	const trick, shown = "a\u202eb\u200bc\U000E0041<i>d</i>&amp;", `a\u{202e}b\u{200b}c\u{e0041}<i>d</i>&amp;`
	_, err := d.store.SavePerson(t.Context(), store.User{ID: bob, Name: trick}, d.roles[bob], now.Add(time.Second), "")
	d.must(err)
	var component uuid.UUID
	d.must(pgx.BeginFunc(t.Context(), d.store.Pool(), func(tx pgx.Tx) (err error) {
		component, err = d.store.CreateComponentTx(t.Context(), tx, acme.ID, store.Component{Name: trick}, now)
		return err
	}))
	i := d.incident(store.NewIncident{
		OrgID: acme.ID, Title: trick, Description: trick + "\r\n\ttab", OwnerID: new(bob), ComponentIDs: []uuid.UUID{component},
	}, func(tx pgx.Tx, i *store.Incident) error {
		return d.store.AcknowledgeIncidentTx(t.Context(), tx, acme.ID, i.ID, store.Change{UserID: bob, Via: new(trick), At: now})
	}, func(tx pgx.Tx, i *store.Incident) error {
		return d.store.ChangeStatusTx(t.Context(), tx, acme.ID, i.ID, "investigating", "resolved", new(trick), store.Change{UserID: bob, At: now})
	})
	p := d.get(alice, incidentPath(i))
	for what, got := range map[string]string{
		"title":     strings.TrimSuffix(strings.TrimPrefix(p.text("title"), "#1 "), " · Scaling MCP"),
		"heading":   p.text("h1"),
		"note":      p.text(".steps .verbatim"),
		"owner":     p.fact("Owner"),
		"component": p.fact("Affects"),
	} {
		expect(t, what, got, shown)
	}
	expect(t, "description", p.Find("#description-heading + p").Text(), shown+"\n\ttab")
	expect(t, "acknowledged", p.fact("Acknowledged"), shown+" via "+shown+" 22 November 2026, 12:00 UTC (just now)")
	if p.Find("main i").Length() > 0 {
		t.Error("text became markup")
	}
}

func TestDeletedPersonHasNoName(t *testing.T) {
	t.Parallel()
	d := open(t)
	i := d.incident(store.NewIncident{OrgID: acme.ID, Title: "t"})
	_, err := d.store.Pool().Exec(t.Context(), `UPDATE users SET name = '', email = '', deleted_at = $1 WHERE id = $2`, now, alice)
	d.must(err)
	p := d.get(bob, incidentPath(i))
	if got := p.fact("Created"); !strings.HasPrefix(got, "Somebody whose account was deleted via Claude ") {
		t.Errorf("created by: got %q", got)
	}
}
