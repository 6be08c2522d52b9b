package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"scaling.cloud/mcp/store"
)

func TestCodeIsRedeemedOnceUnderRaceAndItsReplayRevokes(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := pending(t, s, "user_bob", acme.ID, "claude")
	var mu sync.Mutex
	good, revoked := 0, 0
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			issued, err := s.RedeemCode(ctx, redemption(c), now)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				good++
			case errors.Is(err, store.ErrReused):
				revoked += len(issued.Revoked)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if good != 1 || revoked != 1 {
		t.Errorf("%d redemptions and %d revocations, want one of each", good, revoked)
	}
}

func TestCodeIsKeptForItsOwnClient(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := pending(t, s, "user_bob", acme.ID, "claude")
	for name, change := range map[string]func(*store.CodeRedemption){
		"another client":       func(r *store.CodeRedemption) { r.ClientID = "cursor" },
		"another redirect URI": func(r *store.CodeRedemption) { r.RedirectURI += "/" },
		"another challenge":    func(r *store.CodeRedemption) { r.CodeChallenge = "other" },
		"another connection":   func(r *store.CodeRedemption) { r.ConnectionID[0]++ },
		"another code":         func(r *store.CodeRedemption) { r.CodeHash = hash("other") },
	} {
		r := redemption(c)
		change(&r)
		_, err := s.RedeemCode(ctx, r, now)
		is(t, name, err, store.ErrNotFound)
	}
	_, err := s.RedeemCode(ctx, redemption(c), now.Add(time.Minute))
	is(t, "expired", err, store.ErrNotFound)
	_, err = s.RedeemCode(ctx, redemption(c), now)
	must(t, err)
	for name, change := range map[string]func(*store.CodeRedemption){
		"replay by another client":      func(r *store.CodeRedemption) { r.ClientID = "cursor" },
		"replay with another challenge": func(r *store.CodeRedemption) { r.CodeChallenge = "other" },
	} {
		r := redemption(c)
		change(&r)
		_, err := s.RedeemCode(ctx, r, now)
		is(t, name, err, store.ErrNotFound)
	}
	if state, err := s.ConnectionState(ctx, c.ID); err != nil || !state.Live {
		t.Errorf("a stranger's replay revoked the connection (%v)", err)
	}
}

func TestInstallsThatConnectAtOnceLeaveOneAlive(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	save(t, s, "bob", now, store.Membership{Organization: acme, Role: store.RoleMember}, store.Membership{Organization: globex, Role: store.RoleMember})
	bystanders := map[string]store.Connection{
		"another client":                  connected(t, s, "user_bob", acme.ID, "cursor"),
		"another organization":            connected(t, s, "user_bob", globex.ID, "claude"),
		"another person":                  connected(t, s, "user_alice", acme.ID, "claude"),
		"another redirect URI":            connected(t, s, "user_bob", acme.ID, "claude"),
		"a consent that is still pending": pending(t, s, "user_bob", acme.ID, "claude"),
	}
	_, err := s.Pool().Exec(ctx, `UPDATE connections SET redirect_uri = 'https://elsewhere.example/cb' WHERE id = $1`, bystanders["another redirect URI"].ID)
	must(t, err)
	var wg sync.WaitGroup
	for range 8 {
		r := redemption(pending(t, s, "user_bob", acme.ID, "claude"))
		r.Supersedes = func(string) bool { return true }
		wg.Go(func() {
			if _, err := s.RedeemCode(ctx, r, now); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for name, c := range bystanders {
		var revoked bool
		must(t, s.Pool().QueryRow(ctx, `SELECT revoked_at IS NOT NULL FROM connections WHERE id = $1`, c.ID).Scan(&revoked))
		if revoked {
			t.Errorf("%s was superseded", name)
		}
	}
	ofBob := `SELECT count(*) FROM connections WHERE user_id = 'user_bob' AND connected_at IS NOT NULL AND `
	alive, superseded := count(t, s, ofBob+`revoked_at IS NULL`), count(t, s, ofBob+`revoke_reason = 'superseded'`)
	if alive != 1+3 || superseded != 7 {
		t.Errorf("%d connections of Bob are alive and %d superseded, want one of the eight and three bystanders, and seven", alive, superseded)
	}
	if n := count(t, s, `SELECT count(*) FROM audit_events WHERE action LIKE 'revoked:%'`); n != 0 {
		t.Errorf("the audit log has %d ends, but nobody ended anything", n)
	}
}

func TestRefreshesUnderRaceStoreOneSuccessor(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	var mu sync.Mutex
	rotated := 0
	successors := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			r := rotation(c, 0)
			r.SuccessorHash, r.SuccessorSealed = hash("successor"+string(rune('a'+i))), []byte{byte(i)}
			issued, err := s.RotateRefreshToken(ctx, r, now)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if issued.Chain == nil {
				rotated++
				successors[string(r.SuccessorHash)] = true
				return
			}
			successors[string(issued.Chain[0].SuccessorHash)] = true
		})
	}
	wg.Wait()
	if rotated != 1 || len(successors) != 1 {
		t.Errorf("%d rotations, %d successors, want one of each", rotated, len(successors))
	}
}

// TestRefreshReadsNoOtherConnectionOfItsClient: all people who use one client
// share its id, so a refresh that came to its connection by way of the client
// would read everybody's.
func TestRefreshReadsNoOtherConnectionOfItsClient(t *testing.T) {
	t.Parallel()
	s := world(t, func(c *pgxpool.Config) { c.MaxConns = 1 }) // whose counters are read
	ctx := t.Context()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	for range 40 {
		connected(t, s, "user_alice", acme.ID, "claude")
	}
	entries := func() (read int) {
		_, err := s.Pool().Exec(ctx, `SELECT pg_stat_force_next_flush()`)
		must(t, err)
		must(t, s.Pool().QueryRow(ctx, `SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'connections_client_id'`).Scan(&read))
		return read
	}
	before := entries()
	for generation := range 12 { // the planner settles after five
		_, err := s.RotateRefreshToken(ctx, rotation(c, generation), now)
		must(t, err)
		_, err = s.RotateRefreshToken(ctx, rotation(c, generation), now) // a replay
		must(t, err)
	}
	read := entries() - before
	if read != 0 {
		t.Errorf("%d entries of the index by client were read, want none", read)
	}
}

func TestReplayLeadsAlongTheWholeChain(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	for generation := range 3 {
		_, err := s.RotateRefreshToken(ctx, rotation(c, generation), now)
		must(t, err)
	}
	issued, err := s.RotateRefreshToken(ctx, rotation(c, 0), now.Add(store.ReplayWindow))
	must(t, err)
	var sealed [][]byte
	for _, link := range issued.Chain {
		sealed = append(sealed, link.SuccessorSealed)
	}
	if diff := cmp.Diff([][]byte{[]byte("sealed 1"), []byte("sealed 2"), []byte("sealed 3")}, sealed); diff != "" {
		t.Errorf("chain (-want +got):\n%s", diff)
	}
	issued, err = s.RotateRefreshToken(ctx, rotation(c, 0), now.Add(store.ReplayWindow+time.Microsecond))
	is(t, "a microsecond later", err, store.ErrReused)
	if len(issued.Revoked) != 1 || issued.Revoked[0].Epoch != 1 {
		t.Errorf("revoked %v, want the connection", issued.Revoked)
	}
}

func TestStrangersRefreshTokenChangesNothing(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	_, err := s.RotateRefreshToken(ctx, rotation(c, 0), now)
	must(t, err)
	late := now.Add(24 * time.Hour)
	stranger := rotation(c, 0)
	stranger.ClientID = "cursor"
	_, err = s.RotateRefreshToken(ctx, stranger, late)
	is(t, "another client, late reuse", err, store.ErrNotFound)
	unknown := rotation(c, 1)
	unknown.TokenHash = hash("unknown")
	_, err = s.RotateRefreshToken(ctx, unknown, now)
	is(t, "unknown token of the current generation", err, store.ErrNotFound)
	_, err = s.RotateRefreshToken(ctx, rotation(c, 1), now.Add(500*time.Hour))
	is(t, "idle for too long", err, store.ErrNotFound)
	if state, err := s.ConnectionState(ctx, c.ID); err != nil || !state.Live {
		t.Errorf("the connection was revoked (%v)", err)
	}
	_, err = s.RotateRefreshToken(ctx, rotation(c, 1), late)
	must(t, err)
}

func TestTokenIsNotSpentOnScopesThatWereNotGranted(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	r := rotation(c, 0)
	r.Scopes = []string{store.ScopeIncidentsPublish}
	_, err := s.RotateRefreshToken(ctx, r, now)
	is(t, "a scope that was not granted", err, store.ErrNotGranted)
	r.ClientID = "cursor"
	_, err = s.RotateRefreshToken(ctx, r, now)
	is(t, "the same by another client", err, store.ErrNotFound)
	r = rotation(c, 0)
	r.Scopes = []string{store.ScopeIncidentsPublish, store.ScopeIncidentsRead}
	issued, err := s.RotateRefreshToken(ctx, r, now)
	if err != nil || issued.Chain != nil {
		t.Errorf("the token was spent: %+v, %v", issued, err)
	}
}

func TestReplayOfAChainThatHasExpiredIsNoTheft(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	r := rotation(c, 0)
	r.SuccessorExpiresAt = now.Add(time.Minute)
	_, err := s.RotateRefreshToken(ctx, r, now)
	must(t, err)
	_, err = s.RotateRefreshToken(ctx, r, now.Add(time.Minute))
	is(t, "replay when the unused token has expired", err, store.ErrNotFound)
	if state, err := s.ConnectionState(ctx, c.ID); err != nil || !state.Live {
		t.Errorf("the connection was revoked (%v)", err)
	}
}

func TestPrunedTokensCannotBeReadAndStillGiveThemselvesAway(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	for generation := range 2 {
		_, err := s.RotateRefreshToken(ctx, rotation(c, generation), now)
		must(t, err)
	}
	must(t, s.PruneRefreshTokens(ctx, now.Add(time.Second)))
	var readable int
	must(t, s.Pool().QueryRow(ctx, `SELECT count(*) FROM refresh_tokens WHERE successor_sealed IS NOT NULL`).Scan(&readable))
	if readable != 0 {
		t.Errorf("%d seals are left", readable)
	}
	must(t, s.PruneRefreshTokens(ctx, now.Add(8*24*time.Hour)))
	var rows int
	must(t, s.Pool().QueryRow(ctx, `SELECT count(*) FROM refresh_tokens`).Scan(&rows))
	if rows != 1 {
		t.Errorf("%d tokens are left, want the unused one", rows)
	}
	_, err := s.RotateRefreshToken(ctx, rotation(c, 2), now.Add(8*24*time.Hour))
	must(t, err)
	_, err = s.RotateRefreshToken(ctx, rotation(c, 0), now.Add(8*24*time.Hour))
	is(t, "reuse of a pruned token", err, store.ErrReused)
}

func TestTokenOfNoOfflineAccessIsNotStored(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := pending(t, s, "user_bob", acme.ID, "claude")
	_, err := s.Pool().Exec(ctx, `UPDATE connections SET scopes = ARRAY['incidents:read'] WHERE id = $1`, c.ID)
	must(t, err)
	_, err = s.RedeemCode(ctx, redemption(c), now)
	must(t, err)
	_, err = s.RotateRefreshToken(ctx, rotation(c, 0), now)
	is(t, "refresh without offline_access", err, store.ErrNotFound)
}

func TestServersThatStartAtOnceAgreeOnKeys(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	var mu sync.Mutex
	sealed := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			got, err := s.SealedKey(ctx, "mac", bytes.Repeat([]byte{byte(i)}, 4), now)
			if err != nil {
				t.Error(err)
			}
			for _, state := range []store.KeyState{store.KeyActive, store.KeyNext} {
				if err := s.CreateSigningKey(ctx, signingKey(fmt.Sprint(state, i), state), now); err != nil {
					t.Error(err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			sealed[string(got)] = true
		})
	}
	wg.Wait()
	if len(sealed) != 1 {
		t.Errorf("%d sealed keys, want one", len(sealed))
	}
	keys, err := s.SigningKeys(ctx)
	if err != nil || len(keys) != 2 || keys[0].State != store.KeyActive || keys[1].State != store.KeyNext {
		t.Errorf("signing keys are %v, %v, want one active and one next", keys, err)
	}
}
