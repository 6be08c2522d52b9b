package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// confirmAlways starts the dev command with an organization that wants public
// updates confirmed, and returns the number of an open incident that its status
// page shows.
func confirmAlways(t *testing.T) (s *system, db *pgx.Conn, number int) {
	t.Helper()
	databaseURL := storetest.OpenURL(t)
	s = startDev(t, "--database-url", databaseURL, "--redis-url", storetest.Redis(t))
	db, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close(context.Background()) })
	for _, sql := range []string{
		`INSERT INTO org_policies (org_id, public_updates, updated_at) VALUES ($1, 'confirm_always', now())
		 ON CONFLICT (org_id) DO UPDATE SET public_updates = excluded.public_updates`,
		`INSERT INTO status_pages (org_id, slug, name, published, created_at) VALUES ($1, 'acme', 'Acme', true, now()) ON CONFLICT DO NOTHING`,
		`INSERT INTO status_page_components (org_id, component_id, position) SELECT org_id, id, 1 FROM components WHERE org_id = $1 ON CONFLICT DO NOTHING`,
	} {
		if _, err := db.Exec(t.Context(), sql, clerkdev.AcmeID); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.QueryRow(t.Context(), `SELECT sequential_id FROM incidents WHERE org_id = $1 AND status <> 'resolved'`, clerkdev.AcmeID).Scan(&number); err != nil {
		t.Fatal(err)
	}
	return s, db, number
}

// TestADraftIsPublishedInTheDashboard: a client that can ask nobody, in an
// organization that wants to be asked, gets a link; nobody but its person can
// use it; and after they pressed Publish the same call tells the client so.
func TestADraftIsPublishedInTheDashboard(t *testing.T) {
	t.Parallel()
	s, db, number := confirmAlways(t)
	bob := newPerson(t, "bob@acme.example")
	bob.ticks = []string{store.ScopeIncidentsPublish}
	c := s.connect(bob, "Test client", clerkdev.AcmeID)
	arguments := map[string]any{"sequentialId": number, "body": "Payments work again.\u200b", "visibility": "public"}
	posted := func() (draft map[string]any, update map[string]any) {
		content := c.call("post_incident_update", arguments).StructuredContent.(map[string]any)
		draft, _ = content["draft"].(map[string]any)
		update, _ = content["update"].(map[string]any)
		return draft, update
	}
	draft, update := posted()
	if draft == nil || update != nil {
		t.Fatalf("got draft %v and update %v, want a draft", draft, update)
	}
	link, _ := draft["url"].(string)
	if !strings.HasPrefix(link, s.url+"/settings/drafts/") {
		t.Fatalf("the link is %q", link)
	}
	alice := newPerson(t, "alice@acme.example") // administers Acme
	if alice.signIn(link); alice.status != http.StatusNotFound {
		t.Errorf("an administrator: got %d %s, want 404", alice.status, alice.text())
	}

	bob.open(link).says("Payments work again.\\u{200b}", "Publish this text?", "written by Test client")
	bob.press("Publish", nil).says("This update is published")
	draft, update = posted()
	if draft != nil || update == nil {
		t.Fatalf("got draft %v and update %v, want the update", draft, update)
	}
	if by := update["postedBy"].(map[string]any); by["email"] != "bob@acme.example" || by["via"] != "Test client" {
		t.Errorf("it is posted by %v", by)
	}
	var recorded int
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM audit_events WHERE action = 'publish_draft' AND connection_id IS NULL AND incident = $1 AND request_id <> ''`, number).Scan(&recorded); err != nil || recorded != 1 {
		t.Errorf("recorded %d times, %v", recorded, err)
	}
}

// draftFits visits the page of a draft in every state that looks different.
func draftFits(t *testing.T, chromium context.Context) {
	s, db, number := confirmAlways(t)
	alice := newPerson(t, "alice@acme.example")
	alice.ticks = []string{store.ScopeIncidentsPublish}
	c := s.connect(alice, longName, clerkdev.AcmeID)
	draft := func(body string) string {
		content := c.call("post_incident_update", map[string]any{"sequentialId": number, "body": body, "visibility": "public"}).StructuredContent
		return content.(map[string]any)["draft"].(map[string]any)["url"].(string)
	}
	b := newTab(t, chromium, s.url, s.clerk(t))
	b.open(draft("Card payments work again since 10:40 UTC.\n\nThe cause was " + strings.Repeat("a very long word", 20))).press("alice@acme.example").
		says("Publish this text?").show("draft")
	b.press("Publish").says("This update is published").show("draft-published")
	b.open(draft("We are investigating.")).press("Discard").says("You discarded this text").show("draft-discarded")
	other := draft("We are still investigating.")
	if _, err := db.Exec(t.Context(), `UPDATE org_policies SET public_updates = 'never' WHERE org_id = $1`, clerkdev.AcmeID); err != nil {
		t.Fatal(err)
	}
	b.open(other).says("cannot be published now").show("draft-forbidden")
}
