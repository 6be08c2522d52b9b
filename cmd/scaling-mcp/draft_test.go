package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// TestADraftIsPublishedInTheDashboard: a client that can ask nobody, in an
// organization that wants to be asked, gets a link; nobody but its person can
// use it; and after they pressed Publish the same call tells the client so.
func TestADraftIsPublishedInTheDashboard(t *testing.T) {
	t.Parallel()
	databaseURL := storetest.OpenURL(t)
	s := startDev(t, "--database-url", databaseURL, "--redis-url", storetest.Redis(t))
	db, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	var number int
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
