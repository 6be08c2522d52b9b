package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// recordedYear stores a year of calls in partitions of a month: rows of them in
// acme, by forty people through twenty clients, of which one in fifty was
// refused; and as many in four hundred other organizations.
func recordedYear(t testing.TB, rows int) *store.Store {
	t.Helper()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gil")
	for month := range 13 {
		if err := s.PrepareAuditLog(t.Context(), 24, now.AddDate(0, -month, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO users (id, name, email, email_verified, created_at, synced_at)
		  SELECT 'user' || n, 'Somebody', 'user' || n || '@example.com', true, now(), now() FROM generate_series(0, 39) n`, nil},
		{`INSERT INTO audit_events (org_id, id, at, user_id, connection_id, client_id, client_name, action, outcome, duration_us, incident, request_id)
		  SELECT org, gen_random_uuid(), $1::timestamptz - n * (interval '360 days' / $2::int), 'user' || n % 40, md5('c' || n % 100)::uuid, 'client', 'Client ' || n % 20,
		         (ARRAY['list_incidents', 'get_incident', 'who_is_on_call', 'resolve_incident'])[1 + n % 4],
		         CASE WHEN n % 50 = 0 THEN (ARRAY['not_found', 'insufficient_scope'])[1 + n / 50 % 2] ELSE 'ok' END, 1000, n % 1000, 'request'
		  FROM (SELECT 'acme' AS org, n FROM generate_series(1, $2::int) n
		        UNION ALL SELECT 'org' || n % 400, n FROM generate_series(1, $2::int) n) x`, []any{now, rows}},
	} {
		if _, err := s.Pool().Exec(t.Context(), statement.sql, statement.args...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Pool().Exec(t.Context(), `ANALYZE`); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAPageOfActivityCostsTheSameWhereverItLies: in every partition it goes to its
// place in an index, and no more is sorted than the pages of each organization.
func TestAPageOfActivityCostsTheSameWhereverItLies(t *testing.T) {
	t.Parallel()
	s := recordedYear(t, 20_000)
	deep := &store.ActivityPosition{At: now.AddDate(0, -6, 0), ID: uuid.New()}
	full := map[string]bool{} // partitions; what is nearly empty is as well read as a whole
	rows, err := s.Pool().Query(t.Context(), `SELECT relname FROM pg_class WHERE relname LIKE 'audit_events_2%' AND relkind = 'r' AND reltuples > 1000`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) < 10 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		full[name] = true
	}
	for _, row := range []struct {
		name, index string // the end of the name of each partition's index
		query       store.ActivityQuery
	}{
		{"everything", "_pkey", store.ActivityQuery{}},
		{"a person", "_user_id_at_id_idx", store.ActivityQuery{UserID: "user7"}},
		{"a connection", "_connection_id_at_id_idx", store.ActivityQuery{ConnectionID: uuid.UUID{0x1}}},
		{"a client", "_client_name_at_id_idx", store.ActivityQuery{ClientName: "Client 7"}},
		{"a tool", "_action_at_id_idx", store.ActivityQuery{Action: "resolve_incident"}},
		{"an outcome", "_outcome_at_id_idx", store.ActivityQuery{Outcome: "not_found"}},
		{"refusals", "_at_id_idx", store.ActivityQuery{Outcome: store.OutcomeRefused}},
	} {
		for _, after := range []*store.ActivityPosition{nil, deep} {
			for _, mode := range []string{"force_custom_plan"} { // as it is asked for
				row.query.After, row.query.Limit = after, 51
				name := fmt.Sprintf("%s, deep %v, %s", row.name, after != nil, mode)
				read := 0
				sorts := 0
				activityPlan(t, s, mode, row.query).each(false, func(p plan, _ bool) {
					if p.Type == "Sort" {
						sorts++
					}
					if !full[p.Relation] {
						return
					}
					read++
					if row.name == "an outcome" && p.Filter == "(outcome = 'not_found'::text)" {
						return // half of the refusals: their own index is as good
					}
					if !strings.HasPrefix(p.Type, "Index") || !strings.HasSuffix(p.Index, row.index) || p.Filter != "" {
						t.Errorf("%s: got %s of %s by %q, condition %q, filter %q, want %s", name, p.Type, p.Relation, p.Index, p.Condition, p.Filter, row.index)
					}
				})
				if sorts > 1 && row.name != "a connection" && row.name != "an outcome" { // of which there are few; the one is of the page, once joined
					t.Errorf("%s: it sorts what it reads", name)
				}
				if read == 0 || after != nil && mode == "force_custom_plan" && read > 7 {
					t.Errorf("%s: it reads %d partitions", name, read)
				}
			}
		}
	}
}

func activityPlan(t *testing.T, s *store.Store, mode string, q store.ActivityQuery) plan {
	t.Helper()
	sql, args := store.ActivityStatement(q, []string{"acme"}, now)
	literals := make([]string, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case []string:
			literals[i] = "'{" + strings.Join(arg, ",") + "}'"
		case time.Time:
			literals[i] = "'" + arg.Format(time.RFC3339Nano) + "'"
		default:
			literals[i] = fmt.Sprintf("'%v'", arg)
		}
	}
	top, err := inTx(t.Context(), s, func(ctx context.Context, tx pgx.Tx) (plan, error) {
		for _, statement := range []string{`SET LOCAL plan_cache_mode = ` + mode, `PREPARE activity AS ` + sql} {
			if _, err := tx.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
				return plan{}, err
			}
		}
		var plans []struct{ Plan plan }
		err := tx.QueryRow(ctx, `EXPLAIN (FORMAT JSON) EXECUTE activity (`+strings.Join(literals, ", ")+`)`, pgx.QueryExecModeSimpleProtocol).Scan(&plans)
		if err != nil {
			return plan{}, err
		}
		_, err = tx.Exec(ctx, `DEALLOCATE activity`)
		return plans[0].Plan, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// TestActivityStaysWithinItsOrganizations: whatever it is narrowed by.
func TestActivityStaysWithinItsOrganizations(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gil")
	connection := uuid.New()
	for _, org := range []string{"acme", "globex", "gone"} {
		for n := range 3 {
			err := s.RecordAudit(t.Context(), []store.AuditEvent{{ID: uuid.Must(uuid.NewV7()), OrgID: org, UserID: "ann", ConnectionID: connection,
				Action: "get_incident", Outcome: "not_found", At: now.Add(time.Duration(n) * time.Minute), Incident: new(1), RequestID: fmt.Sprint(org, n)}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	globexes := createIncident(t, s, store.NewIncident{OrgID: "globex", Title: "Theirs"}, "gil", now)
	for name, q := range map[string]store.ActivityQuery{
		"nothing":      {},
		"a person":     {UserID: "ann"},
		"a connection": {ConnectionID: connection},
		"a tool":       {Action: "get_incident"},
		"an outcome":   {Outcome: "not_found"},
		"refusals":     {Outcome: store.OutcomeRefused},
		"all":          {UserID: "ann", ConnectionID: connection, Action: "get_incident", Outcome: "not_found", From: new(now), Before: new(now.Add(time.Hour))},
	} {
		q.Limit = 10
		for _, row := range []struct {
			orgs []string
			want []string
		}{
			{[]string{"acme"}, []string{"acme2", "acme1", "acme0"}},
			{[]string{"gone"}, []string{"gone2", "gone1", "gone0"}}, // the log outlives its organization
			{[]string{"none"}, nil},
			{nil, nil},
		} {
			activity, err := s.Activity(t.Context(), row.orgs, q, now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range activity {
				got = append(got, *a.RequestID)
				if a.IncidentID != nil {
					t.Errorf("by %s: %v of %s is %v, an incident of another", name, *a.Incident, a.OrgID, globexes.ID)
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("by %s, of %v (-want +got):\n%s", name, row.orgs, diff)
			}
		}
	}
	for org, email := range map[string]string{"acme": "gil@example.com", "none": "ann@example.com"} {
		if id, err := s.ActivityPerson(t.Context(), org, email); err == nil {
			t.Errorf("%s in %s: got %s", email, org, id)
		}
	}
}

// BenchmarkActivity reads pages of an organization of 100,000 calls in a year,
// and all of them in batches as an export does.
func BenchmarkActivity(b *testing.B) {
	s := recordedYear(b, 100_000)
	deep := &store.ActivityPosition{At: now.AddDate(0, -11, 0), ID: uuid.New()}
	for name, q := range map[string]store.ActivityQuery{
		"first":            {},
		"deep":             {After: deep},
		"first/person":     {UserID: "user7"},
		"deep/person":      {UserID: "user7", After: deep},
		"first/refusals":   {Outcome: store.OutcomeRefused},
		"deep/refusals":    {Outcome: store.OutcomeRefused, After: deep},
		"deep/person+tool": {UserID: "user7", Action: "resolve_incident", After: deep},
	} {
		q.Limit = 51
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if activity, err := s.Activity(b.Context(), []string{"acme"}, q, now); err != nil || len(activity) == 0 {
					b.Fatal(len(activity), err)
				}
			}
		})
	}
}
