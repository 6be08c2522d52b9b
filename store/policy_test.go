package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// decide makes p the policy of Acme, whatever it was before.
func decide(t testing.TB, s *store.Store, p store.Policy, at time.Time) []*store.Revocation {
	t.Helper()
	current, err := s.Policy(t.Context(), acme.ID)
	must(t, err)
	p.Version = current.Version
	revoked, err := s.ChangePolicy(t.Context(), store.PolicyChange{OrgID: acme.ID, By: "user_alice", Policy: p, RequestID: "r"}, at)
	must(t, err)
	return revoked
}

func block(s *store.Store, t testing.TB, identity string) []*store.Revocation {
	t.Helper()
	revoked, err := s.BlockClient(t.Context(), store.BlockChange{OrgID: acme.ID, By: "user_alice", ClientIdentity: identity}, now)
	must(t, err)
	return revoked
}

func policy(change func(*store.Policy)) store.Policy {
	p := store.DefaultPolicy()
	change(&p)
	return p
}

func days(n int) *int { return &n }

// why is the reason for which a connection was revoked, or empty.
func why(t testing.TB, s *store.Store, id uuid.UUID) (reason store.RevokeReason) {
	t.Helper()
	must(t, s.Pool().QueryRow(t.Context(), `SELECT COALESCE(revoke_reason, '') FROM connections WHERE id = $1`, id).Scan(&reason))
	return reason
}

func expiry(t testing.TB, s *store.Store, id uuid.UUID) (at time.Time) {
	t.Helper()
	must(t, s.Pool().QueryRow(t.Context(), `SELECT expires_at FROM connections WHERE id = $1`, id).Scan(&at))
	return at
}

func count(t testing.TB, s *store.Store, sql string, args ...any) (n int) {
	t.Helper()
	must(t, s.Pool().QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// TestAPolicyEndsWhatItExcludes, live and pending, in its own organization and
// nowhere else, and says before how much that is.
func TestAPolicyEndsWhatItExcludes(t *testing.T) {
	t.Parallel()
	verified := `UPDATE connections SET client_verified = true WHERE client_id = 'claude'`
	week := policy(func(p *store.Policy) { p.MaxAgeDays = days(7) })
	for name, row := range map[string]struct {
		policy store.Policy
		setup  string
		ends   map[string]bool
		effect store.PolicyEffect
	}{
		"anyone":             {store.DefaultPolicy(), "", nil, store.PolicyEffect{}},
		"verified":           {policy(func(p *store.Policy) { p.Clients = store.ClientsVerified }), verified, map[string]bool{"cursor": true, "cursor pending": true}, store.PolicyEffect{Ends: 1, People: 1}},
		"a list":             {policy(func(p *store.Policy) { p.Clients, p.AllowedClients = store.ClientsOnList, []string{"name:cursor"} }), "", map[string]bool{"claude": true, "claude pending": true}, store.PolicyEffect{Ends: 1, People: 1}},
		"an empty list":      {policy(func(p *store.Policy) { p.Clients = store.ClientsOnList }), "", map[string]bool{"claude": true, "claude pending": true, "cursor": true, "cursor pending": true}, store.PolicyEffect{Ends: 2, People: 2}},
		"a list not in use":  {policy(func(p *store.Policy) { p.AllowedClients = []string{"name:cursor"} }), "", nil, store.PolicyEffect{}},
		"an age not reached": {week, "", nil, store.PolicyEffect{Shortens: 2}},
		"an age exceeded":    {week, `UPDATE connections SET created_at = created_at - interval '8 days' WHERE client_id = 'claude'`, map[string]bool{"claude": true, "claude pending": true}, store.PolicyEffect{Ends: 1, People: 1, Shortens: 1}},
		// A cache that believes in it would outlive its expiry.
		"an age reached in a minute": {week, `UPDATE connections SET created_at = created_at - interval '7 days' + interval '1 minute' WHERE client_id = 'claude'`, map[string]bool{"claude": true, "claude pending": true}, store.PolicyEffect{Ends: 1, People: 1, Shortens: 1}},
		"read-only":                  {policy(func(p *store.Policy) { p.ReadOnly = true }), "", nil, store.PolicyEffect{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ctx := world(t), t.Context()
			connections := map[string]store.Connection{
				"claude": connected(t, s, "user_alice", acme.ID, "claude"), "claude pending": pending(t, s, "user_bob", acme.ID, "claude"),
				"cursor": connected(t, s, "user_bob", acme.ID, "cursor"), "cursor pending": pending(t, s, "user_alice", acme.ID, "cursor"),
				"elsewhere": connected(t, s, "user_alice", globex.ID, "cursor"),
			}
			if row.setup != "" {
				_, err := s.Pool().Exec(ctx, row.setup)
				must(t, err)
			}
			effect, err := s.PolicyEffect(ctx, acme.ID, row.policy, now)
			must(t, err)
			if diff := cmp.Diff(row.effect, *effect); diff != "" {
				t.Errorf("foreseen (-want +got):\n%s", diff)
			}
			before := expiry(t, s, connections["elsewhere"].ID)
			revoked := decide(t, s, row.policy, now)
			if len(revoked) != len(row.ends) {
				t.Errorf("%d revocations to publish, want %d", len(revoked), len(row.ends))
			}
			for name, c := range connections {
				want := store.RevokeReason("")
				if row.ends[name] {
					want = store.RevokedByPolicy
				}
				if got := why(t, s, c.ID); got != want {
					t.Errorf("%s: revoke reason is %q, want %q", name, got, want)
				}
			}
			if n := count(t, s, `SELECT count(*) FROM connections WHERE org_id = $1 AND revoked_at IS NULL AND expires_at > created_at + make_interval(days => $2)`, acme.ID, row.policy.MaxAgeDays); n != 0 {
				t.Errorf("%d connections outlive the policy's age", n)
			}
			if got := expiry(t, s, connections["elsewhere"].ID); !got.Equal(before) {
				t.Error("another organization's connection expires earlier")
			}
			if n := count(t, s, `SELECT count(*) FROM audit_events WHERE action = 'change_policy' AND org_id = $1 AND user_id = 'user_alice' AND request_id = 'r'`, acme.ID); n != 1 {
				t.Errorf("%d records in the audit log, want 1", n)
			}
			ended, err := s.EndedByPolicy(ctx, acme.ID, "user_alice", now)
			must(t, err)
			if ended != row.effect.Ends {
				t.Errorf("%d have ended, want %d", ended, row.effect.Ends)
			}
		})
	}
}

func TestALongerAgeGivesNobodyMoreTime(t *testing.T) {
	t.Parallel()
	s := world(t)
	c := connected(t, s, "user_alice", acme.ID, "claude")
	decide(t, s, policy(func(p *store.Policy) { p.MaxAgeDays = days(7) }), now)
	want := expiry(t, s, c.ID)
	if got := want.Sub(c.CreatedAt); got != 7*24*time.Hour {
		t.Errorf("it lives for %v, want a week", got)
	}
	decide(t, s, policy(func(p *store.Policy) { p.MaxAgeDays = days(180) }), now)
	decide(t, s, store.DefaultPolicy(), now)
	if got := expiry(t, s, c.ID); !got.Equal(want) {
		t.Errorf("it expires at %v, want %v as before", got, want)
	}
}

func TestANewConnectionHasThePolicysAge(t *testing.T) {
	t.Parallel()
	s := world(t)
	decide(t, s, policy(func(p *store.Policy) { p.MaxAgeDays = days(7) }), now)
	if c := connected(t, s, "user_alice", acme.ID, "claude"); !c.ExpiresAt.Equal(c.CreatedAt.Add(7 * 24 * time.Hour)) {
		t.Errorf("it expires at %v, made at %v", c.ExpiresAt, c.CreatedAt)
	}
	decide(t, s, policy(func(p *store.Policy) { p.MaxAgeDays = days(180) }), now)
	if c := connected(t, s, "user_alice", acme.ID, "claude"); !c.ExpiresAt.Equal(now.Add(1000 * time.Hour)) {
		t.Errorf("it expires at %v, which is not the system's age", c.ExpiresAt)
	}
}

func TestOfTwoChangesToOnePolicyTheSecondIsTold(t *testing.T) {
	t.Parallel()
	s, ctx := world(t), t.Context()
	connected(t, s, "user_alice", acme.ID, "claude")
	for _, version := range []int{0, 1} { // no row yet, and one
		var wg sync.WaitGroup
		var mu sync.Mutex
		outcomes := map[error]int{}
		for range 4 {
			wg.Go(func() {
				p := policy(func(p *store.Policy) { p.ReadOnly, p.Version = true, version })
				_, err := s.ChangePolicy(ctx, store.PolicyChange{OrgID: acme.ID, By: "user_alice", Policy: p}, now)
				mu.Lock()
				defer mu.Unlock()
				outcomes[err]++
			})
		}
		wg.Wait()
		if outcomes[nil] != 1 || outcomes[store.ErrConflict] != 3 {
			t.Errorf("version %d: %v, want one change and three conflicts", version, outcomes)
		}
	}
	stale := policy(func(p *store.Policy) { p.Clients, p.Version = store.ClientsOnList, 1 })
	_, err := s.ChangePolicy(ctx, store.PolicyChange{OrgID: acme.ID, By: "user_alice", Policy: stale}, now)
	is(t, "stale", err, store.ErrConflict)
	if n := count(t, s, `SELECT count(*) FROM connections WHERE revoked_at IS NOT NULL`); n != 0 {
		t.Error("a stale change ended something")
	}
	if n := count(t, s, `SELECT count(*) FROM audit_events WHERE action = 'change_policy'`); n != 2 {
		t.Errorf("%d records in the audit log, want 2", n)
	}
}

func TestABlockEndsAClientsConnectionsAndItsUnblockingNothing(t *testing.T) {
	t.Parallel()
	s, ctx := world(t), t.Context()
	live, waits := connected(t, s, "user_bob", acme.ID, "claude"), pending(t, s, "user_alice", acme.ID, "claude")
	other, elsewhere := connected(t, s, "user_bob", acme.ID, "cursor"), connected(t, s, "user_alice", globex.ID, "claude")

	if revoked := block(s, t, "name:claude"); len(revoked) != 2 {
		t.Errorf("%d revocations to publish, want 2", len(revoked))
	}
	if revoked := block(s, t, "name:claude"); len(revoked) != 0 {
		t.Errorf("again: %d revocations", len(revoked))
	}
	for name, row := range map[string]struct {
		c    store.Connection
		want store.RevokeReason
	}{"live": {live, store.RevokedByPolicy}, "pending": {waits, store.RevokedByPolicy}, "another client's": {other, ""}, "elsewhere": {elsewhere, ""}} {
		if got := why(t, s, row.c.ID); got != row.want {
			t.Errorf("%s: revoke reason is %q, want %q", name, got, row.want)
		}
	}
	blocks, err := s.ClientBlocks(ctx, acme.ID)
	must(t, err)
	if len(blocks) != 1 || blocks[0].ClientName != "claude" || blocks[0].BlockedByName != "alice" {
		t.Errorf("blocks are %+v", blocks)
	}
	_, err = s.RedeemCode(ctx, redemption(pending(t, s, "user_alice", acme.ID, "claude")), now)
	is(t, "a consent after the block", err, store.ErrNotFound)
	_, err = s.BlockClient(ctx, store.BlockChange{OrgID: acme.ID, By: "user_alice", ClientIdentity: "name:stranger"}, now)
	is(t, "a client that nobody has met", err, store.ErrNotFound)

	unblock := store.BlockChange{OrgID: acme.ID, By: "user_alice", ClientIdentity: "name:claude"}
	must(t, s.UnblockClient(ctx, unblock, now))
	is(t, "again", s.UnblockClient(ctx, unblock, now), store.ErrNotFound)
	if got := why(t, s, live.ID); got != store.RevokedByPolicy {
		t.Error("unblocking brought a connection back")
	}
	connected(t, s, "user_alice", acme.ID, "claude")
	if n := count(t, s, `SELECT count(*) FROM audit_events WHERE action IN ('block_client', 'unblock_client') AND client_name = 'claude'`); n != 2 {
		t.Errorf("%d records in the audit log, want 2", n)
	}
}

// TestARefreshHoldsToTheRules even where they came from elsewhere than from
// ChangePolicy and BlockClient, as from a backup: no token is spent or replayed.
func TestARefreshHoldsToTheRules(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		`INSERT INTO client_blocks (org_id, client_identity, client_name, blocked_by, blocked_at) VALUES ('org_acme', 'name:claude', 'claude', 'user_alice', now())`,
		`INSERT INTO org_policies (org_id, clients, updated_at) VALUES ('org_acme', 'verified', now())`,
		`INSERT INTO org_policies (org_id, clients, updated_at) VALUES ('org_acme', 'list', now())`,
	} {
		s, ctx := world(t), t.Context()
		c, elsewhere := connected(t, s, "user_alice", acme.ID, "claude"), connected(t, s, "user_alice", globex.ID, "claude")
		_, err := s.RotateRefreshToken(ctx, rotation(c, 0), now)
		must(t, err)
		_, err = s.Pool().Exec(ctx, rule)
		must(t, err)
		for generation := range 2 {
			_, err = s.RotateRefreshToken(ctx, rotation(c, generation), now)
			is(t, fmt.Sprint("generation ", generation, ", ", rule), err, store.ErrNotFound)
		}
		_, err = s.RotateRefreshToken(ctx, rotation(elsewhere, 0), now)
		must(t, err)
		_, err = s.Pool().Exec(ctx, `DELETE FROM client_blocks`)
		must(t, err)
		_, err = s.Pool().Exec(ctx, `DELETE FROM org_policies`)
		must(t, err)
		_, err = s.RotateRefreshToken(ctx, rotation(c, 1), now)
		must(t, err) // the refusals spent nothing
	}
}

// TestARedemptionWaitsForAChangeUnderWay, which does not see its connection, and
// sees what came of it.
func TestARedemptionWaitsForAChangeUnderWay(t *testing.T) {
	t.Parallel()
	s, ctx := world(t), t.Context()
	connected(t, s, "user_alice", acme.ID, "claude") // so that the client is known
	// Whoever changes the policy waits for this row, after having looked.
	holding, err := s.Pool().Begin(ctx)
	must(t, err)
	defer func() { _ = holding.Rollback(ctx) }()
	_, err = holding.Exec(ctx, `SELECT FROM connections FOR UPDATE`)
	must(t, err)
	blocked := make(chan error, 1)
	go func() {
		_, err := s.BlockClient(ctx, store.BlockChange{OrgID: acme.ID, By: "user_alice", ClientIdentity: "name:claude"}, now)
		blocked <- err
	}()
	waiting := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			if count(t, s, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == n {
				return
			}
		}
		t.Fatal("nobody waits")
	}
	waiting(1)
	c := pending(t, s, "user_bob", acme.ID, "claude") // a consent does not wait
	redeemed := make(chan error, 1)
	go func() {
		_, err := s.RedeemCode(ctx, redemption(c), now)
		redeemed <- err
	}()
	waiting(2)
	elsewhere := connected(t, s, "user_alice", globex.ID, "claude") // nor does another organization
	must(t, holding.Rollback(ctx))
	must(t, <-blocked)
	is(t, "redeemed meanwhile", <-redeemed, store.ErrNotFound)
	if got := why(t, s, elsewhere.ID); got != "" {
		t.Errorf("elsewhere: %q", got)
	}
}

// TestNothingExcludedLivesAfterARace of redemptions, refreshes, uses, changes of
// the policy, blocks and what Clerk says.
func TestNothingExcludedLivesAfterARace(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	connected(t, s, "user_alice", acme.ID, "claude")
	for round := range 12 {
		live := []store.Connection{connected(t, s, "user_bob", acme.ID, "cursor"), connected(t, s, "user_alice", acme.ID, "cursor")}
		var wg sync.WaitGroup
		for _, c := range []store.Connection{
			pending(t, s, "user_bob", acme.ID, "claude"), pending(t, s, "user_alice", acme.ID, "claude"),
			pending(t, s, "user_bob", acme.ID, "cursor"), pending(t, s, "user_alice", acme.ID, "cursor"),
		} {
			r := redemption(c)
			r.Supersedes = func(string) bool { return round%2 == 0 }
			wg.Go(func() {
				if _, err := s.RedeemCode(ctx, r, now); err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		for _, c := range live {
			wg.Go(func() {
				if _, err := s.RotateRefreshToken(ctx, rotation(c, 0), now); err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			must(t, s.TouchConnections(ctx, map[uuid.UUID]time.Time{live[0].ID: now, live[1].ID: now}))
		})
		wg.Go(func() { save(t, s, "bob", now.Add(time.Duration(round)*time.Second), inAcme) })
		wg.Go(func() {
			current, err := s.Policy(ctx, acme.ID)
			must(t, err)
			p := policy(func(p *store.Policy) {
				p.Clients, p.AllowedClients, p.Version, p.MaxAgeDays = store.ClientsOnList, []string{"name:claude"}, current.Version, days(7)
			})
			_, err = s.ChangePolicy(ctx, store.PolicyChange{OrgID: acme.ID, By: "user_alice", Policy: p}, now)
			must(t, err)
		})
		wg.Go(func() {
			_, err := s.BlockClient(ctx, store.BlockChange{OrgID: acme.ID, By: "user_alice", ClientIdentity: "name:claude"}, now)
			must(t, err)
		})
		wg.Wait()
		if n := count(t, s, `SELECT count(*) FROM connections WHERE org_id = $1 AND revoked_at IS NULL AND connected_at IS NOT NULL`, acme.ID); n != 0 {
			t.Fatalf("round %d: %d connections are alive that the rules exclude", round, n)
		}
		decide(t, s, store.DefaultPolicy(), now)
		must(t, s.UnblockClient(ctx, store.BlockChange{OrgID: acme.ID, By: "user_alice", ClientIdentity: "name:claude"}, now))
	}
}

func TestRefusalsAreTheOrganizationsOwn(t *testing.T) {
	t.Parallel()
	s, ctx := world(t), t.Context()
	connected(t, s, "user_alice", acme.ID, "claude")
	both := []string{acme.ID, globex.ID}
	refused := func(identity string, verified bool) map[string]store.Refusal {
		t.Helper()
		r, err := s.RefusedBy(ctx, both, identity, verified)
		must(t, err)
		return r
	}
	none := map[string]store.Refusal{}
	want := func(what string, got map[string]store.Refusal, want map[string]store.Refusal) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	want("no rule", refused("name:claude", false), none)
	block(s, t, "name:claude")
	want("blocked", refused("name:claude", true), map[string]store.Refusal{acme.ID: store.RefusedBlocked})
	want("another client", refused("name:cursor", false), none)
	decide(t, s, policy(func(p *store.Policy) { p.Clients = store.ClientsVerified }), now)
	want("blocked and unverified", refused("name:claude", false), map[string]store.Refusal{acme.ID: store.RefusedBlocked})
	want("unverified", refused("name:cursor", false), map[string]store.Refusal{acme.ID: store.RefusedUnverified})
	want("verified", refused("name:cursor", true), none)
	decide(t, s, policy(func(p *store.Policy) { p.Clients, p.AllowedClients = store.ClientsOnList, []string{"name:x"} }), now)
	want("not on the list", refused("name:cursor", true), map[string]store.Refusal{acme.ID: store.RefusedNotOnList})
	want("on the list", refused("name:x", false), none)
	want("no organization", func() map[string]store.Refusal { r, err := s.RefusedBy(ctx, nil, "x", true); must(t, err); return r }(), none)
}

func TestClientsOfAnOrganization(t *testing.T) {
	t.Parallel()
	s, ctx := world(t), t.Context()
	connected(t, s, "user_alice", acme.ID, "claude")
	connected(t, s, "user_bob", acme.ID, "claude")
	over := connected(t, s, "user_bob", acme.ID, "cursor")
	_, err := s.RevokeOwnConnection(ctx, over.ID, "user_bob", now)
	must(t, err)
	pending(t, s, "user_bob", globex.ID, "cursor")
	clients, err := s.OrgClients(ctx, acme.ID, now)
	must(t, err)
	want := []*store.OrgClient{
		{ClientIdentity: "name:claude", ClientName: "claude", RedirectURI: "https://claude.example/cb", Live: 2, People: 2},
		{ClientIdentity: "name:cursor", ClientName: "cursor", RedirectURI: "https://cursor.example/cb"},
	}
	if diff := cmp.Diff(want, clients); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	block(s, t, "name:claude")
	c, err := s.OrgClient(ctx, acme.ID, "name:claude", now)
	must(t, err)
	if !c.Blocked || c.Live != 0 {
		t.Errorf("after its block: %+v", c)
	}
	_, err = s.OrgClient(ctx, globex.ID, "name:cursor", now)
	is(t, "pending alone", err, store.ErrNotFound)
}
