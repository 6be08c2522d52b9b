package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// do runs f in a transaction that must succeed.
func do(t testing.TB, s *store.Store, f func(context.Context, pgx.Tx) error) {
	t.Helper()
	if err := pgx.BeginFunc(t.Context(), s.Pool(), func(tx pgx.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// statusPageOf publishes a page of an organization, whose slug is its id.
func statusPageOf(t testing.TB, s *store.Store, orgID string, components ...uuid.UUID) {
	t.Helper()
	do(t, s, func(ctx context.Context, tx pgx.Tx) error {
		return s.CreateStatusPageTx(ctx, tx, store.NewStatusPage{
			OrgID: orgID, Slug: orgID, Name: "Name of " + orgID, Published: true, ComponentIDs: components}, noon)
	})
}

func TestStatusPageShowsWhatIsPublicInItsOrder(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gus")
	api, queue, hidden := createComponent(t, s, "acme", "API"), createComponent(t, s, "acme", "Queue"), createComponent(t, s, "acme", "Hidden")
	statusPageOf(t, s, "acme", queue, api)
	statusPageOf(t, s, "globex", createComponent(t, s, "globex", "API"))
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	by := func(n int) store.Change { return store.Change{UserID: "ann", At: minute(n)} }
	incident := func(title string, severity store.Severity, at int, components ...uuid.UUID) uuid.UUID {
		return createIncident(t, s, store.NewIncident{
			OrgID: "acme", Title: title, Description: "internal", Severity: severity, ComponentIDs: components}, "ann", minute(at)).ID
	}
	publish := func(id uuid.UUID, at int) {
		if _, err := s.Pool().Exec(t.Context(), `UPDATE incidents SET public_at = $2 WHERE id = $1`, id, minute(at)); err != nil {
			t.Fatal(err)
		}
	}
	to := func(id uuid.UUID, from, to store.IncidentStatus, at int) {
		do(t, s, func(ctx context.Context, tx pgx.Tx) error {
			return s.ChangeStatusTx(ctx, tx, "acme", id, from, to, new("internal"), by(at))
		})
	}
	post := func(id uuid.UUID, body string, v store.Visibility, at int) uuid.UUID {
		return commit(t, s, func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
			u, err := s.PostUpdateTx(ctx, tx, "acme", id, body, v, by(at))
			if err != nil {
				return uuid.Nil, err
			}
			return u.ID, nil
		})
	}

	over := incident("Over", store.SeverityCritical, 0, api)
	publish(over, 0)
	to(over, "investigating", "resolved", 1)
	overLater := incident("Over later", store.SeverityCritical, -10, api)
	publish(overLater, 0)
	to(overLater, "investigating", "resolved", 2)
	first := incident("First", store.SeverityLow, 10, hidden, api, queue)
	post(first, "internal", store.VisibilityInternal, 11)
	to(first, "investigating", "identified", 12)
	post(first, "We know.", store.VisibilityPublic, 13)
	publish(first, 13)
	redacted := post(first, "A secret.", store.VisibilityPublic, 14)
	if _, err := s.Pool().Exec(t.Context(), `
		UPDATE incident_updates SET body = NULL, redacted_at = $2, redacted_by = 'ann' WHERE org_id = 'acme' AND id = $1`, redacted, minute(15)); err != nil {
		t.Fatal(err)
	}
	second := incident("Second", store.SeverityHigh, 20, api)
	publish(second, 20)
	incident("Not public", store.SeverityCritical, 30, api)
	publish(incident("Of what is not on the page", store.SeverityCritical, 31, hidden), 31)
	publish(incident("Of nothing", store.SeverityCritical, 32), 32)
	do(t, s, func(ctx context.Context, tx pgx.Tx) error {
		return s.OverrideComponentStatusTx(ctx, tx, "acme", queue, new(store.ComponentMaintenance))
	})

	got, err := s.StatusPage(t.Context(), "acme", minute(60))
	step := func(at int, status store.IncidentStatus) store.PublicEntry {
		return store.PublicEntry{At: minute(at), Status: &status}
	}
	want := &store.StatusPage{
		Slug: "acme", Name: "Name of acme",
		Components: []*store.StatusComponent{
			{Name: "Queue", Override: new(store.ComponentMaintenance), Severities: []store.Severity{"low"}},
			{Name: "API", Severities: []store.Severity{"high", "low"}},
		},
		Open: []*store.PublicIncident{
			{Title: "Second", Status: "investigating", Components: []string{"API"}, CreatedAt: minute(20), Timeline: []store.PublicEntry{step(20, "investigating")}},
			{Title: "First", Status: "identified", Components: []string{"Queue", "API"}, CreatedAt: minute(10), Timeline: []store.PublicEntry{
				{At: minute(14)}, {At: minute(13), Body: new("We know.")}, step(12, "identified"), step(10, "investigating")}},
		},
		Resolved: []*store.PublicIncident{
			{Title: "Over later", Status: "resolved", Components: []string{"API"}, CreatedAt: minute(0), ResolvedAt: new(minute(2)),
				Timeline: []store.PublicEntry{step(2, "resolved"), step(0, "investigating")}},
			{Title: "Over", Status: "resolved", Components: []string{"API"}, CreatedAt: minute(0), ResolvedAt: new(minute(1)),
				Timeline: []store.PublicEntry{step(1, "resolved"), step(0, "investigating")}},
		},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}

	got, err = s.StatusPage(t.Context(), "acme", minute(1).Add(store.StatusHistory))
	if err != nil || len(got.Resolved) != 1 || got.Resolved[0].Title != "Over later" {
		t.Errorf("90 days after the first ended: got %v %v, want the other alone", got.Resolved, err)
	}
	if got, err := s.StatusPage(t.Context(), "globex", minute(60)); err != nil || len(got.Open)+len(got.Resolved) != 0 || len(got.Components) != 1 {
		t.Errorf("globex: got %+v %v, want its component and no incident", got, err)
	}
}

func TestThereIsNoStatusPageUnlessItIsPublished(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gus")
	api := createComponent(t, s, "acme", "API")
	create := func(n store.NewStatusPage) func(context.Context, pgx.Tx) (any, error) {
		return func(ctx context.Context, tx pgx.Tx) (any, error) {
			return nil, s.CreateStatusPageTx(ctx, tx, n, noon)
		}
	}
	absent := func(slug string) {
		t.Helper()
		if got, err := s.StatusPage(t.Context(), slug, noon); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got %v %v, want not found", slug, got, err)
		}
	}
	absent("acme")
	page := store.NewStatusPage{OrgID: "acme", Slug: "acme", Name: "Acme", ComponentIDs: []uuid.UUID{api}}
	commit(t, s, create(page))
	absent("acme")
	refused(t, s, store.ErrConflict, create(page))
	refused(t, s, store.ErrConflict, create(store.NewStatusPage{OrgID: "globex", Slug: "acme", Name: "Globex"}))
	refused(t, s, store.ErrNotFound, create(store.NewStatusPage{OrgID: "globex", Slug: "globex", Name: "Globex", ComponentIDs: []uuid.UUID{api}}))
	refused(t, s, store.ErrNotFound, func(ctx context.Context, tx pgx.Tx) (any, error) {
		return nil, s.OverrideComponentStatusTx(ctx, tx, "globex", api, nil)
	})
	absent("globex")
	if _, err := s.Pool().Exec(t.Context(), `UPDATE status_pages SET published = true WHERE org_id = 'acme'`); err != nil {
		t.Fatal(err)
	}
	if got, err := s.StatusPage(t.Context(), "acme", noon); err != nil || got.Name != "Acme" {
		t.Errorf("once published: got %v %v, want it", got, err)
	}
}

// fill gives acme a page with two components and many public incidents, each
// with an internal update and many public ones.
func fill(t testing.TB, s *store.Store, open, resolved, updates, bytes int) {
	t.Helper()
	incidentOrg(t, s, "acme", "ann")
	statusPageOf(t, s, "acme", createComponent(t, s, "acme", "API"), createComponent(t, s, "acme", "Queue"))
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO incidents (org_id, id, sequential_id, title, description, severity, status, created_by, created_at, updated_at, resolved_at, public_at)
		SELECT 'acme', gen_random_uuid(), n, 'Incident ' || n, '', 'low', CASE WHEN n <= $1::int THEN 'monitoring' ELSE 'resolved' END,
		       'ann', $3::timestamptz - n * interval '1 minute', $3, CASE WHEN n > $1::int THEN $3::timestamptz - n * interval '1 minute' END, $3
		FROM generate_series(1, $1::int + $2::int) n`, []any{open, resolved, noon}},
		{`INSERT INTO incident_components (org_id, incident_id, component_id)
		SELECT i.org_id, i.id, c.id FROM incidents i JOIN components c USING (org_id)`, nil},
		{`INSERT INTO incident_updates (org_id, incident_id, id, body, visibility, posted_by, posted_at)
		SELECT org_id, i.id, gen_random_uuid(), n || repeat('x', $2::int), CASE n WHEN 0 THEN 'internal' ELSE 'public' END, 'ann',
		       created_at + n * interval '1 second'
		FROM incidents i, generate_series(0, $1::int) n`, []any{updates, bytes}},
		{`INSERT INTO incident_events (org_id, incident_id, id, type, at, actor_id, status)
		SELECT org_id, id, gen_random_uuid(), 'incident_created', created_at, 'ann', 'investigating' FROM incidents`, nil},
		{`INSERT INTO incident_events (org_id, incident_id, id, type, at, actor_id, update_id)
		SELECT org_id, incident_id, gen_random_uuid(), 'update_posted', posted_at, posted_by, id FROM incident_updates`, nil},
	} {
		if _, err := s.Pool().Exec(t.Context(), statement.sql, statement.args...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Pool().Exec(t.Context(), `ANALYZE`); err != nil {
		t.Fatal(err)
	}
}

func TestStatusPageSaysWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	count := func(p *store.StatusPage) (updates, cut, size int) {
		for _, i := range slices.Concat(p.Open, p.Resolved) {
			if i.MoreUpdates {
				cut++
			}
			for _, e := range i.Timeline {
				if e.Body != nil {
					updates++
					size += len(*e.Body)
				}
			}
		}
		return updates, cut, size
	}
	t.Run("all that there is room for", func(t *testing.T) {
		t.Parallel()
		s := storetest.Open(t)
		fill(t, s, 20, 100, 50, 10)
		p, err := s.StatusPage(t.Context(), "acme", noon)
		if err != nil {
			t.Fatal(err)
		}
		if updates, cut, _ := count(p); len(p.Open) != 20 || len(p.Resolved) != 100 || p.MoreOpen || p.MoreResolved || updates != 120*50 || cut > 0 {
			t.Errorf("got %d open (more: %v), %d resolved (more: %v), %d updates, %d incidents cut",
				len(p.Open), p.MoreOpen, len(p.Resolved), p.MoreResolved, updates, cut)
		}
	})
	t.Run("one more of each", func(t *testing.T) {
		t.Parallel()
		s := storetest.Open(t)
		fill(t, s, 21, 101, 51, 10)
		p, err := s.StatusPage(t.Context(), "acme", noon)
		if err != nil {
			t.Fatal(err)
		}
		if updates, cut, _ := count(p); len(p.Open) != 20 || len(p.Resolved) != 100 || !p.MoreOpen || !p.MoreResolved || updates != 120*50 || cut != 120 {
			t.Errorf("got %d open (more: %v), %d resolved (more: %v), %d updates, %d incidents cut",
				len(p.Open), p.MoreOpen, len(p.Resolved), p.MoreResolved, updates, cut)
		}
		if first, last := p.Open[0].Title, p.Resolved[99].Title; first != "Incident 1" || last != "Incident 121" {
			t.Errorf("got %s to %s, want the newest", first, last)
		}
		if newest := p.Open[0].Timeline[0]; newest.Body == nil || !strings.HasPrefix(*newest.Body, "51x") {
			t.Errorf("newest update: got %+v, want the last", newest)
		}
	})
	t.Run("more text than a page may have", func(t *testing.T) {
		t.Parallel()
		s := storetest.Open(t)
		fill(t, s, 20, 20, 20, 9000)
		p, err := s.StatusPage(t.Context(), "acme", noon)
		if err != nil {
			t.Fatal(err)
		}
		if _, cut, size := count(p); size > 1<<20 || size < 1<<20-9010 || cut != 35 || p.Open[0].MoreUpdates || !p.Resolved[19].MoreUpdates {
			t.Errorf("got %d bytes and %d incidents cut, want just below 1 MiB and the older ones cut", size, cut)
		}
		if len(p.Resolved[19].Timeline) != 1 {
			t.Errorf("last incident: got %d entries, want its one step", len(p.Resolved[19].Timeline))
		}
	})
}

// A page costs the same number of statements whatever is on it, and each reads
// an index: what is not public, of another organization or long over is not
// even looked at.
func TestStatusPageReadsIndexesInFewStatements(t *testing.T) {
	t.Parallel()
	watched := &statements{}
	s := storetest.Open(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = watched })
	fill(t, s, 5, 40, 100, 10)
	incidentOrg(t, s, "globex", "gus")
	if _, err := s.Pool().Exec(t.Context(), `
		INSERT INTO incidents (org_id, id, sequential_id, title, description, severity, status, created_by, created_at, updated_at, resolved_at, public_at)
		SELECT org, gen_random_uuid(), 1000 + n, 'Incident', '', 'low', CASE WHEN n % 2 = 0 THEN 'monitoring' ELSE 'resolved' END, person, at, at,
		       CASE WHEN n % 2 = 1 THEN at END, CASE WHEN n % 2 = 1 THEN at END
		FROM generate_series(1, 4000) n, (VALUES ('acme', 'ann'), ('globex', 'gus')) o (org, person),
		     LATERAL (SELECT '2024-01-01Z'::timestamptz + n * interval '1 minute' AS at) x`); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`INSERT INTO incident_components (org_id, incident_id, component_id)
		SELECT i.org_id, i.id, c.id FROM incidents i JOIN components c USING (org_id) WHERE sequential_id > 1000`, `ANALYZE`} {
		if _, err := s.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	watched.forget()
	p, err := s.StatusPage(t.Context(), "acme", noon)
	if err != nil || len(p.Open) != 5 || len(p.Resolved) != 40 {
		t.Fatalf("got %+v %v, want 5 open and 40 resolved incidents", p, err)
	}
	asked := slices.Clone(watched.all)
	if len(asked) != 7 {
		t.Errorf("got %d statements, want 5 in a transaction", len(asked))
	}
	for _, a := range asked {
		if !strings.Contains(a.SQL, "SELECT") {
			continue
		}
		var answer []byte
		if err := s.Pool().QueryRow(t.Context(), `EXPLAIN (FORMAT JSON) `+a.SQL, a.Args...).Scan(&answer); err != nil {
			t.Fatal(err)
		}
		var plans []struct{ Plan plan }
		if err := json.Unmarshal(answer, &plans); err != nil {
			t.Fatal(err)
		}
		plans[0].Plan.each(false, func(p plan, _ bool) {
			if p.Type == "Seq Scan" && slices.Contains([]string{"i", "ic", "incident_components", "e", "incident_updates"}, p.Alias) {
				t.Errorf("all of %s is read by%s\n%s", p.Alias, a.SQL, answer)
			}
		})
	}
}

// A reader never sees a component suffer from an incident that is not there,
// nor an incident without its first step.
func TestStatusPageIsOfOneInstant(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	api := createComponent(t, s, "acme", "API")
	statusPageOf(t, s, "acme", api)
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	defer writer.Wait()
	defer cancel()
	writer.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			by := store.Change{UserID: "ann", At: noon.Add(time.Duration(n) * time.Second)}
			var id uuid.UUID
			for _, f := range []func(pgx.Tx) error{
				func(tx pgx.Tx) error {
					i, err := s.CreateIncidentTx(ctx, tx, store.NewIncident{
						OrgID: "acme", Title: fmt.Sprint(n), Severity: store.SeverityLow, ComponentIDs: []uuid.UUID{api}, Public: true}, by)
					if err == nil {
						id = i.ID
					}
					return err
				},
				func(tx pgx.Tx) error {
					return s.ChangeStatusTx(ctx, tx, "acme", id, "investigating", "resolved", nil, by)
				},
			} {
				if err := pgx.BeginFunc(ctx, s.Pool(), f); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for seen := 0; seen < 15; {
		p, err := s.StatusPage(t.Context(), "acme", noon)
		if err != nil {
			t.Fatal(err)
		}
		if (len(p.Open) > 0) != (len(p.Components[0].Severities) > 0) {
			t.Fatalf("the component has %v, with %d open incidents", p.Components[0].Severities, len(p.Open))
		}
		seen += len(p.Open)
	}
}
