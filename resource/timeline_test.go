package resource_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/store"
)

// timelinePage is get_incident_timeline's structured content.
type timelinePage struct {
	Entries []struct {
		Type   string
		Update *struct {
			ID         string
			Body       *string
			Visibility string
		}
	}
	NextCursor *string
}

func timelineOf(t *testing.T, session *mcp.ClientSession, arguments map[string]any) (timelinePage, string) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_incident_timeline", Arguments: arguments})
	if err != nil || result.IsError {
		t.Fatalf("get_incident_timeline: %v, %v", result, err)
	}
	raw, err := json.Marshal(result.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	var p timelinePage
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	return p, result.Content[0].(*mcp.TextContent).Text
}

// post posts an update on Acme's incident with the given number.
func post(t *testing.T, st *store.Store, number int, visibility store.Visibility, bodies ...string) []uuid.UUID {
	t.Helper()
	i, err := st.Incident(t.Context(), "org_acme", number)
	if err != nil {
		t.Fatal(err)
	}
	var ids []uuid.UUID
	err = pgx.BeginFunc(t.Context(), st.Pool(), func(tx pgx.Tx) error {
		for _, body := range bodies {
			posted, err := st.PostUpdateTx(t.Context(), tx, "org_acme", i.ID, body, visibility, store.Change{UserID: "user_bob", At: now})
			if err != nil {
				return err
			}
			ids = append(ids, posted.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func createOne(t *testing.T, session *mcp.ClientSession) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "create_incident", Arguments: map[string]any{"title": "x", "severity": "low"}})
	if err != nil || result.IsError {
		t.Fatalf("create_incident: %v, %v", result, err)
	}
}

// TestALongTimelineIsCutAndGoesOn: of a hundred updates of ten thousand
// characters, each shown as nine bytes, as much is in an answer as fits, in text
// and in structured content alike, and the cursors miss nothing. One that is too
// long for any answer stands alone, its text cut and its content whole.
func TestALongTimelineIsCutAndGoesOn(t *testing.T) {
	st := newStore(t)
	f := newFixture(t, st, nil)
	session := f.connect(t, "/mcp", "2025-11-25", everything...)
	createOne(t, session)
	var bodies []string
	for n := range 100 {
		body := fmt.Sprintf("%05d", n) + strings.Repeat("\U000E0061", 9995)
		if n%3 == 1 {
			body = fmt.Sprintf("%05d short", n)
		}
		bodies = append(bodies, body)
	}
	post(t, st, 1, store.VisibilityInternal, bodies...)

	arguments := map[string]any{"sequentialId": 1, "limit": 100}
	next := -1 // the creation comes before the first update
	for pages := 1; ; pages++ {
		p, text := timelineOf(t, session, arguments)
		if len(text) > 24<<10 {
			t.Errorf("page %d: text of %d bytes, want at most 24 KiB", pages, len(text))
		}
		if got := strings.Count(text, "\n2026-"); got != len(p.Entries) {
			t.Errorf("page %d: %d entries in text, %d in structured content", pages, got, len(p.Entries))
		}
		whole := true
		for _, e := range p.Entries {
			if next >= 0 && (e.Update == nil || *e.Update.Body != bodies[next]) {
				t.Fatalf("page %d: entry %d does not have its body verbatim", pages, next)
			}
			whole = whole && (next < 0 || len(bodies[next]) < 100)
			next++
		}
		if !whole && len(p.Entries) > 1 {
			t.Errorf("page %d: an entry that does not fit is not alone", pages)
		}
		if !whole && !strings.Contains(text, "all of it is in structuredContent") {
			t.Errorf("page %d does not say that its text is not all", pages)
		}
		if p.NextCursor == nil {
			break
		}
		if !strings.Contains(text, *p.NextCursor) || !strings.Contains(text, "The answer was cut") {
			t.Errorf("page %d does not say how to go on", pages)
		}
		arguments["cursor"] = *p.NextCursor
	}
	if next != len(bodies) {
		t.Errorf("update %d and those after it were never shown", next)
	}
}

// TestARedactedUpdateShowsNoBody: where it was posted, too.
func TestARedactedUpdateShowsNoBody(t *testing.T) {
	st := newStore(t)
	f := newFixture(t, st, nil)
	session := f.connect(t, "/mcp", "2026-07-28", everything...)
	createOne(t, session)
	secret := post(t, st, 1, store.VisibilityPublic, "The password is hunter2.\u202e")[0]
	post(t, st, 1, store.VisibilityInternal, "Sorry.")

	p, text := timelineOf(t, session, map[string]any{"sequentialId": 1})
	if got := p.Entries[1].Update; got == nil || *got.Body != "The password is hunter2.\u202e" || got.Visibility != "public" || got.ID != secret.String() {
		t.Errorf("before: got %+v, want the update verbatim", got)
	}
	for _, want := range []string{"update_posted: public, by \"Bob\"\n> The password is hunter2.\\u{202e}\n", "update_posted: internal, by \"Bob\"\n> Sorry.\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("before: got text %q, want %q in it", text, want)
		}
	}
	if _, err := st.Pool().Exec(t.Context(), `
		UPDATE incident_updates SET body = NULL, redacted_at = $2, redacted_by = 'user_bob' WHERE id = $1`, secret, now); err != nil {
		t.Fatal(err)
	}
	p, text = timelineOf(t, session, map[string]any{"sequentialId": 1})
	if got := p.Entries[1].Update; got == nil || got.Body != nil || got.ID != secret.String() {
		t.Errorf("after: got %+v, want the update without its body", got)
	}
	if !strings.Contains(text, "update_posted: public, redacted, by \"Bob\"\n") || strings.Contains(text, "hunter2") {
		t.Errorf("after: got text %q", text)
	}
}

// TestEveryTypeOfEventFitsTheSchema: those that nothing here records yet, too.
func TestEveryTypeOfEventFitsTheSchema(t *testing.T) {
	st := newStore(t)
	f := newFixture(t, st, nil)
	session := f.connect(t, "/mcp", "2025-11-25", everything...)
	createOne(t, session)
	update := post(t, st, 1, store.VisibilityInternal, "Hello.")[0]
	for _, e := range store.EventTypes() {
		if _, err := st.Pool().Exec(t.Context(), `
			INSERT INTO incident_events (org_id, incident_id, id, type, at, status, update_id, person_id)
			SELECT org_id, id, gen_random_uuid(), $1, $2, CASE WHEN $1 IN ('incident_created', 'status_changed') THEN 'identified' END,
			       CASE WHEN $1 LIKE 'update%' THEN $3::uuid END, CASE WHEN $1 = 'owner_changed' THEN 'user_bob' END
			FROM incidents`, e, now, update); err != nil {
			t.Fatal(err)
		}
	}
	message := json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_incident_timeline","arguments":{"sequentialId":1}}}`)
	a := f.do(t, "POST", "/mcp", f.bearer(t, everything...), string(message))
	fitsSchema(t, outputSchemas(t, f), message, a)
	for _, e := range store.EventTypes() {
		if !strings.Contains(a.body, `"type":"`+string(e)+`"`) {
			t.Errorf("%s is not in the timeline", e)
		}
	}
}

// TestGetIncidentSaysWhoWillBePaged: what whoever is woken wants to know.
func TestGetIncidentSaysWhoWillBePaged(t *testing.T) {
	st := newStore(t)
	f := newFixture(t, st, nil)
	session := f.connect(t, "/mcp", "2025-11-25", everything...)
	createOne(t, session)
	for _, row := range []struct {
		name, set string
		want      []string
	}{
		{"no policy", ``, []string{"escalation none.\n", "Nobody is paged: it has no escalation policy.\n"}},
		{"paging", `escalation_state = 'paging', escalation_layer = 1, next_page_at = '2026-11-22T09:05:00Z'`,
			[]string{"escalation paging.\nLayer 1 was paged last.\nNobody has acknowledged it yet. Unless somebody does, escalation goes on at 2026-11-22T09:05:00Z.\n"}},
		{"the last layer waits", `next_page_at = NULL`, []string{"Nobody has acknowledged it yet. No further page is planned.\n"}},
		{"exhausted", `escalation_state = 'exhausted', escalation_layer = 2`,
			[]string{"escalation exhausted.\nLayer 2 was paged last.\nNobody has acknowledged it and nobody else is paged: no layer is left. It can still be acknowledged.\n"}},
		{"exhausted from the beginning", `escalation_layer = NULL`, []string{"its escalation policy reached nobody.\n"}},
		{"acknowledged", `escalation_state = 'acknowledged', escalation_layer = 2, acknowledged_at = '2026-11-22T09:03:00Z', acknowledged_by = 'user_bob', acknowledged_via = 'Cursor'`,
			[]string{"escalation acknowledged.\nLayer 2 was paged last.\nNobody else is paged: somebody has acknowledged it.\n", "acknowledged by \"Bob\" via \"Cursor\"\n"}},
		{"resolved while paging", `escalation_state = 'paging', status = 'resolved', resolved_at = updated_at`, []string{"Nobody is paged any more: it is resolved.\n"}},
	} {
		if row.set != "" {
			if _, err := st.Pool().Exec(t.Context(), `UPDATE incidents SET `+row.set); err != nil {
				t.Fatal(err)
			}
		}
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_incident", Arguments: map[string]any{"sequentialId": 1}})
		if err != nil || result.IsError {
			t.Fatalf("%s: %v, %v", row.name, result, err)
		}
		text := result.Content[0].(*mcp.TextContent).Text
		for _, want := range row.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: got text %q, want %q in it", row.name, text, want)
			}
		}
	}
}

// TestHintsOfToolsAreTrue: what clients decide by whether they ask the person.
func TestHintsOfToolsAreTrue(t *testing.T) {
	f := newFixture(t, nil, nil)
	session := f.connect(t, "/mcp", "2025-11-25", store.ResourceScopes()...)
	type hints struct{ readOnly, idempotent, destructive, openWorld bool }
	want := map[string]hints{
		"list_incidents":             {true, true, false, false},
		"get_incident":               {true, true, false, false},
		"get_incident_timeline":      {true, true, false, false},
		"create_incident":            {false, false, false, true}, // pages people
		"acknowledge_incident":       {false, true, true, false},  // takes planned pages away
		"transition_incident_status": {false, true, true, true},   // shows on the status page
		"resolve_incident":           {false, true, true, true},
	}
	for tool, err := range session.Tools(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		a := tool.Annotations
		if w, ok := want[tool.Name]; ok && w != (hints{a.ReadOnlyHint, a.IdempotentHint, *a.DestructiveHint, *a.OpenWorldHint}) {
			t.Errorf("%s: got %+v, want %+v", tool.Name, a, w)
		}
		delete(want, tool.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}
