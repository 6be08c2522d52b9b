package resource_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/resource"
	"scaling.cloud/mcp/store"
)

// TestEveryCallIsInTheAuditLogOnce: with who made it, through which connection, on
// which incident, and how it ended; those with an effect in the transaction of that.
func TestEveryCallIsInTheAuditLogOnce(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	log := store.NewAuditLog(st, slog.New(slog.DiscardHandler))
	f := newFixture(t, st, func(c *resource.Config) { c.Audit = log.Record })
	call := func(scopes []string, tool, arguments string) {
		f.do(t, "POST", "/mcp", f.bearer(t, scopes...), fmt.Sprintf(
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, arguments))
	}
	call(everything, "create_incident", `{"title":"x","severity":"low","idempotencyKey":"k"}`)
	rows := auditRows(t, st)
	if diff := cmp.Diff([]string{"create_incident ok 1"}, rows); diff != "" {
		t.Errorf("before any batch was written, a creation (-want +got):\n%s", diff)
	}
	call(everything, "create_incident", `{"title":"x","severity":"low","idempotencyKey":"k"}`)
	call(everything, "create_incident", `{"title":"y","severity":"low","idempotencyKey":"k"}`)
	call(everything, "create_incident", `{"title":"y"}`)
	call(everything, "create_incident", `{"title":"y","severity":"low","ownerId":"user_carol"}`)
	call(everything, "list_incidents", `{}`)
	call(everything, "get_incident", `{"sequentialId":1}`)
	call(everything, "get_incident", `{"sequentialId":7}`)
	call(everything, "acknowledge_incident", `{"sequentialId":1}`)
	call(everything, "acknowledge_incident", `{"sequentialId":1,"idempotencyKey":"k"}`)
	call(everything, "acknowledge_incident", `{"sequentialId":1,"idempotencyKey":"k"}`)
	call(everything, "transition_incident_status", `{"sequentialId":1,"status":"monitoring"}`)
	call(everything, "transition_incident_status", `{"sequentialId":1,"status":"identified","idempotencyKey":"k"}`)
	call(everything, "transition_incident_status", `{"sequentialId":1,"status":"identified","idempotencyKey":"k"}`)
	call(everything, "resolve_incident", `{"sequentialId":1,"idempotencyKey":"k"}`)
	call(everything, "resolve_incident", `{"sequentialId":1,"idempotencyKey":"k"}`)
	call(everything, "resolve_incident", `{"sequentialId":7}`)
	call([]string{store.ScopeIncidentsRead}, "create_incident", `{"title":"x","severity":"low"}`)
	call(everything, "nothing", `{}`)
	f.do(t, "POST", "/mcp", f.bearer(t, everything...), `[
		{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_incidents","arguments":{"limit":1}}},
		{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_incidents","arguments":{"limit":2}}}]`)
	f.do(t, "POST", "/mcp", f.bearer(t, everything...), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)

	done, stop := context.WithCancel(t.Context())
	stop()
	if err := log.Run(done); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	want := []string{
		"create_incident ok 1",
		"create_incident replayed -",
		"create_incident idempotency_key_reused -",
		"create_incident invalid_arguments -",
		"create_incident not_found -",
		"list_incidents ok -",
		"get_incident ok 1",
		"get_incident not_found 7",
		"acknowledge_incident ok 1",
		"acknowledge_incident ok 1",
		"acknowledge_incident replayed 1",
		"transition_incident_status invalid_status_transition 1",
		"transition_incident_status ok 1",
		"transition_incident_status replayed 1",
		"resolve_incident ok 1",
		"resolve_incident replayed 1",
		"resolve_incident not_found 7",
		"create_incident insufficient_scope -",
		"list_incidents ok -",
		"list_incidents ok -",
	}
	if diff := cmp.Diff(want, auditRows(t, st)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

// auditRows returns the audit log in the order of its ids, and fails if a row is
// not of Alice's connection.
func auditRows(t *testing.T, st *store.Store) []string {
	t.Helper()
	rows, err := st.Pool().Query(t.Context(), `
		SELECT action || ' ' || outcome || ' ' || COALESCE(incident::text, '-'),
		       org_id || ' ' || user_id || ' ' || connection_id || ' ' || client_id
		FROM audit_events ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ Call, Who string }
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for _, r := range all {
		calls = append(calls, r.Call)
		if r.Who != "org_acme user_alice 01940000-0000-7000-8000-000000000001 client_claude" {
			t.Errorf("%s is of %s", r.Call, r.Who)
		}
	}
	return calls
}

// TestWhatCannotBeRecordedIsNotAnswered: nobody reads without a trace.
func TestWhatCannotBeRecordedIsNotAnswered(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	f := newFixture(t, st, func(c *resource.Config) {
		c.Audit = func(context.Context, store.AuditEvent) error { return errors.New("the log is full") }
	})
	a := f.do(t, "POST", "/mcp", f.bearer(t, everything...), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_incidents","arguments":{}}}`)
	if !strings.Contains(a.body, `"code":"unavailable"`) || strings.Contains(a.body, "full") {
		t.Errorf("a list: got %s, want the tool error unavailable", a.body)
	}
	if a := f.do(t, "POST", "/mcp", f.bearer(t, store.ScopeIncidentsRead), create); a.StatusCode != 503 {
		t.Errorf("a call that the scopes forbid: got %d %s, want 503", a.StatusCode, a.body)
	}
	// It is recorded with its effect and needs no batch.
	if a := f.do(t, "POST", "/mcp", f.bearer(t, everything...), create); strings.Contains(a.body, "isError") {
		t.Errorf("a creation: got %s", a.body)
	}
	if got := auditRows(t, st); len(got) != 1 {
		t.Errorf("recorded %q, want the creation", got)
	}
}

// TestAPanicIsRecorded: a call that made us stumble is one that happened.
func TestAPanicIsRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, func(c *resource.Config) {
		c.ClientName = func(context.Context, uuid.UUID) (string, error) { panic("kaboom") }
	})
	f.do(t, "POST", "/mcp", f.bearer(t, everything...), create)
	if len(f.calls) != 1 || f.calls[0].Outcome != "server_error" {
		t.Errorf("recorded %+v, want one call that ended in server_error", f.calls)
	}
}
