package main

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// A demo that is started in summer and one that is started in winter, in the
// middle of a night and on the day a clock changes, are all whole.
func TestDemoDataIsWholeWheneverItIsSeeded(t *testing.T) {
	t.Parallel()
	for _, start := range []string{"2026-11-22T10:00:00Z", "2026-03-29T01:30:00Z", "2028-02-29T23:59:59Z"} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()
			now, err := time.Parse(time.RFC3339, start)
			if err != nil {
				t.Fatal(err)
			}
			s := storetest.Open(t)
			if err := seedDemo(t.Context(), s, now); err != nil {
				t.Fatal(err)
			}
			acme, err := s.Incidents(t.Context(), clerkdev.AcmeID, store.IncidentQuery{Limit: 100})
			if err != nil || len(acme) != 12 {
				t.Fatalf("Acme: got %d incidents %v, want 12", len(acme), err)
			}
			if oldest := acme[len(acme)-1].CreatedAt; oldest.Before(now.AddDate(0, 0, -90)) {
				t.Errorf("the oldest incident is of %v, more than 90 days ago", oldest)
			}
			for n, i := range acme {
				if len(i.AffectedComponents) == 0 || i.Owner == nil {
					t.Errorf("number %d has components %v and owner %v", i.SequentialID, i.AffectedComponents, i.Owner)
				}
				if open := i.ResolvedAt == nil; open != (n == 0) {
					t.Errorf("number %d: open is %v; the newest alone should be", i.SequentialID, open)
				}
				if i.UpdatedAt.After(now) {
					t.Errorf("number %d was updated in the future, %v", i.SequentialID, i.UpdatedAt)
				}
			}
			newest, err := s.Incident(t.Context(), clerkdev.AcmeID, acme[0].SequentialID)
			if err != nil {
				t.Fatal(err)
			}
			if newest.EscalationPolicyID == nil || newest.Escalation.State != store.EscalationPaging {
				t.Errorf("the open incident: got policy %v and escalation %s, want it paged", newest.EscalationPolicyID, newest.Escalation.State)
			}
			globex, err := s.Incidents(t.Context(), clerkdev.GlobexID, store.IncidentQuery{Limit: 100})
			if err != nil || len(globex) != 3 {
				t.Errorf("Globex: got %d incidents %v, want 3", len(globex), err)
			}
		})
	}
}

func TestASecondStartKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	incidents := func() []*store.Incident {
		t.Helper()
		list, err := s.Incidents(t.Context(), clerkdev.AcmeID, store.IncidentQuery{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if err := seedDemo(t.Context(), s, now); err != nil {
		t.Fatal(err)
	}
	before := incidents()
	if err := seedDemo(t.Context(), s, now.AddDate(0, 0, 3)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, incidents()); diff != "" {
		t.Errorf("after the second start (-before +after):\n%s", diff)
	}
}
