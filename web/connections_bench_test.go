package web_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/web"
)

// BenchmarkConnections is the list of an organization with 10,000 connections of
// 2,000 people that live, 2,000 that ended, and a week's calls of each: its
// clients, one client's connections, a search for people, what has ended, and the
// policy, which names every client. An operation is a whole page, with what it takes
// of Postgres; cpu-ms/op is without.
func BenchmarkConnections(b *testing.B) {
	s := storetest.Open(b)
	for _, sql := range []string{
		`INSERT INTO organizations (id, slug, name, created_at, synced_at) SELECT 'org_' || n, 'org-' || n, 'Organization ' || n, now(), now() FROM generate_series(1, 20) n`,
		`INSERT INTO users (id, name, email, email_verified, created_at, synced_at)
		 SELECT 'user_' || n, 'Person ' || n, 'person' || n || '@example.com', true, now(), now() FROM generate_series(1, 5000) n`,
		`INSERT INTO oauth_clients (id, kind, name, auth_method, redirect_uris, grant_types, metadata_hash, created_at, handed_out_at) VALUES ('client', 'registered', 'Client', 'none', '{}', '{}', 'x', now(), now())`,
		`INSERT INTO connections (id, org_id, user_id, client_id, client_name, client_identity, client_verified, redirect_uri, resource, scopes,
		                          created_at, connected_at, last_used_at, expires_at, revoked_at, revoked_by, revoke_reason)
		 SELECT gen_random_uuid(), org, 'user_' || 1 + n % 2000, 'client', 'Client ' || client, 'name:client ' || client || '@localhost', false, 'http://localhost/callback',
		        'https://mcp.example.com/mcp', '{incidents:read,schedules:read,incidents:write,offline_access}',
		        at, at, at + interval '1 hour', '2027-05-01Z', CASE WHEN n > 10000 THEN at + interval '2 hours' END, NULL, CASE WHEN n > 10000 THEN 'client' END
		 FROM (SELECT 'org_1' AS org, n, floor(120 * power(random(), 3)) AS client FROM generate_series(1, 12000) n
		       UNION ALL SELECT 'org_' || 2 + n % 19, n % 10000, n % 40 FROM generate_series(1, 20000) n) x,
		      LATERAL (SELECT '2026-11-21Z'::timestamptz - n * interval '2 minutes' AS at) y`,
		`INSERT INTO audit_events (org_id, id, at, user_id, connection_id, action, outcome, duration_us)
		 SELECT org_id, gen_random_uuid(), '2026-11-22Z'::timestamptz - n * interval '18 hours', user_id, id, 'list_incidents', 'ok', 1000
		 FROM connections, LATERAL generate_series(1, 10) n WHERE org_id = 'org_1'`,
		`VACUUM ANALYZE`,
	} {
		if _, err := s.Pool().Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	server := web.New(web.Config{
		Store: s,
		Sessions: sessionsFunc(func(*http.Request) (*store.Session, error) {
			return &store.Session{UserID: "user_1", Name: "Person 1", Email: "person1@example.com"}, nil
		}),
		Memberships: membershipsFunc(func(context.Context, string) ([]store.Membership, error) {
			return []store.Membership{{Organization: store.Organization{ID: "org_1", Slug: "org-1", Name: "Organization 1"}, Role: store.RoleAdmin}}, nil
		}),
		Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return now },
	})
	mux := http.NewServeMux()
	server.Mount(mux)
	get := func(b *testing.B, target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
		return w
	}
	const org = "/settings/connections?view=organization&org=org-1"
	for name, target := range map[string]string{
		"clients": org, "by-name": org + "&sort=name", "client": org + "&client=name%3Aclient+0%40localhost", "search": org + "&q=person17",
		"ended": org + "&state=ended", "one's-own": "/settings/connections", "policy": "/settings/policy?org=org-1",
	} {
		b.Run(name, func(b *testing.B) {
			var size int64
			before := cpu(b)
			for b.Loop() {
				size, _ = io.Copy(io.Discard, get(b, target).Body)
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1e6, "cpu-ms/op")
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// cpu is the time that this process has had of a processor. Postgres has its own.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
