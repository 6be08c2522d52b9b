package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/store"
)

// TestListReadsOnlyItsOwnConnections: whatever is asked for, the list of an
// organization, or of a person, reads a range of an index that has no others'.
func TestListReadsOnlyItsOwnConnections(t *testing.T) {
	t.Parallel()
	s := world(t)
	for _, sql := range []string{
		`INSERT INTO organizations (id, slug, name, created_at, synced_at) SELECT 'org' || n, 'org' || n, 'Organization', now(), now() FROM generate_series(1, 50) n`,
		`INSERT INTO users (id, name, email, email_verified, created_at, synced_at)
		 SELECT 'user' || n, 'Somebody', 'somebody@example.com', true, now(), now() FROM generate_series(1, 500) n`,
		`INSERT INTO connections (id, org_id, user_id, client_id, client_name, client_identity, client_verified, redirect_uri, resource, scopes,
		                          created_at, connected_at, expires_at, revoked_at, revoke_reason)
		 SELECT gen_random_uuid(), 'org' || 1 + n % 50, 'user' || 1 + n % 499, (SELECT min(id) FROM oauth_clients), 'Client', 'client ' || n % 7, false, 'http://localhost/callback',
		        'https://mcp.example.com/mcp', '{}', at, at, at + interval '180 days', CASE WHEN n % 3 = 0 THEN at END, CASE WHEN n % 3 = 0 THEN 'client' END
		 FROM generate_series(1, 20000) n, LATERAL (SELECT now() - n * interval '15 minutes' AS at) y`,
		`ANALYZE`,
	} {
		_, err := s.Pool().Exec(t.Context(), sql)
		must(t, err)
	}
	for _, whose := range []store.ConnectionQuery{{OrgID: "org1"}, {UserID: "user1"}} {
		for _, ended := range []bool{false, true} {
			for _, client := range []string{"", "client 1"} {
				for _, search := range []string{"", "some"} {
					for _, sort := range []store.ConnectionSort{store.SortByUse, store.SortByConnect, store.SortByName} {
						q := whose
						q.Ended, q.Client, q.Search, q.Sort, q.Limit = ended, client, search, sort, 51
						name := fmt.Sprintf("of organization %q, ended %v, client %q, search %q, by %s", q.OrgID, ended, client, search, sort)
						q.After = &store.ConnectionPosition{At: now.Add(-48 * time.Hour), Name: "Client", ID: "01940000-0000-7000-8000-000000000001"}
						page := variant{name: "page " + name}
						page.sql, page.args = store.ConnectionPageStatement(q, now)
						groups := variant{name: "clients " + name}
						groups.sql, groups.args = store.ConnectionGroupsStatement(q, 5, now)
						for _, v := range []variant{page, groups} {
							explain(t, s, "force_custom_plan", v).each(false, func(p plan, _ bool) {
								if p.Relation == "connections" && p.Type == "Seq Scan" {
									t.Errorf("%s: it reads everybody's", v.name)
								}
								if p.Index != "" && strings.HasPrefix(p.Index, "connections_") && !strings.Contains(p.Condition, "org_id = ") && !strings.Contains(p.Condition, "user_id = ") {
									t.Errorf("%s: it reads others' in %s, by %q", v.name, p.Index, p.Condition)
								}
							})
						}
					}
				}
			}
		}
	}
}
