package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

func TestOperatorRevokesWhatFitsAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, selection := range map[string]func(victim store.Connection) store.Selection{
		"by id":              func(c store.Connection) store.Selection { return store.Selection{IDs: []uuid.UUID{c.ID}} },
		"by person and more": func(store.Connection) store.Selection { return store.Selection{User: "user_bob", Org: "acme"} },
		"by e-mail":          func(store.Connection) store.Selection { return store.Selection{User: "BOB@acme.example"} },
		"by client":          func(store.Connection) store.Selection { return store.Selection{Client: "cursor"} },
		"by identity":        func(store.Connection) store.Selection { return store.Selection{Client: "name:cursor", Org: "org_acme"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ctx := world(t), t.Context()
			victim := connected(t, s, "user_bob", acme.ID, "cursor")
			bystander := connected(t, s, "user_alice", acme.ID, "claude")
			elsewhere := connected(t, s, "user_alice", globex.ID, "claude")
			chosen := selection(victim)
			listed, err := s.Connections(ctx, chosen, false, now)
			must(t, err)
			if len(listed) != 1 || listed[0].ID != victim.ID {
				t.Fatalf("listed are %v, want the victim", listed)
			}
			revoked, err := s.RevokeConnections(ctx, chosen, now)
			must(t, err)
			if diff := cmp.Diff([]*store.Revocation{{ConnectionID: victim.ID, Epoch: 1}}, revoked); diff != "" {
				t.Errorf("revoked (-want +got):\n%s", diff)
			}
			queued, err := s.UnappliedRevocations(ctx, 10)
			must(t, err)
			if len(queued) != 1 {
				t.Errorf("%d revocations queued, want 1", len(queued))
			}
			_, err = s.RevokeConnections(ctx, chosen, now)
			is(t, "again", err, store.ErrNotFound)
			for _, other := range []store.Connection{bystander, elsewhere} {
				if state, err := s.ConnectionState(ctx, other.ID); err != nil || !state.Live {
					t.Errorf("another connection: %v, %v, want it alive", state, err)
				}
			}
			listed, err = s.Connections(ctx, chosen, true, now)
			must(t, err)
			if len(listed) != 1 || *listed[0].RevokeReason != store.RevokedByOperator || listed[0].RevokedBy != nil {
				t.Errorf("listed afterwards are %v", listed)
			}
			all, err := s.Connections(ctx, store.Selection{}, false, now)
			must(t, err)
			if len(all) != 2 || slices.ContainsFunc(all, func(c *store.ListedConnection) bool { return c.ID == victim.ID }) {
				t.Errorf("live are %v, want the two others", all)
			}
		})
	}
}

func TestOperatorNeverRevokesEverythingByAccident(t *testing.T) {
	t.Parallel()
	s, ctx := world(t), t.Context()
	c := connected(t, s, "user_bob", acme.ID, "cursor")
	for name, selection := range map[string]store.Selection{
		"nothing set": {}, "no ids": {IDs: []uuid.UUID{}}, "somebody unknown": {User: "%"}, "an organization unknown": {Org: "ACME"},
		"two that do not meet": {User: "user_bob", Org: "globex"},
	} {
		if revoked, err := s.RevokeConnections(ctx, selection, now); err == nil {
			t.Errorf("%s: %d connections were revoked", name, len(revoked))
		}
	}
	if state, err := s.ConnectionState(ctx, c.ID); err != nil || !state.Live {
		t.Errorf("the connection: %v, %v, want it alive", state, err)
	}
}

func TestOperatorRevokesACodeThatIsUnderWay(t *testing.T) {
	t.Parallel()
	s, ctx := world(t), t.Context()
	c := pending(t, s, "user_bob", acme.ID, "cursor")
	_, err := s.RevokeConnections(ctx, store.Selection{User: "user_bob"}, now.Add(time.Second))
	must(t, err)
	_, err = s.RedeemCode(ctx, redemption(c), now.Add(2*time.Second))
	is(t, "redeeming afterwards", err, store.ErrNotFound)
}
