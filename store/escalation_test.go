package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

func createPolicy(t *testing.T, s *store.Store, orgID, name, userID string, at time.Time, layers ...*store.EscalationLayer) uuid.UUID {
	t.Helper()
	return commit(t, s, func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
		return s.CreateEscalationPolicyTx(ctx, tx, orgID, store.EscalationPolicy{Name: name, Layers: layers}, store.Change{UserID: userID, At: at})
	})
}

func TestEscalationPolicyReadsBackInOrder(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea")
	incidentOrg(t, s, "globex", "gus")
	schedule := createSchedule(t, s, "acme", "Primary", "ann")
	want := &store.EscalationPolicy{Name: "Default", CreatedAt: noon, Layers: []*store.EscalationLayer{
		{Position: 1, AckTimeoutMinutes: 5, ScheduleID: &schedule},
		{Position: 2, AckTimeoutMinutes: 10080, UserIDs: []string{"bea", "ann"}},
	}}
	want.ID = createPolicy(t, s, "acme", "Default", "ann", noon, want.Layers...)
	got := commit(t, s, func(ctx context.Context, tx pgx.Tx) (*store.EscalationPolicy, error) {
		return s.EscalationPolicyTx(ctx, tx, "acme", want.ID)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}

	refused(t, s, store.ErrNotFound, func(ctx context.Context, tx pgx.Tx) (*store.EscalationPolicy, error) {
		return s.EscalationPolicyTx(ctx, tx, "globex", want.ID)
	})
	create := func(orgID, userID string, layers ...*store.EscalationLayer) func(context.Context, pgx.Tx) (uuid.UUID, error) {
		return func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
			return s.CreateEscalationPolicyTx(ctx, tx, orgID, store.EscalationPolicy{Name: "Default", Layers: layers}, store.Change{UserID: userID, At: noon})
		}
	}
	refused(t, s, store.ErrConflict, create("acme", "ann"))
	refused(t, s, store.ErrNotFound, create("globex", "gus", &store.EscalationLayer{AckTimeoutMinutes: 5, ScheduleID: &schedule}))
	for name, layer := range map[string]store.EscalationLayer{
		"both targets": {AckTimeoutMinutes: 5, ScheduleID: &schedule, UserIDs: []string{"ann"}},
		"no target":    {AckTimeoutMinutes: 5},
		"no users":     {AckTimeoutMinutes: 5, UserIDs: []string{}},
		"no time":      {AckTimeoutMinutes: 0, UserIDs: []string{"ann"}},
		"over a week":  {AckTimeoutMinutes: 10081, UserIDs: []string{"ann"}},
	} {
		if _, err := inTx(t.Context(), s, create("acme", "ann", &layer)); err == nil {
			t.Errorf("%s: got a policy, want an error", name)
		}
	}
}

func TestTheMatchingPolicyPagesTheScheduleFirstElseIsTheOldest(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gus")
	schedule := createSchedule(t, s, "acme", "Primary", "ann")
	people := &store.EscalationLayer{AckTimeoutMinutes: 5, UserIDs: []string{"ann"}}
	onCall := &store.EscalationLayer{AckTimeoutMinutes: 5, ScheduleID: &schedule}
	match := func(orgID string) func(context.Context, pgx.Tx) (uuid.UUID, error) {
		return func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
			return s.MatchingEscalationPolicyTx(ctx, tx, orgID, schedule)
		}
	}
	expect := func(want uuid.UUID, why string) {
		t.Helper()
		if got := commit(t, s, match("acme")); got != want {
			t.Errorf("matching policy: got another one than %s", why)
		}
	}
	createPolicy(t, s, "acme", "others alone", "ann", noon, people)
	refused(t, s, store.ErrNotFound, match("acme"))

	createPolicy(t, s, "acme", "second layer, newer", "ann", noon.Add(time.Minute), people, onCall)
	expect(createPolicy(t, s, "acme", "second layer, older", "ann", noon, people, onCall), "the oldest that targets it at all")
	createPolicy(t, s, "acme", "first layer, newer", "ann", noon.Add(3*time.Minute), onCall, people)
	expect(createPolicy(t, s, "acme", "first layer, older", "ann", noon.Add(2*time.Minute), onCall), "the oldest whose first layer targets it")
	refused(t, s, store.ErrNotFound, match("globex"))
}
