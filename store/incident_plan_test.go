package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// crowd stores what makes a planner err: four hundred small organizations, and
// acme with as much as all of them; incidents of two events, and acme's number
// 1000 with as many as all of them. A prepared statement has one plan for all.
func crowd(t testing.TB) *store.Store {
	t.Helper()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	for _, sql := range []string{
		`INSERT INTO organizations (id, slug, name, created_at, synced_at)
		 SELECT 'org' || n, 'org' || n, 'Organization', now(), now() FROM generate_series(1, 400) n`,
		`INSERT INTO users (id, name, email, email_verified, created_at, synced_at)
		 SELECT 'user' || n, 'Somebody', 'somebody@example.com', true, now(), now() FROM generate_series(1, 40) n`,
		`INSERT INTO incidents (org_id, id, sequential_id, title, description, severity, status, created_by, created_at, updated_at, resolved_at)
		 SELECT org, gen_random_uuid(), n, 'Incident', '', (ARRAY['critical', 'high', 'medium', 'low'])[1 + n % 4], status, 'ann', at, at,
		        CASE status WHEN 'resolved' THEN at END
		 FROM (SELECT 'acme' AS org, n FROM generate_series(1, 4000) n
		       UNION ALL SELECT 'org' || o, n FROM generate_series(1, 10) n, generate_series(1, 400) o) x,
		      LATERAL (SELECT CASE WHEN n % 250 = 0 THEN 'investigating' ELSE 'resolved' END AS status,
		                      '2026-01-01Z'::timestamptz + n * interval '1 minute' AS at) y
		 ORDER BY n, org`,
		`INSERT INTO incident_updates (org_id, incident_id, id, body, visibility, posted_by, posted_at)
		 SELECT org_id, id, gen_random_uuid(), 'Looking.', 'internal', 'ann', created_at
		 FROM incidents, LATERAL generate_series(1, CASE WHEN org_id = 'acme' AND sequential_id = 1000 THEN 4000 ELSE 1 END) g`,
		`INSERT INTO incident_events (org_id, incident_id, id, type, at, actor_id, status, update_id)
		 SELECT org_id, incident_id, gen_random_uuid(), CASE g WHEN 1 THEN 'status_changed' ELSE 'update_posted' END, posted_at, 'ann',
		        CASE g WHEN 1 THEN 'identified' END, CASE g WHEN 2 THEN id END
		 FROM incident_updates, LATERAL generate_series(1, 2) g ORDER BY g, id`,
		`ANALYZE`,
	} {
		if _, err := s.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestAPageCostsTheSameWhereverItLies: every list, with whatever filters, goes to
// its place in an index and reads on from there, sorting nothing; and so does a
// timeline, and the history of an incident.
func TestAPageCostsTheSameWhereverItLies(t *testing.T) {
	t.Parallel()
	s := crowd(t)
	at := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	deep := &store.IncidentPosition{CreatedAt: at, SequentialID: 2880}
	var variants []variant
	for _, status := range []*store.IncidentStatus{nil, new(store.StatusInvestigating), new(store.StatusResolved)} {
		for _, severity := range []*store.Severity{nil, new(store.SeverityHigh)} {
			for _, from := range []*time.Time{nil, new(at.Add(-36 * time.Hour))} {
				for _, before := range []*time.Time{nil, new(at.Add(36 * time.Hour))} {
					for _, after := range []*store.IncidentPosition{nil, deep} {
						index := "incidents_newest"
						switch {
						case status != nil && severity != nil:
							index += "_by_status_and_severity"
						case status != nil:
							index += "_by_status"
						case severity != nil:
							index += "_by_severity"
						}
						q := store.IncidentQuery{Status: status, Severity: severity, From: from, Before: before, After: after, Limit: 21}
						v := variant{name: fmt.Sprintf("list: status %v, severity %v, from %v, before %v, after %v", status != nil, severity != nil, from != nil, before != nil, after != nil)}
						v.sql, v.args = store.IncidentStatement(q, "acme")
						v.indexes = map[string]string{"incidents": index}
						// Where nearly all incidents have a status, an index without
						// it is as good.
						v.loose = status != nil && *status == store.StatusResolved
						variants = append(variants, v)
					}
				}
			}
		}
	}
	long, err := s.Incident(t.Context(), "acme", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var middle int64 // at the end, sorting what is left would be as good
	if err := s.Pool().QueryRow(t.Context(), `
		SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY seq) FROM incident_events WHERE incident_id = $1`, long.ID).Scan(&middle); err != nil {
		t.Fatal(err)
	}
	for name, after := range map[string]int64{"first page": 0, "deep page": middle} {
		variants = append(variants, variant{
			name: "timeline: " + name, sql: store.TimelineStatement, args: []any{"acme", long.ID, after, 21},
			indexes: map[string]string{"incident_events": "incident_events_pkey", "incident_updates": "incident_updates_pkey"},
		})
	}
	variants = append(variants, variant{
		name: "incident", sql: store.IncidentDetailsStatement, args: []any{"acme", 1000},
		indexes: map[string]string{"incidents": "incidents_sequential_id_unique", "incident_events": "incident_events_status"},
	})
	for _, v := range variants {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			found := map[string]bool{}
			explain(t, s, mode, v).each(false, func(p plan, aggregated bool) {
				if strings.Contains(p.Type, "Sort") && !aggregated { // below an aggregate: of an incident's few components, or statuses
					t.Errorf("%s, %s: it sorts", v.name, mode)
				}
				index := v.indexes[p.Relation]
				if index == "" {
					return
				}
				found[p.Relation] = true
				if v.loose && mode == "force_custom_plan" && p.Filter == "(status = 'resolved'::text)" {
					p.Index, p.Filter = index, ""
				}
				if !strings.HasPrefix(p.Type, "Index") || p.Index != index || !strings.Contains(p.Condition, "org_id = ") || p.Filter != "" {
					t.Errorf("%s, %s: got %s of %s, condition %q, filter %q, want an index scan of %s", v.name, mode, p.Type, p.Index, p.Condition, p.Filter, index)
				}
			})
			if len(found) != len(v.indexes) {
				t.Errorf("%s, %s: it reads %v, want %v", v.name, mode, found, v.indexes)
			}
		}
	}
}

// variant is a statement, and the index by which it must read each table, with
// nothing left to filter.
type variant struct {
	name, sql string
	args      []any
	indexes   map[string]string
	loose     bool // a plan that knows the arguments may filter by status instead
}

// plan is a node of EXPLAIN's answer.
type plan struct {
	Type      string `json:"Node Type"`
	Relation  string `json:"Relation Name"`
	Alias     string
	Index     string `json:"Index Name"`
	Condition string `json:"Index Cond"`
	Filter    string
	Plans     []plan
}

// each calls f for p and what is below it, and says whether an aggregate is
// above.
func (p plan) each(aggregated bool, f func(p plan, aggregated bool)) {
	f(p, aggregated)
	for _, below := range p.Plans {
		below.each(aggregated || p.Type == "Aggregate", f)
	}
}

// explain returns the plan of a statement, made for its arguments or for any, as
// the mode says: a prepared statement meets both.
func explain(t *testing.T, s *store.Store, mode string, v variant) plan {
	t.Helper()
	literals := make([]string, len(v.args))
	for n, arg := range v.args {
		switch arg := arg.(type) {
		case time.Time:
			literals[n] = "'" + arg.Format(time.RFC3339Nano) + "'"
		default:
			literals[n] = fmt.Sprintf("'%v'", arg)
		}
	}
	top, err := inTx(t.Context(), s, func(ctx context.Context, tx pgx.Tx) (plan, error) {
		var plans []struct{ Plan plan }
		for _, statement := range []string{`SET LOCAL plan_cache_mode = ` + mode, `PREPARE variant AS ` + v.sql} {
			if _, err := tx.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
				return plan{}, err
			}
		}
		err := tx.QueryRow(ctx, `EXPLAIN (FORMAT JSON) EXECUTE variant (`+strings.Join(literals, ", ")+`)`,
			pgx.QueryExecModeSimpleProtocol).Scan(&plans)
		if err != nil {
			return plan{}, err
		}
		_, err = tx.Exec(ctx, `DEALLOCATE variant`)
		return plans[0].Plan, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return top
}
