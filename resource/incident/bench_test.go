package incident_test

import (
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// BenchmarkPage is what a page costs in an organization of 100,000 incidents and
// a million events, 100,000 of them of one incident: the first page beside one
// at half of the depth. Incidents are of the last hundred days; one in a hundred
// is open.
//
//	go test ./resource/incident -run - -bench Page
func BenchmarkPage(b *testing.B) {
	s := storetest.Open(b)
	large(b, s)
	service := incident.New(s, incident.Config{Now: time.Now, PublicURL: "https://mcp.example"})

	for _, filter := range []incident.ListQuery{
		{},
		{Status: "investigating"}, {Status: "resolved"},
		{Severity: "critical"}, {Severity: "low"},
		{Status: "investigating", Severity: "critical"}, {Status: "resolved", Severity: "low"},
		{From: "2026-01-10", To: "2026-03-20"},
		{Status: "resolved", Severity: "critical", From: "2026-01-10", To: "2026-03-20"},
	} {
		name := strings.Join(strings.Fields(strings.Join([]string{filter.Status, filter.Severity, filter.From}, " ")), "+")
		if name == "" {
			name = "everything"
		}
		list := func(b *testing.B, q incident.ListQuery) *incident.Page {
			page, err := service.List(b.Context(), "acme", q)
			if err != nil || len(page.Incidents) == 0 {
				b.Fatalf("got %v, %v", page, err)
			}
			return page
		}
		b.Run("list/"+name+"/first", func(b *testing.B) {
			for b.Loop() {
				list(b, filter)
			}
		})
		b.Run("list/"+name+"/deep", func(b *testing.B) {
			deep := filter
			deep.Limit = new(incident.MaxLimit)
			for n := matching(b, s, filter) / 2; n > 0; n -= incident.MaxLimit {
				deep.Cursor = list(b, deep).NextCursor
			}
			deep.Limit = nil
			for b.Loop() {
				list(b, deep)
			}
		})
	}

	timeline := func(b *testing.B, q incident.TimelineQuery) *incident.TimelinePage {
		page, err := service.Timeline(b.Context(), "acme", q)
		if err != nil || len(page.Entries) == 0 {
			b.Fatalf("got %v, %v", page, err)
		}
		return page
	}
	long := incident.TimelineQuery{SequentialID: 50_000}
	b.Run("timeline/short", func(b *testing.B) {
		for b.Loop() {
			timeline(b, incident.TimelineQuery{SequentialID: 49_999})
		}
	})
	b.Run("timeline/long/first", func(b *testing.B) {
		for b.Loop() {
			timeline(b, long)
		}
	})
	b.Run("timeline/long/deep", func(b *testing.B) {
		deep := long
		deep.Limit = new(incident.MaxLimit)
		for range 50_000 / incident.MaxLimit {
			deep.Cursor = timeline(b, deep).NextCursor
		}
		deep.Limit = nil
		for b.Loop() {
			timeline(b, deep)
		}
	})
	b.Run("incident/long", func(b *testing.B) {
		for b.Loop() {
			if _, err := service.Get(b.Context(), "acme", 50_000); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// matching returns how many incidents a list with the filters of q has.
func matching(b *testing.B, s *store.Store, q incident.ListQuery) (n int) {
	b.Helper()
	err := s.Pool().QueryRow(b.Context(), `
		SELECT count(*) FROM incidents
		WHERE org_id = 'acme' AND status IN ($1, CASE $1 WHEN '' THEN 'investigating' END, CASE $1 WHEN '' THEN 'resolved' END)
		  AND severity LIKE $2 || '%'
		  AND ($3 = '' OR created_at >= ($3 || 'Z')::timestamptz AND created_at < ($4 || 'Z')::timestamptz + interval '1 day')`,
		q.Status, q.Severity, q.From, q.To).Scan(&n)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func large(b *testing.B, s *store.Store) {
	b.Helper()
	for id, org := range map[string]string{"ann": "acme", "gus": "globex"} {
		m := store.Membership{Organization: store.Organization{ID: org, Slug: org, Name: org}, Role: store.RoleMember}
		if _, err := s.SavePerson(b.Context(), store.User{ID: id, Name: id, Email: id}, []store.Membership{m}, noon, ""); err != nil {
			b.Fatal(err)
		}
	}
	for _, sql := range []string{
		`INSERT INTO components (org_id, id, name, created_at) SELECT 'acme', gen_random_uuid(), 'Component ' || n, now() FROM generate_series(1, 20) n`,
		`INSERT INTO incidents (org_id, id, sequential_id, title, description, severity, status, owner_id, created_by, created_at, updated_at, resolved_at)
		 SELECT 'acme', gen_random_uuid(), n, 'Payments fail for one card in ' || n, repeat('What is known. ', 20),
		        (ARRAY['critical', 'high', 'medium', 'low'])[1 + n / 10 % 4], status, 'ann', 'ann', at, at, CASE status WHEN 'resolved' THEN at END
		 FROM generate_series(1, 100000) n,
		      LATERAL (SELECT CASE WHEN n % 100 = 0 THEN 'investigating' ELSE 'resolved' END AS status, '2026-01-01Z'::timestamptz + n * interval '86.4 seconds' AS at) x`,
		`INSERT INTO incident_components (org_id, incident_id, component_id)
		 SELECT i.org_id, i.id, c.id FROM incidents i JOIN LATERAL (SELECT id FROM components ORDER BY name OFFSET i.sequential_id % 20 LIMIT 1) c ON true`,
		`INSERT INTO incident_events (org_id, incident_id, id, type, at, actor_id, status)
		 SELECT 'acme', i.id, gen_random_uuid(), CASE WHEN g < 5 THEN 'status_changed' ELSE 'incident_acknowledged' END, created_at, 'ann', CASE WHEN g < 5 THEN 'identified' END
		 FROM generate_series(1, 9) g, incidents i WHERE g = 1 OR sequential_id <> 50000`,
		`WITH u AS (
			INSERT INTO incident_updates (org_id, incident_id, id, body, visibility, posted_by, posted_at)
			SELECT 'acme', id, gen_random_uuid(), repeat('What we did. ', 20), 'internal', 'ann', created_at
			FROM incidents, generate_series(1, 100000) WHERE sequential_id = 50000
			RETURNING *)
		 INSERT INTO incident_events (org_id, incident_id, id, type, at, actor_id, update_id)
		 SELECT org_id, incident_id, gen_random_uuid(), 'update_posted', posted_at, 'ann', id FROM u`,
		`VACUUM ANALYZE`,
	} {
		if _, err := s.Pool().Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
}
