package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

var (
	inAcme   = store.Membership{Organization: acme, Role: store.RoleMember}
	inGlobex = store.Membership{Organization: globex, Role: store.RoleMember}
)

// everybody is a world in which Alice and Bob are connected, and about to be.
func everybody(t *testing.T) (s *store.Store, connections map[string]store.Connection) {
	t.Helper()
	s = world(t)
	connections = map[string]store.Connection{
		"alice acme":         connected(t, s, "user_alice", acme.ID, "claude"),
		"alice globex":       connected(t, s, "user_alice", globex.ID, "claude"),
		"alice acme pending": pending(t, s, "user_alice", acme.ID, "cursor"),
		"bob acme":           connected(t, s, "user_bob", acme.ID, "claude"),
	}
	for _, id := range []string{"user_alice", "user_bob"} {
		must(t, s.CreateSession(t.Context(), hash(id), id, false, now))
	}
	return s, connections
}

// wantRevoked fails the test unless revoked is what is named, and it is so.
func wantRevoked(t *testing.T, s *store.Store, connections map[string]store.Connection, revoked []*store.Revocation, want ...string) {
	t.Helper()
	told := map[uuid.UUID]bool{}
	for _, r := range revoked {
		told[r.ConnectionID] = true
	}
	wanted, got := map[string]bool{}, map[string]bool{}
	for _, name := range want {
		wanted[name] = true
	}
	for name, c := range connections {
		var reason *store.RevokeReason
		must(t, s.Pool().QueryRow(t.Context(), `SELECT revoke_reason FROM connections WHERE id = $1`, c.ID).Scan(&reason))
		if reason != nil && *reason == store.RevokedByClerk && told[c.ID] {
			got[name] = true
		} else if reason != nil || told[c.ID] {
			t.Errorf("%s: reason %v, told %v", name, reason, told[c.ID])
		}
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("revoked (-want +got):\n%s", diff)
	}
}

func TestWhatClerkNoLongerCoversIsRevoked(t *testing.T) {
	t.Parallel()
	later := now.Add(time.Second)
	all := []string{"alice acme", "alice globex", "alice acme pending"}
	for name, row := range map[string]struct {
		say     func(*testing.T, *store.Store) ([]*store.Revocation, error)
		revokes []string
		session bool // Alice's goes on
	}{
		"nothing new": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return save(t, s, "alice", later, inAcme, inGlobex), nil
		}, nil, true},
		"left Acme": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return save(t, s, "alice", later, inGlobex), nil
		}, []string{"alice acme", "alice acme pending"}, true},
		"belongs nowhere": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return save(t, s, "alice", later), nil
		}, all, true},
		"banned": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return s.SavePerson(t.Context(), store.User{ID: "user_alice", Banned: true}, []store.Membership{inAcme, inGlobex}, later, "")
		}, all, false},
		"deleted": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return s.ForgetUser(t.Context(), "user_alice", later, "")
		}, all, false},
		"removed, as delivered": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return s.RemoveMember(t.Context(), acme.ID, "user_alice", later, "")
		}, []string{"alice acme", "alice acme pending"}, true},
		"organization deleted": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return s.ForgetOrganization(t.Context(), acme.ID, later, "")
		}, []string{"alice acme", "alice acme pending", "bob acme"}, true},
		"a word from before": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return save(t, s, "alice", now.Add(-time.Second)), nil
		}, nil, true},
		"a deletion from before": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return s.ForgetUser(t.Context(), "user_alice", now.Add(-time.Second), "")
		}, nil, true},
		"an organization's deletion from before": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return s.ForgetOrganization(t.Context(), acme.ID, now.Add(-time.Second), "")
		}, nil, true},
		"sessions": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return nil, s.EndSessions(t.Context(), "user_alice", later, later, "")
		}, nil, false},
		"sessions that began before": {func(t *testing.T, s *store.Store) ([]*store.Revocation, error) {
			return nil, s.EndSessions(t.Context(), "user_alice", now, later, "")
		}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, connections := everybody(t)
			revoked, err := row.say(t, s)
			must(t, err)
			wantRevoked(t, s, connections, revoked, row.revokes...)
			if _, err := s.Session(t.Context(), hash("user_bob"), now); err != nil {
				t.Errorf("Bob's browser session: %v", err)
			}
			if _, err := s.Session(t.Context(), hash("user_alice"), now); (err == nil) != row.session {
				t.Errorf("Alice's browser session: %v, want it to go on: %v", err, row.session)
			}
			for _, name := range row.revokes {
				_, err := s.RotateRefreshToken(t.Context(), rotation(connections[name], 0), now)
				is(t, name+": refresh", err, store.ErrNotFound)
			}
			_, err = s.RedeemCode(t.Context(), redemption(connections["alice acme pending"]), now)
			if revoked := len(row.revokes) > 0; revoked != errors.Is(err, store.ErrNotFound) {
				t.Errorf("redeeming what was pending: %v", err)
			}
		})
	}
}

// TestTheDeletedAreForgotten: what they connected is still told, and not who they
// were.
func TestTheDeletedAreForgotten(t *testing.T) {
	t.Parallel()
	s, connections := everybody(t)
	_, err := s.ForgetUser(t.Context(), "user_alice", now.Add(time.Second), "")
	must(t, err)
	c, err := s.ConnectionVisibleTo(t.Context(), connections["alice acme"].ID, "", []string{acme.ID}, now.Add(time.Minute))
	must(t, err)
	if c.UserName != store.FormerMember || c.UserEmail != "" {
		t.Errorf("the connection is of %q <%s>, want %q and no address", c.UserName, c.UserEmail, store.FormerMember)
	}
	var left int
	must(t, s.Pool().QueryRow(t.Context(), `SELECT count(*) FROM users u WHERE u::text ILIKE '%alice@%'`).Scan(&left))
	if left != 0 {
		t.Error("the address is still there")
	}
}

// TestWhatIsGoneStaysGone: an older answer that comes after a deletion brings
// nothing back, even of somebody whom we had not met.
func TestWhatIsGoneStaysGone(t *testing.T) {
	t.Parallel()
	s, connections := everybody(t)
	ctx := t.Context()
	later := now.Add(time.Minute)
	_, err := s.ForgetUser(ctx, "user_eve", later, "")
	must(t, err)
	_, err = s.ForgetOrganization(ctx, globex.ID, later, "")
	must(t, err)
	save(t, s, "eve", now.Add(time.Second), inAcme)
	_, err = s.User(ctx, "user_eve")
	is(t, "a person deleted before they were heard of", err, store.ErrNotFound)
	revoked := save(t, s, "alice", now.Add(time.Second), inAcme, inGlobex)
	wantRevoked(t, s, map[string]store.Connection{"alice acme": connections["alice acme"]}, revoked)
	_, err = s.MembershipSyncedAt(ctx, globex.ID, "user_alice")
	is(t, "membership of a deleted organization", err, store.ErrNotFound)
	_, err = s.RemoveMember(ctx, acme.ID, "user_bob", later, "")
	must(t, err)
	save(t, s, "bob", now.Add(time.Second), inAcme)
	_, err = s.MembershipSyncedAt(ctx, acme.ID, "user_bob")
	is(t, "membership that was removed", err, store.ErrNotFound)

	// A later answer does: Clerk knows best.
	save(t, s, "alice", later.Add(time.Second), inAcme, inGlobex)
	at, err := s.MembershipSyncedAt(ctx, globex.ID, "user_alice")
	if err != nil || !at.Equal(later.Add(time.Second)) {
		t.Errorf("asked later: %v, %v", at, err)
	}
	if state, err := s.ConnectionState(ctx, connections["alice globex"].ID); err != nil || state.Live {
		t.Errorf("a connection came back to life (%v)", err)
	}
}

func TestAWebhookTakesEffectOnceUnderRace(t *testing.T) {
	t.Parallel()
	s, _ := everybody(t)
	var mu sync.Mutex
	effects, seen := 0, 0
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			revoked, err := s.RemoveMember(t.Context(), acme.ID, "user_bob", now.Add(time.Duration(i)*time.Second), "msg_1")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				effects += len(revoked)
			case errors.Is(err, store.ErrConflict):
				seen++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if effects != 1 || seen != 31 {
		t.Errorf("%d effects, %d were seen, want 1 and 31", effects, seen)
	}
	// An effect that fails leaves no trace of its webhook: it can be sent again.
	_, err := s.Pool().Exec(t.Context(), `ALTER TABLE revocation_outbox RENAME TO away`)
	must(t, err)
	_, err = s.ForgetUser(t.Context(), "user_alice", now.Add(time.Hour), "msg_2")
	if err == nil {
		t.Fatal("no error")
	}
	if seen, err := s.DeliverySeen(t.Context(), "msg_2"); err != nil || seen {
		t.Errorf("a webhook without effect counts as seen (%v)", err)
	}
	_, err = s.Pool().Exec(t.Context(), `ALTER TABLE away RENAME TO revocation_outbox`)
	must(t, err)
	for _, day := range []int{7, 9} {
		must(t, s.DeleteExpired(t.Context(), now.AddDate(0, 0, day)))
		if seen, err := s.DeliverySeen(t.Context(), "msg_1"); err != nil || seen != (day == 7) {
			t.Errorf("after %d days: seen is %v (%v)", day, seen, err)
		}
	}
}

// TestRemovalBetweenConsentAndRedemption holds the two transactions against each
// other, either first: no connection is alive whose person does not belong.
func TestRemovalBetweenConsentAndRedemption(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := pending(t, s, "user_bob", acme.ID, "claude")
	_, err := s.Pool().Exec(ctx, `DELETE FROM memberships WHERE user_id = 'user_bob'`)
	must(t, err)
	_, err = s.RedeemCode(ctx, redemption(c), now)
	is(t, "removed before", err, store.ErrNotFound)
	save(t, s, "bob", now, inAcme)
	_, err = s.Pool().Exec(ctx, `UPDATE users SET banned = true WHERE id = 'user_bob'`)
	must(t, err)
	_, err = s.RedeemCode(ctx, redemption(c), now)
	is(t, "banned before", err, store.ErrNotFound)
	_, err = s.Pool().Exec(ctx, `UPDATE users SET banned = false WHERE id = 'user_bob'`)
	must(t, err)
	_, err = s.RedeemCode(ctx, redemption(c), now)
	must(t, err) // the refusals spent nothing

	// While a removal is under way redemption waits for it.
	c = pending(t, s, "user_bob", acme.ID, "cursor")
	redeemed := make(chan error, 1)
	must(t, pgx.BeginFunc(ctx, s.Pool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM memberships WHERE user_id = 'user_bob'`); err != nil {
			return err
		}
		go func() {
			_, err := s.RedeemCode(ctx, redemption(c), now)
			redeemed <- err
		}()
		for waiting := false; !waiting; {
			select {
			case err := <-redeemed:
				return fmt.Errorf("redemption did not wait: %v", err)
			case <-time.After(5 * time.Millisecond):
			}
			if err := s.Pool().QueryRow(ctx, `
				SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting); err != nil {
				return err
			}
		}
		return nil
	}))
	is(t, "removed meanwhile", <-redeemed, store.ErrNotFound)
}

func TestRemovalsAndRedemptionsUnderRace(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	for round := range 10 {
		at := now.Add(time.Duration(2*round) * time.Second)
		save(t, s, "bob", at, inAcme, inGlobex)
		save(t, s, "alice", at, inAcme, inGlobex)
		var wg sync.WaitGroup
		for _, c := range []store.Connection{
			pending(t, s, "user_bob", acme.ID, "claude"), pending(t, s, "user_bob", acme.ID, "claude"),
			pending(t, s, "user_alice", globex.ID, "claude"),
		} {
			r := redemption(c)
			r.Supersedes = func(string) bool { return true }
			wg.Go(func() {
				if _, err := s.RedeemCode(ctx, r, now); err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Go(func() { save(t, s, "bob", at.Add(time.Second), inGlobex) })
		wg.Go(func() {
			if _, err := s.ForgetOrganization(ctx, globex.ID, at.Add(time.Second), ""); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		var alive int
		must(t, s.Pool().QueryRow(ctx, `
			SELECT count(*) FROM connections c
			WHERE revoked_at IS NULL AND NOT EXISTS (SELECT FROM memberships m WHERE m.org_id = c.org_id AND m.user_id = c.user_id)`).Scan(&alive))
		if alive != 0 {
			t.Fatalf("round %d: %d connections are alive without a membership", round, alive)
		}
	}
}

// TestRefreshNeedsAYoungWordOfClerk, whether the token is new or replayed, and
// spends nothing on an old one.
func TestRefreshNeedsAYoungWordOfClerk(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	stale := func(what string, r store.Rotation, at time.Time) {
		t.Helper()
		r.SyncedAfter = now
		issued, err := s.RotateRefreshToken(ctx, r, at)
		is(t, what, err, store.ErrStale)
		if issued == nil || issued.Connection.UserID != "user_bob" || issued.Connection.OrgID != acme.ID || issued.Chain != nil {
			t.Errorf("%s: %+v, want whom to ask about, and nothing to answer with", what, issued)
		}
	}
	stale("unused", rotation(c, 0), now)
	_, err := s.RotateRefreshToken(ctx, rotation(c, 0), now)
	must(t, err)
	stale("replayed", rotation(c, 0), now)

	// Whatever else is wrong is said without asking Clerk.
	for name, row := range map[string]struct {
		change func(*store.Rotation)
		at     time.Time
		want   error
	}{
		"another client": {func(r *store.Rotation) { r.ClientID = "cursor" }, now, store.ErrNotFound},
		"unknown":        {func(r *store.Rotation) { r.TokenHash = hash("unknown"); r.Generation = 7 }, now, store.ErrNotFound},
		"expired":        {func(*store.Rotation) {}, now.Add(500 * time.Hour), store.ErrNotFound},
		"not granted":    {func(r *store.Rotation) { r.Scopes = []string{store.ScopeIncidentsPublish} }, now, store.ErrNotGranted},
	} {
		r := rotation(c, 1)
		r.SyncedAfter = now
		row.change(&r)
		_, err := s.RotateRefreshToken(ctx, r, row.at)
		is(t, name, err, row.want)
	}
	save(t, s, "bob", now.Add(time.Microsecond), inAcme)
	r := rotation(c, 0)
	r.SyncedAfter = now
	if issued, err := s.RotateRefreshToken(ctx, r, now); err != nil || len(issued.Chain) != 1 {
		t.Errorf("replayed once Clerk was asked: %+v, %v", issued, err)
	}
	r = rotation(c, 1)
	r.SyncedAfter = now
	_, err = s.RotateRefreshToken(ctx, r, now)
	must(t, err)

	// A late reuse is a theft, whatever Clerk says.
	r = rotation(c, 0)
	r.SyncedAfter = now.Add(time.Hour)
	_, err = s.RotateRefreshToken(ctx, r, now.Add(time.Hour))
	is(t, "late reuse", err, store.ErrReused)
}
