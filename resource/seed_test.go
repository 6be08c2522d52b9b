package resource_test

import (
	"testing"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// Ids of what newStore makes.
var (
	componentAPI      = uuid.MustParse("01940000-0000-7000-8000-0000000000a1")
	componentCheckout = uuid.MustParse("01940000-0000-7000-8000-0000000000a2")
	schedulePrimary   = uuid.MustParse("01940000-0000-7000-8000-0000000000b1")
	policyDefault     = uuid.MustParse("01940000-0000-7000-8000-0000000000c1")
	componentGlobex   = uuid.MustParse("01940000-0000-7000-8000-0000000000d1")
)

// newStore returns a database with two organizations: Acme of Alice and Bob,
// who take turns on call by the week, Alice first, and whose status page shows
// the API; and Globex of Carol.
func newStore(t testing.TB) *store.Store {
	t.Helper()
	st := storetest.Open(t)
	acme := store.Organization{ID: "org_acme", Slug: "acme", Name: "Acme"}
	globex := store.Organization{ID: "org_globex", Slug: "globex", Name: "Globex"}
	for _, person := range []struct {
		id, name, email string
		org             store.Organization
	}{
		{"user_alice", "Alice", "alice@acme.example", acme},
		{"user_bob", "Bob", "bob@acme.example", acme},
		{"user_carol", "Carol", "carol@globex.example", globex},
	} {
		u := store.User{ID: person.id, Name: person.name, Email: person.email, EmailVerified: true}
		_, err := st.SavePerson(t.Context(), u, []store.Membership{{Organization: person.org, Role: store.RoleMember}}, now, "")
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO components (org_id, id, name, created_at) VALUES ($1, $2, 'API', $3), ($1, $4, 'Checkout', $3), ('org_globex', $5, 'Reactor', $3)`,
			[]any{acme.ID, componentAPI, now, componentCheckout, componentGlobex}},
		{`INSERT INTO schedules (org_id, id, name, timezone, created_by, created_at) VALUES ($1, $2, 'Primary', 'UTC', 'user_alice', $3)`,
			[]any{acme.ID, schedulePrimary, now}},
		{`INSERT INTO schedule_layers (org_id, schedule_id, id, position, name, rotation_type, rotation_length_days, handoff_time, effective_from, participant_ids)
		  VALUES ($1, $2, $3, 0, 'Weekly', 'weekly', 7, '08:00', '2026-11-16T08:00:00Z', '{user_alice,user_bob}')`,
			[]any{acme.ID, schedulePrimary, uuid.New()}},
		{`INSERT INTO escalation_policies (org_id, id, name, created_by, created_at) VALUES ($1, $2, 'Default', 'user_alice', $3)`,
			[]any{acme.ID, policyDefault, now}},
		{`INSERT INTO escalation_layers (org_id, policy_id, id, position, ack_timeout_minutes, schedule_id) VALUES ($1, $2, $3, 1, 5, $4)`,
			[]any{acme.ID, policyDefault, uuid.New(), schedulePrimary}},
		{`INSERT INTO escalation_layers (org_id, policy_id, id, position, ack_timeout_minutes, user_ids) VALUES ($1, $2, $3, 2, 5, '{user_bob}')`,
			[]any{acme.ID, policyDefault, uuid.New()}},
		{`INSERT INTO status_pages (org_id, slug, name, published, created_at) VALUES ($1, 'acme', 'Acme', true, $2)`, []any{acme.ID, now}},
		{`INSERT INTO status_page_components (org_id, component_id, position) VALUES ($1, $2, 1)`, []any{acme.ID, componentAPI}},
	} {
		if _, err := st.Pool().Exec(t.Context(), row.sql, row.args...); err != nil {
			t.Fatal(err)
		}
	}
	seedSchedules(t, st)
	return st
}
