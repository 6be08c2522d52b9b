package main

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

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
			var unsent, jobs, timers int
			err = s.Pool().QueryRow(t.Context(), `
				SELECT (SELECT count(*) FROM pages WHERE outcome IS DISTINCT FROM 'sent'), (SELECT count(*) FROM river_job),
				       (SELECT count(*) FROM river_job j JOIN incidents i ON i.id = (j.args->>'incident')::uuid
				        WHERE j.kind = 'escalate' AND j.scheduled_at = i.next_page_at AND i.next_page_at > $1)`, now).Scan(&unsent, &jobs, &timers)
			if err != nil || unsent != 0 || jobs != 1 || timers != 1 {
				t.Errorf("got %d unsent pages, %d jobs and %d timers %v, want the open incident's timer alone", unsent, jobs, timers, err)
			}
			globex, err := s.Incidents(t.Context(), clerkdev.GlobexID, store.IncidentQuery{Limit: 100})
			if err != nil || len(globex) != 3 {
				t.Errorf("Globex: got %d incidents %v, want 3", len(globex), err)
			}
		})
	}
}

// The demo data could have been made by people and clients with the product's
// rules in their way.
func TestDemoDataObeysTheRules(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	if err := seedDemo(t.Context(), s, now); err != nil {
		t.Fatal(err)
	}
	for rule, violations := range map[string]string{
		"an incident is public from its first public update on": `
			SELECT i.title FROM incidents i
			LEFT JOIN (SELECT incident_id, min(posted_at) AS first FROM incident_updates WHERE visibility = 'public' GROUP BY incident_id) u
			       ON u.incident_id = i.id
			WHERE i.public_at IS DISTINCT FROM u.first`,
		"what is public affects a component of a published page": `
			SELECT i.title FROM incidents i
			WHERE i.public_at IS NOT NULL AND NOT EXISTS (
				SELECT FROM incident_components ic
				JOIN status_page_components p ON p.org_id = ic.org_id AND p.component_id = ic.component_id
				JOIN status_pages s ON s.org_id = p.org_id AND s.published
				WHERE ic.org_id = i.org_id AND ic.incident_id = i.id)`,
		"an incident takes every step, one at a time": `
			SELECT i.title FROM incidents i
			JOIN LATERAL (SELECT string_agg(e.status, ' ' ORDER BY e.seq) AS steps FROM incident_events e
			              WHERE e.incident_id = i.id AND e.status IS NOT NULL) history ON true
			WHERE NOT starts_with('investigating identified monitoring resolved', steps)`,
		"time does not go back within an incident": `
			SELECT i.title FROM incidents i
			JOIN incident_events e ON e.incident_id = i.id
			JOIN incident_events later ON later.incident_id = i.id AND later.seq > e.seq AND later.at < e.at`,
		"there is a page of some of the components, and one under maintenance": `
			SELECT o.name FROM organizations o
			WHERE NOT (SELECT count(p) BETWEEN 1 AND count(*) - 1 FROM components c
			           LEFT JOIN status_page_components p ON p.org_id = c.org_id AND p.component_id = c.id WHERE c.org_id = o.id)
			   OR o.slug = 'acme' AND NOT EXISTS (SELECT FROM components WHERE org_id = o.id AND status_override = 'maintenance')`,
		"Acme has two schedules, an override that stands now, and two people who alternate by the week where clocks change": `
			SELECT o.name FROM organizations o
			WHERE o.slug = 'acme' AND ((SELECT count(*) FROM schedules WHERE org_id = o.id) < 2
			   OR NOT EXISTS (SELECT FROM schedule_overrides WHERE org_id = o.id AND '2026-11-22T10:00Z' BETWEEN starts_at AND ends_at)
			   OR NOT EXISTS (SELECT FROM schedules s JOIN schedule_layers l ON l.org_id = s.org_id AND l.schedule_id = s.id
			                  WHERE s.org_id = o.id AND s.timezone = 'Europe/Berlin' AND l.rotation_type = 'weekly' AND cardinality(participant_ids) = 2))`,
		"policies stand at their defaults": `SELECT org_id FROM org_policies`,
	} {
		rows, err := s.Pool().Query(t.Context(), violations)
		if err != nil {
			t.Fatal(err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(found) > 0 {
			t.Errorf("%s: got %q %v", rule, found, err)
		}
	}
	for slug, want := range map[string]struct {
		status         store.ComponentStatus
		open, resolved int
	}{"acme": {store.ComponentPartialOutage, 1, 6}, "globex": {store.ComponentOperational, 0, 1}} {
		page, err := s.StatusPage(t.Context(), slug, now)
		if err != nil {
			t.Fatal(err)
		}
		if page.Status() != want.status || len(page.Open) != want.open || len(page.Resolved) != want.resolved {
			t.Errorf("%s: got %s with %d open and %d resolved incidents, want %v", slug, page.Status(), len(page.Open), len(page.Resolved), want)
		}
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
