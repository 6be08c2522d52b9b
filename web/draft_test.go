package web_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

// drafts decides on drafts by the store's statements alone. What may be
// published is package incident's rule.
type drafts struct{ *store.Store }

func (s drafts) PublishDraft(ctx context.Context, orgID, authorID string, id uuid.UUID, _ string) error {
	return pgx.BeginFunc(ctx, s.Pool(), func(tx pgx.Tx) error {
		d, err := s.LockDraftTx(ctx, tx, orgID, authorID, id)
		if err != nil || !d.Publishable(now) {
			return err
		}
		u, err := s.PostUpdateTx(ctx, tx, orgID, d.IncidentID, d.Body, store.VisibilityPublic, store.Change{UserID: authorID, At: now})
		if err != nil {
			return err
		}
		return s.PublishedDraftTx(ctx, tx, orgID, id, u.ID, now)
	})
}

func (s drafts) DiscardDraft(ctx context.Context, orgID, authorID string, id uuid.UUID, _ string) error {
	return pgx.BeginFunc(ctx, s.Pool(), func(tx pgx.Tx) error {
		d, err := s.LockDraftTx(ctx, tx, orgID, authorID, id)
		if err != nil || d.State(now) != store.DraftWaiting {
			return err
		}
		return s.DiscardDraftTx(ctx, tx, orgID, id, now)
	})
}

// draft stores a draft of bob's on an incident of Acme that its status page
// shows, and returns where it is decided on.
func (d *dashboard) draft(body string) string {
	d.t.Helper()
	var path string
	component := d.publishedComponent()
	d.incident(store.NewIncident{OrgID: acme.ID, Title: "Payments fail \u202e", ComponentIDs: []uuid.UUID{component}}, func(tx pgx.Tx, i *store.Incident) error {
		id, err := d.store.KeepDraftTx(d.t.Context(), tx, store.NewDraft{
			OrgID: acme.ID, IncidentID: i.ID, Body: body, BodyHash: sha256.Sum256([]byte(body)), AuthorID: bob, Via: "Claude", At: now.Add(-time.Hour),
		})
		path = "/settings/drafts/" + id.String()
		return err
	})
	return path
}

// publishedComponent stores the status page of Acme with a component on it.
func (d *dashboard) publishedComponent() (id uuid.UUID) {
	d.t.Helper()
	d.must(pgx.BeginFunc(d.t.Context(), d.store.Pool(), func(tx pgx.Tx) (err error) {
		id, err = d.store.CreateComponentTx(d.t.Context(), tx, acme.ID, store.Component{Name: "Checkout API"}, now)
		return err
	}))
	d.exec(`INSERT INTO status_pages (org_id, slug, name, published, created_at) VALUES ('org_acme', 'acme', 'Acme', true, $1)`, now)
	d.exec(`INSERT INTO status_page_components (org_id, component_id, position) VALUES ('org_acme', $1, 1)`, id)
	return id
}

func (d *dashboard) exec(sql string, args ...any) {
	d.t.Helper()
	_, err := d.store.Pool().Exec(d.t.Context(), sql, args...)
	d.must(err)
}

// updates counts what has been posted.
func (d *dashboard) updates() (n int) {
	d.t.Helper()
	d.must(d.store.Pool().QueryRow(d.t.Context(), `SELECT count(*) FROM incident_updates`).Scan(&n))
	return n
}

func TestAuthorReadsTheExactTextAndPublishesIt(t *testing.T) {
	t.Parallel()
	d := open(t)
	path := d.draft("Cards fail.\n  <b>We</b> are on it.\u200b")
	p := d.get(bob, path)
	expectStatus(t, p, http.StatusOK)
	expect(t, "which incident", p.text(".head .muted"), "Incident #1 of Acme. Update written by Claude")
	expect(t, "heading", p.text("h1"), `Payments fail \u{202e}`)
	expect(t, "text", p.Find(".verbatim").Text(), "Cards fail.\n  <b>We</b> are on it.\\u{200b}")
	expect(t, "where it will be", p.Find("#decide a").AttrOr("href", ""), "/status/acme")
	expect(t, "what else becomes public", p.text("#decide strong"), "The incident becomes public with it, its title included.")
	if d.updates() != 0 {
		t.Fatal("a GET published it")
	}

	after := d.follow(bob, d.submit(bob, p, "Publish"))
	if got := after.text(".notice"); !strings.Contains(got, "This update is published; there is nothing left to do.") {
		t.Errorf("notice: got %q", got)
	}
	expect(t, "link", after.Find(".notice a").AttrOr("href", ""), "/status/acme")
	for _, button := range []string{"Publish", "Discard"} {
		again := d.follow(bob, d.submit(bob, p, button))
		if got := again.text(".notice"); !strings.Contains(got, "This update is published") {
			t.Errorf("%s after it: got %q", button, got)
		}
	}
	if after.Find("main form").Length() != 0 {
		t.Error("it can be decided on again")
	}
	if n := d.updates(); n != 1 {
		t.Errorf("%d updates were posted, want 1", n)
	}
}

func TestDiscardedDraftIsNotPublished(t *testing.T) {
	t.Parallel()
	d := open(t)
	path := d.draft("Cards fail.")
	p := d.get(bob, path)
	after := d.follow(bob, d.submit(bob, p, "Discard"))
	expect(t, "notice", after.text(".notice strong"), "You discarded this text. It has not been published.")
	after = d.follow(bob, d.submit(bob, p, "Publish"))
	expect(t, "publishing it after all", after.text(".notice strong"), "You discarded this text. It has not been published.")
	if d.updates() != 0 {
		t.Error("it was published")
	}
}

// TestDraftThatCannotBePublishedSaysWhy: also when that came to be after the
// person opened its page.
func TestDraftThatCannotBePublishedSaysWhy(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, sql, notice, buttons string }{
		{"resolved", `UPDATE incidents SET status = 'resolved', resolved_at = updated_at`, "The incident has been resolved", "Discard"},
		{"forbidden", `INSERT INTO org_policies (org_id, public_updates, updated_at) VALUES ('org_acme', 'never', now())`, "The administrators of Acme no longer allow", "Discard"},
		{"read-only", `INSERT INTO org_policies (org_id, read_only, updated_at) VALUES ('org_acme', true, now())`, "The administrators of Acme let clients change nothing", "Discard"},
		{"page not published", `UPDATE status_pages SET published = false`, "No published status page shows", "Discard"},
		{"component not on the page", `DELETE FROM status_page_components`, "No published status page shows", "Discard"},
		{"component not affected", `DELETE FROM incident_components`, "No published status page shows", "Discard"},
		{"expired", `UPDATE update_drafts SET expires_at = '2026-11-22T12:00:00Z'`, "This text waited for a day and has not been published.", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			before := d.get(bob, d.draft("Cards fail."))
			d.exec(row.sql)
			after := d.follow(bob, d.submit(bob, before, "Publish"))
			expectStatus(t, after, http.StatusOK)
			if got := after.text(".notice"); !strings.Contains(got, row.notice) {
				t.Errorf("notice: got %q, want %q in it", got, row.notice)
			}
			expect(t, "buttons", after.text("#decide button"), row.buttons)
			if d.updates() != 0 {
				t.Error("it was published")
			}
		})
	}
}

// TestAnothersDraftCannotBeToldFromNone: not by an administrator, nor by its
// author after they left.
func TestAnothersDraftCannotBeToldFromNone(t *testing.T) {
	t.Parallel()
	d := open(t)
	path := d.draft("Cards fail.")
	id := strings.TrimPrefix(path, "/settings/drafts/")
	none, err := d.get(bob, "/settings/drafts/"+uuid.NewString()).Html()
	d.must(err)
	try := func(name, user, id string) {
		t.Helper()
		for _, p := range []*page{
			d.get(user, "/settings/drafts/"+id),
			d.post(user, "/settings/drafts/"+id+"/publish", url.Values{}),
			d.post(user, "/settings/drafts/"+id+"/discard", url.Values{}),
		} {
			expectStatus(t, p, http.StatusNotFound)
			if html, _ := p.Html(); html != none && user == bob {
				t.Errorf("%s: the page differs from that of no draft:\n%s", name, html)
			}
			if strings.Contains(p.Text(), "Cards fail") {
				t.Errorf("%s: the text is told", name)
			}
		}
	}
	try("an administrator", alice, id)
	try("another organization", carol, id)
	try("an id in capitals", bob, strings.ToUpper(id))
	try("not an id", bob, "1")
	d.roles[bob] = nil
	try("its author, who left", bob, id)
	if d.updates() != 0 || d.discarded() {
		t.Error("somebody decided on it")
	}
	d.clerkAway = true
	expectStatus(t, d.get(bob, path), http.StatusServiceUnavailable)
	expectStatus(t, d.post(bob, path+"/publish", url.Values{}), http.StatusServiceUnavailable)
}

func (d *dashboard) discarded() (yes bool) {
	d.t.Helper()
	d.must(d.store.Pool().QueryRow(d.t.Context(), `SELECT count(discarded_at) > 0 FROM update_drafts`).Scan(&yes))
	return yes
}

func TestAnotherSiteCannotPublish(t *testing.T) {
	t.Parallel()
	d := open(t)
	path := d.draft("Cards fail.")
	for _, do := range []string{"/publish", "/discard"} {
		r := httptest.NewRequest(http.MethodPost, path+do, nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		expectStatus(t, d.do(bob, r), http.StatusForbidden)
		r = httptest.NewRequest(http.MethodGet, path+do, nil)
		if p := d.do(bob, r); p.status != http.StatusNotFound && p.status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: got status %d", do, p.status)
		}
	}
	if d.updates() != 0 || d.discarded() {
		t.Error("another site decided on it")
	}
	signedOut := d.get("", path)
	expect(t, "signed out, to", signedOut.header.Get("Location"), "/sign-in?return_to="+url.QueryEscape(path))
}
