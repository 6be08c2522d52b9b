package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// TestSchedulesAreListedWhole: with their own layers and overrides, those that
// are over left out, in pages that follow one another; of one organization; and
// in as many statements for twenty as for one.
func TestSchedulesAreListedWhole(t *testing.T) {
	t.Parallel()
	sent := &statements{}
	s := storetest.Open(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = sent })
	incidentOrg(t, s, "acme", "ann", "bea")
	incidentOrg(t, s, "globex", "gus")
	until := noon.Add(24 * time.Hour)
	var want []*store.Schedule
	for n := range 20 {
		sched := store.Schedule{Name: fmt.Sprint("Schedule ", 20-n), Timezone: []string{"Europe/Berlin", "Pacific/Chatham"}[n%2]}
		for l := range n % 3 {
			sched.Layers = append(sched.Layers, &store.ScheduleLayer{Name: fmt.Sprint("Layer ", 9-l), Position: l, RotationType: store.RotationDaily,
				RotationLengthDays: 1, HandoffTime: "09:00", EffectiveFrom: noon, ParticipantIDs: []string{"bea", "ann"}})
		}
		for o := range n % 4 {
			sched.Overrides = append(sched.Overrides, &store.ScheduleOverride{UserID: "ann", StartsAt: noon, EndsAt: until.Add(time.Duration(o) * time.Hour), CreatedAt: noon})
		}
		commit(t, s, func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
			return s.CreateScheduleTx(ctx, tx, "acme", sched, store.Change{UserID: "ann", At: noon})
		})
		sched.Overrides = sched.Overrides[min(1, len(sched.Overrides)):] // the first is over at until
		want = append(want, &sched)
	}
	createSchedule(t, s, "globex", "Theirs", "gus")

	list := func(orgID string, q store.ScheduleQuery) []*store.Schedule {
		t.Helper()
		q.Since = until
		before := len(sent.all)
		schedules, err := s.Schedules(t.Context(), orgID, q)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(sent.all) - before; n != 5 { // three in a transaction
			t.Errorf("it took %d statements, want 5", n)
		}
		return schedules
	}
	ids := cmpopts.IgnoreTypes(uuid.UUID{}, &time.Location{})
	all := list("acme", store.ScheduleQuery{Limit: 100})
	if diff := cmp.Diff(want, all, ids, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if got := all[1].Location.String(); got != "Pacific/Chatham" {
		t.Errorf("location: got %s, want Pacific/Chatham", got)
	}
	var pages []*store.Schedule
	for q := (store.ScheduleQuery{Limit: 7}); ; q.After = pages[len(pages)-1].ID {
		page := list("acme", q)
		pages = append(pages, page...)
		if len(page) < q.Limit {
			break
		}
	}
	if diff := cmp.Diff(all, pages, cmpopts.IgnoreTypes(&time.Location{})); diff != "" {
		t.Errorf("page by page (-all +got):\n%s", diff)
	}
	if one := list("acme", store.ScheduleQuery{ID: all[5].ID, Limit: 1}); len(one) != 1 || one[0].ID != all[5].ID {
		t.Errorf("one by id: got %v", one)
	}
	if theirs := list("globex", store.ScheduleQuery{ID: all[5].ID, Limit: 1}); len(theirs) != 0 {
		t.Errorf("another organization got %v", theirs)
	}
	if theirs := list("globex", store.ScheduleQuery{Limit: 100}); len(theirs) != 1 || theirs[0].Name != "Theirs" {
		t.Errorf("the other organization's: got %v", theirs)
	}
}

// TestParticipantsAreKnownWhetherTheyStayedOrLeft, and whether they can be paged
// is what MembersByIDTx says.
func TestParticipantsAreKnownWhetherTheyStayedOrLeft(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea", "cem", "dan")
	incidentOrg(t, s, "globex", "gus")
	for _, sql := range []string{
		`UPDATE users SET banned = true WHERE id = 'bea'`,
		`UPDATE users SET deleted_at = now() WHERE id = 'cem'`,
		`DELETE FROM memberships WHERE user_id = 'dan'`,
	} {
		if _, err := s.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	ids := []string{"ann", "bea", "cem", "dan", "gus", "nobody"}
	people, err := s.Participants(t.Context(), "acme", ids)
	if err != nil {
		t.Fatal(err)
	}
	members := commit(t, s, func(ctx context.Context, tx pgx.Tx) ([]*store.Person, error) {
		return s.MembersByIDTx(ctx, tx, "acme", ids)
	})
	for _, id := range ids {
		p := people[id]
		if id == "nobody" {
			if p != nil {
				t.Errorf("nobody: got %+v, want nothing", p)
			}
			continue
		}
		paged := slices.ContainsFunc(members, func(m *store.Person) bool { return m.ID == id })
		if p == nil || p.Name != "Name of "+id || p.Member != paged {
			t.Errorf("%s: got %+v, want a name, and member %v", id, p, paged)
		}
	}
}

// TestListsGoOnAfterAnItem: components, members and policies, each of one
// organization.
func TestListsGoOnAfterAnItem(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea", "cem")
	incidentOrg(t, s, "globex", "gus")
	if _, err := s.Pool().Exec(t.Context(), `UPDATE users SET banned = true WHERE id = 'bea'`); err != nil {
		t.Fatal(err)
	}
	api, web := createComponent(t, s, "acme", "Web"), createComponent(t, s, "acme", "API")
	createComponent(t, s, "globex", "Theirs")
	schedule := createSchedule(t, s, "acme", "Primary", "ann")
	policy := func(orgID, name, by string, layers ...*store.EscalationLayer) uuid.UUID {
		return commit(t, s, func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
			return s.CreateEscalationPolicyTx(ctx, tx, orgID, store.EscalationPolicy{Name: name, Layers: layers}, store.Change{UserID: by, At: noon})
		})
	}
	zeta := policy("acme", "Zeta", "ann", &store.EscalationLayer{AckTimeoutMinutes: 5, ScheduleID: &schedule}, &store.EscalationLayer{AckTimeoutMinutes: 10, UserIDs: []string{"cem", "ann"}})
	alpha := policy("acme", "Alpha", "ann")
	policy("globex", "Theirs", "gus")

	components, err := s.ComponentsAfter(t.Context(), "acme", uuid.Nil, 1)
	if err != nil || len(components) != 1 || components[0].ID != api {
		t.Errorf("the first component: got %v, %v", components, err)
	}
	components, err = s.ComponentsAfter(t.Context(), "acme", api, 10)
	if err != nil || len(components) != 1 || components[0].ID != web {
		t.Errorf("the components after it: got %v, %v", components, err)
	}
	members, err := s.MembersAfter(t.Context(), "acme", "ann", 10)
	if err != nil || len(members) != 1 || members[0].ID != "cem" || members[0].Role != store.RoleMember {
		t.Errorf("the members after ann: got %v, %v, want cem alone", members, err)
	}
	policies, err := s.EscalationPoliciesAfter(t.Context(), "acme", uuid.Nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []*store.EscalationSummary{
		{ID: zeta, Name: "Zeta", Targets: []*store.EscalationTarget{
			{EscalationLayer: store.EscalationLayer{Position: 1, AckTimeoutMinutes: 5, ScheduleID: &schedule}, ScheduleName: new("Primary")},
			{EscalationLayer: store.EscalationLayer{Position: 2, AckTimeoutMinutes: 10, UserIDs: []string{"cem", "ann"}}},
		}},
		{ID: alpha, Name: "Alpha"},
	}
	if diff := cmp.Diff(want, policies); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
	policies, err = s.EscalationPoliciesAfter(t.Context(), "acme", zeta, 10)
	if err != nil || len(policies) != 1 || policies[0].ID != alpha {
		t.Errorf("the policies after it: got %v, %v", policies, err)
	}
}
