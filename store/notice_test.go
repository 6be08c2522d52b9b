package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

// taken takes all notices that wait.
func taken(t testing.TB, s *store.Store) (notices []*store.Notice) {
	t.Helper()
	must(t, pgx.BeginFunc(t.Context(), s.Pool(), func(tx pgx.Tx) (err error) {
		notices, err = s.TakeNoticesTx(t.Context(), tx, 100, now)
		return err
	}))
	return notices
}

func about(kind store.NoticeKind, person, orgID string, connections ...store.Connection) *store.Notice {
	n := &store.Notice{Kind: kind, UserID: "user_" + person, OrgID: orgID}
	for _, c := range connections {
		n.ConnectionIDs = append(n.ConnectionIDs, c.ID)
	}
	return n
}

func compareNotices(t testing.TB, what string, got []*store.Notice, want ...*store.Notice) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.SortSlices(func(a, b uuid.UUID) bool { return a.String() < b.String() })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestANewConnectionIsNoticedOnceItsCodeIsRedeemed(t *testing.T) {
	t.Parallel()
	s := world(t)
	c := pending(t, s, "user_alice", acme.ID, "claude")
	compareNotices(t, "pending", taken(t, s))
	_, err := s.RedeemCode(t.Context(), redemption(c), now)
	must(t, err)
	compareNotices(t, "redeemed", taken(t, s), about(store.NoticeConnected, "alice", acme.ID, c))
	compareNotices(t, "taken", taken(t, s))
}

// TestWhoIsToldOfARevocation: the person, unless they or their client did it.
func TestWhoIsToldOfARevocation(t *testing.T) {
	t.Parallel()
	alice, bob := "user_alice", "user_bob"
	for name, tc := range map[string]struct {
		end  func(t *testing.T, s *store.Store, c store.Connection) error
		told bool
	}{
		"themselves": {func(t *testing.T, s *store.Store, c store.Connection) error {
			_, err := s.RevokeOwnConnection(t.Context(), c.ID, bob, now)
			return err
		}, false},
		"the client": {func(t *testing.T, s *store.Store, c store.Connection) error {
			_, err := s.RevokeClientConnection(t.Context(), c.ID, c.ClientID, now)
			return err
		}, false},
		"themselves, as an administrator": {func(t *testing.T, s *store.Store, c store.Connection) error {
			_, err := s.RevokeOrgConnection(t.Context(), c.ID, acme.ID, bob, now)
			return err
		}, false},
		"connected anew": {func(t *testing.T, s *store.Store, c store.Connection) error {
			next := redemption(pending(t, s, bob, acme.ID, "claude"))
			next.Supersedes = func(string) bool { return true }
			issued, err := s.RedeemCode(t.Context(), next, now)
			must(t, err)
			if len(issued.Revoked) != 1 {
				t.Errorf("superseded %d, want 1", len(issued.Revoked))
			}
			return err
		}, false},
		"an administrator": {func(t *testing.T, s *store.Store, c store.Connection) error {
			_, err := s.RevokeOrgConnection(t.Context(), c.ID, acme.ID, alice, now)
			return err
		}, true},
		"the operator": {func(t *testing.T, s *store.Store, c store.Connection) error {
			_, err := s.RevokeConnections(t.Context(), store.Selection{User: bob}, now)
			return err
		}, true},
		"the end of a membership": {func(t *testing.T, s *store.Store, c store.Connection) error {
			save(t, s, "bob", now.Add(time.Second))
			return nil
		}, true},
		"a code that came twice": {func(t *testing.T, s *store.Store, c store.Connection) error {
			_, err := s.RedeemCode(t.Context(), redemption(c), now)
			is(t, "replay", err, store.ErrReused)
			return nil
		}, true},
		"a refresh token that came back late": {func(t *testing.T, s *store.Store, c store.Connection) error {
			_, err := s.RotateRefreshToken(t.Context(), rotation(c, 0), now)
			must(t, err)
			_, err = s.RotateRefreshToken(t.Context(), rotation(c, 1), now)
			must(t, err)
			_, err = s.RotateRefreshToken(t.Context(), rotation(c, 0), now.Add(store.ReplayWindow+time.Second))
			is(t, "reuse", err, store.ErrReused)
			return nil
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := world(t)
			c := connected(t, s, bob, acme.ID, "claude")
			pending(t, s, bob, acme.ID, "cursor") // is told of to nobody
			taken(t, s)
			must(t, tc.end(t, s, c))
			got := slices.DeleteFunc(taken(t, s), func(n *store.Notice) bool { return n.Kind == store.NoticeConnected })
			if tc.told {
				compareNotices(t, "revoked", got, about(store.NoticeRevoked, "bob", acme.ID, c))
			} else {
				compareNotices(t, "revoked", got)
			}
		})
	}
}

// TestWhatEndsAtOnceIsOneNoticePerPerson, and none before somebody takes it.
func TestWhatEndsAtOnceIsOneNoticePerPerson(t *testing.T) {
	t.Parallel()
	s := world(t)
	a, b, c := connected(t, s, "user_alice", acme.ID, "claude"), connected(t, s, "user_alice", acme.ID, "cursor"), connected(t, s, "user_bob", acme.ID, "claude")
	taken(t, s)
	_, err := s.ForgetOrganization(t.Context(), acme.ID, now.Add(time.Second), "")
	must(t, err)
	got := map[string]int{}
	for _, n := range taken(t, s) {
		got[n.UserID] = len(n.ConnectionIDs)
	}
	if diff := cmp.Diff(map[string]int{a.UserID: 2, c.UserID: 1}, got); diff != "" {
		t.Errorf("notices about %s, %s and %s (-want +got):\n%s", a.ID, b.ID, c.ID, diff)
	}
}
