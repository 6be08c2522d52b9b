package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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

var (
	now    = time.Now().Truncate(time.Microsecond)
	acme   = store.Organization{ID: "org_acme", Slug: "acme", Name: "Acme"}
	globex = store.Organization{ID: "org_globex", Slug: "globex", Name: "Globex"}
)

func hash(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is fails the test unless err is the outcome wanted.
func is(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

// save stores what Clerk said of somebody and returns what it revoked.
func save(t testing.TB, s *store.Store, name string, asked time.Time, memberships ...store.Membership) []*store.Revocation {
	t.Helper()
	revoked, err := s.SavePerson(t.Context(), store.User{ID: "user_" + name, Name: name, Email: name + "@acme.example"}, memberships, asked, "")
	must(t, err)
	return revoked
}

// world returns a store with Alice (admin of Acme, member of Globex), Bob
// (member of Acme) and two clients.
func world(t testing.TB, change ...func(*pgxpool.Config)) *store.Store {
	t.Helper()
	s := storetest.Open(t, change...)
	ctx := t.Context()
	save(t, s, "alice", now, store.Membership{Organization: acme, Role: store.RoleAdmin}, store.Membership{Organization: globex, Role: store.RoleMember})
	save(t, s, "bob", now, store.Membership{Organization: acme, Role: store.RoleMember})
	for _, id := range []string{"claude", "cursor"} {
		_, err := s.RegisterClient(ctx, store.Client{
			ID: id, Kind: store.ClientRegistered, AuthMethod: store.AuthMethodNone, Name: id, CreatedAt: now,
			RedirectURIs: []string{"https://" + id + ".example/cb"}, GrantTypes: []string{store.GrantCode, store.GrantRefresh},
		}, hash(id))
		must(t, err)
	}
	return s
}

// pending stores a consent and returns the connection that waits for its code,
// which is the connection's id.
func pending(t testing.TB, s *store.Store, userID, orgID, clientID string) store.Connection {
	t.Helper()
	ctx := t.Context()
	c := store.Connection{
		ID: uuid.New(), OrgID: orgID, UserID: userID, ClientID: clientID, ClientName: clientID, ClientIdentity: "name:" + clientID,
		RedirectURI: "https://" + clientID + ".example/cb", Resource: "https://mcp.example/mcp",
		Scopes: []string{store.ScopeIncidentsRead, store.ScopeOfflineAccess}, ExpiresAt: now.Add(1000 * time.Hour),
	}
	handle := hash("handle" + c.ID.String())
	must(t, s.CreateAuthorizationRequest(ctx, handle, hash("browser"), store.AuthorizationRequest{ClientID: clientID, Form: "x=y"}, now))
	_, err := s.ShowAuthorizationRequest(ctx, handle, hash("browser"), userID, now)
	must(t, err)
	must(t, s.CreateGrant(ctx, store.Grant{
		Decision: store.Decision{HandleHash: handle, BrowserHash: hash("browser"), UserID: userID}, Connection: c, CodeHash: hash(c.ID.String()), CodeChallenge: "challenge", CodeExpiresAt: now.Add(time.Minute),
	}, now))
	return c
}

func redemption(c store.Connection) store.CodeRedemption {
	return store.CodeRedemption{
		CodeHash: hash(c.ID.String()), ConnectionID: c.ID, ClientID: c.ClientID, RedirectURI: c.RedirectURI, CodeChallenge: "challenge",
		RefreshHash: hash(fmt.Sprint(c.ID, 0)), RefreshExpiresAt: now.Add(500 * time.Hour),
		Supersedes: func(string) bool { return false },
	}
}

// connected returns a live connection, whose first refresh token is its id and
// generation.
func connected(t testing.TB, s *store.Store, userID, orgID, clientID string) store.Connection {
	t.Helper()
	c := pending(t, s, userID, orgID, clientID)
	issued, err := s.RedeemCode(t.Context(), redemption(c), now)
	must(t, err)
	return *issued.Connection
}

func rotation(c store.Connection, generation int) store.Rotation {
	return store.Rotation{
		TokenHash: hash(fmt.Sprint(c.ID, generation)), ConnectionID: c.ID, Generation: generation, ClientID: c.ClientID,
		SuccessorHash: hash(fmt.Sprint(c.ID, generation+1)), SuccessorSealed: fmt.Append(nil, "sealed ", generation+1),
		SuccessorExpiresAt: now.Add(500 * time.Hour), ReplayUntilUsed: 2 * time.Hour,
	}
}

func TestPendingConnectionIsShownToNobodyAndNotAlive(t *testing.T) {
	t.Parallel()
	s := world(t)
	c := pending(t, s, "user_alice", acme.ID, "claude")
	list, err := s.ConnectionPage(t.Context(), store.ConnectionQuery{UserID: "user_alice", Sort: store.SortByUse, Limit: 9}, now)
	must(t, err)
	if len(list) != 0 {
		t.Error("a pending connection is listed")
	}
	state, err := s.ConnectionState(t.Context(), c.ID)
	must(t, err)
	if state.Live {
		t.Error("a pending connection is alive")
	}
	_, err = s.ConnectionVisibleTo(t.Context(), c.ID, "user_alice", nil, now)
	is(t, "reading a pending connection", err, store.ErrNotFound)
}

func TestConnectionsAreSeenByTheirOwnerAndTheirAdministrators(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	alice := connected(t, s, "user_alice", globex.ID, "claude")
	bob := connected(t, s, "user_bob", acme.ID, "claude")

	mine, err := s.ConnectionPage(ctx, store.ConnectionQuery{UserID: "user_alice", Sort: store.SortByUse, Limit: 9}, now)
	must(t, err)
	if len(mine) != 1 || mine[0].ID != alice.ID || mine[0].OrgName != "Globex" || mine[0].UserName != "alice" {
		t.Errorf("Alice's connections are %+v", mine)
	}
	org, err := s.ConnectionPage(ctx, store.ConnectionQuery{OrgID: acme.ID, Sort: store.SortByUse, Limit: 9}, now)
	must(t, err)
	if len(org) != 1 || org[0].ID != bob.ID || org[0].UserEmail != "bob@acme.example" {
		t.Errorf("Acme's connections are %+v", org)
	}
	for _, tt := range []struct {
		who     string
		adminOf []string
		id      uuid.UUID
		want    error
	}{
		{"user_bob", nil, bob.ID, nil},
		{"user_alice", []string{acme.ID}, bob.ID, nil},
		{"user_alice", nil, bob.ID, store.ErrNotFound},
		{"user_bob", []string{acme.ID}, alice.ID, store.ErrNotFound},
		{"user_bob", nil, uuid.New(), store.ErrNotFound},
	} {
		_, err := s.ConnectionVisibleTo(ctx, tt.id, tt.who, tt.adminOf, now)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s, admin of %v: error is %v, want %v", tt.who, tt.adminOf, err, tt.want)
		}
	}
	name, err := s.ConnectionClientName(ctx, bob.ID)
	if err != nil || name != "claude" {
		t.Errorf("client name is %q, %v", name, err)
	}
	_, err = s.ConnectionClientName(ctx, uuid.New())
	is(t, "client name of no connection", err, store.ErrNotFound)
}

func TestRevocationIsForThoseWhoMayAndHappensOnce(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	_, err := s.RevokeOwnConnection(ctx, c.ID, "user_alice", now)
	is(t, "somebody else's, as own", err, store.ErrNotFound)
	_, err = s.RevokeOrgConnection(ctx, c.ID, globex.ID, "user_alice", now)
	is(t, "another organization's", err, store.ErrNotFound)
	_, err = s.RevokeClientConnection(ctx, c.ID, "cursor", now)
	is(t, "another client's", err, store.ErrNotFound)

	var mu sync.Mutex
	var revocations []*store.Revocation
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r, err := s.RevokeOrgConnection(ctx, c.ID, acme.ID, "user_alice", now)
			if err == nil {
				mu.Lock()
				revocations = append(revocations, r)
				mu.Unlock()
			} else if !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff([]*store.Revocation{{ConnectionID: c.ID, Epoch: 1}}, revocations); diff != "" {
		t.Errorf("revocations (-want +got):\n%s", diff)
	}
	seen, err := s.ConnectionVisibleTo(ctx, c.ID, "user_bob", nil, now)
	must(t, err)
	if !seen.Revoked() || *seen.RevokeReason != store.RevokedByAdmin || *seen.RevokedByName != "alice" {
		t.Errorf("the revoked connection reads %+v", seen)
	}
	_, err = s.RotateRefreshToken(ctx, rotation(c, 0), now)
	is(t, "refresh after revocation", err, store.ErrNotFound)
}

func TestRevocationIsAnnouncedAndQueuedUntilConfirmed(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	listener, err := s.Pool().Acquire(ctx)
	must(t, err)
	defer listener.Release()
	_, err = listener.Exec(ctx, "LISTEN "+pgx.Identifier{store.RevocationChannel}.Sanitize())
	must(t, err)

	revoked, err := s.RevokeOwnConnection(ctx, c.ID, "user_bob", now)
	must(t, err)
	n, err := listener.Conn().WaitForNotification(ctx)
	must(t, err)
	if want := c.ID.String() + ":1"; n.Payload != want {
		t.Errorf("announced %q, want %q", n.Payload, want)
	}
	queued, err := s.UnappliedRevocations(ctx, 10)
	must(t, err)
	if diff := cmp.Diff([]*store.Revocation{revoked}, queued); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
	ending := func(at time.Time) bool {
		seen, err := s.ConnectionVisibleTo(ctx, c.ID, "user_bob", nil, at)
		must(t, err)
		return seen.Ending
	}
	if !ending(now.Add(59*time.Second)) || ending(now.Add(store.LivenessTTL)) {
		t.Error("an unconfirmed revocation reads as ending for a minute, and then as revoked")
	}
	must(t, s.ConfirmRevocations(ctx, queued, now))
	if ending(now) {
		t.Error("a confirmed revocation reads as ending")
	}
	if queued, err = s.UnappliedRevocations(ctx, 10); err != nil || len(queued) != 0 {
		t.Errorf("after the confirmation %d are queued, %v", len(queued), err)
	}
	recent, err := s.RevocationsSince(ctx, now.Add(-time.Minute))
	must(t, err)
	if diff := cmp.Diff([]*store.Revocation{revoked}, recent); diff != "" {
		t.Errorf("recent (-want +got):\n%s", diff)
	}
	if recent, err = s.RevocationsSince(ctx, now); err != nil || len(recent) != 0 {
		t.Errorf("%d revocations since the last, %v", len(recent), err)
	}
}

func TestEndedConnectionsAreShownForNinetyDays(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	live := connected(t, s, "user_bob", acme.ID, "claude")
	ended := connected(t, s, "user_bob", acme.ID, "cursor")
	_, err := s.RevokeOwnConnection(ctx, ended.ID, "user_bob", now)
	must(t, err)
	ids := func(at time.Time) []uuid.UUID {
		var ids []uuid.UUID
		for _, ended := range []bool{false, true} {
			list, err := s.ConnectionPage(ctx, store.ConnectionQuery{UserID: "user_bob", Ended: ended, Sort: store.SortByUse, Limit: 9}, at)
			must(t, err)
			for _, c := range list {
				ids = append(ids, c.ID)
			}
		}
		return ids
	}
	if diff := cmp.Diff([]uuid.UUID{live.ID, ended.ID}, ids(now.Add(store.EndedShownFor-time.Second))); diff != "" {
		t.Errorf("before 90 days (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uuid.UUID{live.ID}, ids(now.Add(store.EndedShownFor))); diff != "" {
		t.Errorf("after 90 days (-want +got):\n%s", diff)
	}
	if got := ids(live.ExpiresAt.Add(store.EndedShownFor - time.Second)); len(got) != 1 {
		t.Errorf("before 90 days since it expired %d are listed, want 1", len(got))
	}
	if got := ids(live.ExpiresAt.Add(store.EndedShownFor)); len(got) != 0 {
		t.Errorf("90 days after it expired %d are listed, want none", len(got))
	}
}

func TestUseIsRecordedAndNeverTurnedBack(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	c := connected(t, s, "user_bob", acme.ID, "claude")
	later := now.Add(time.Hour)
	must(t, s.TouchConnections(ctx, map[uuid.UUID]time.Time{c.ID: later, uuid.New(): later}))
	must(t, s.TouchConnections(ctx, map[uuid.UUID]time.Time{c.ID: now}))
	seen, err := s.ConnectionVisibleTo(ctx, c.ID, "user_bob", nil, now)
	must(t, err)
	if seen.LastUsedAt == nil || !seen.LastUsedAt.Equal(later) {
		t.Errorf("last used at %v, want %v", seen.LastUsedAt, later)
	}
}

// TestReplicasRecordUseSideBySide: each writes down its second's uses in one
// statement, and none may wait for another in a circle.
func TestReplicasRecordUseSideBySide(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	_, err := s.Pool().Exec(ctx, `
		INSERT INTO connections (id, org_id, user_id, client_id, client_name, client_identity, client_verified, redirect_uri, resource, scopes, created_at, expires_at)
		SELECT gen_random_uuid(), $1, 'user_bob', 'claude', '', '', false, '', '', '{}', now(), now() FROM generate_series(1, 5000)`, acme.ID)
	must(t, err)
	rows, err := s.Pool().Query(ctx, `SELECT id FROM connections`)
	must(t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	must(t, err)
	var wg sync.WaitGroup
	for replica := range 4 {
		wg.Go(func() {
			for second := range 30 {
				used := map[uuid.UUID]time.Time{}
				for i := range 60 {
					used[ids[(second*60+i)%len(ids)]] = now.Add(time.Duration(second*4+replica) * time.Second)
				}
				if err := s.TouchConnections(ctx, used); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestExpiredThingsAreDeletedAndNothingElse(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	live := connected(t, s, "user_bob", acme.ID, "claude")
	stale := pending(t, s, "user_bob", acme.ID, "cursor")
	must(t, s.CreateSession(ctx, hash("session"), "user_bob", false, now))
	must(t, s.CreateSignInAttempt(ctx, hash("state"), hash("browser"), store.SignInAttempt{}, now))
	must(t, s.CreateAuthorizationRequest(ctx, hash("handle"), hash("browser"), store.AuthorizationRequest{ClientID: "claude"}, now))
	must(t, s.CreatePushedRequest(ctx, hash("uri"), "claude", "a=b", now))
	count := func() (rows int) {
		must(t, s.Pool().QueryRow(ctx, `SELECT (SELECT count(*) FROM pushed_requests) + (SELECT count(*) FROM sessions) + (SELECT count(*) FROM sign_in_attempts) +
			(SELECT count(*) FROM authorization_requests) + (SELECT count(*) FROM authorization_codes)`).Scan(&rows))
		return rows
	}
	must(t, s.DeleteExpired(ctx, now))
	if got := count(); got != 6 {
		t.Errorf("%d rows are left at once, want all 6", got)
	}
	must(t, s.DeleteExpired(ctx, now.Add(25*time.Hour)))
	if got := count(); got != 0 {
		t.Errorf("%d rows are left after a day, want none", got)
	}
	_, err := s.ConnectionState(ctx, live.ID)
	must(t, err)
	_, err = s.ConnectionState(ctx, stale.ID)
	is(t, "a connection that was never redeemed", err, store.ErrNotFound)
}
