package store_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

// gather holds the token of a first rotation, so that its transaction waits, and
// makes calls until as many as there are wait behind it. Then it lets go, and
// returns when all have their answer.
func gather(t *testing.T, s *store.Store, first store.Connection, calls ...func()) {
	t.Helper()
	holder, err := s.Pool().Begin(t.Context())
	must(t, err)
	defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = holder.Exec(t.Context(), `SELECT FROM refresh_tokens WHERE connection_id = $1 FOR UPDATE`, first.ID)
	must(t, err)
	var answered sync.WaitGroup
	answered.Go(func() {
		if _, err := s.RotateRefreshToken(t.Context(), rotation(first, 0), now); err != nil {
			t.Errorf("the first: %v", err)
		}
	})
	for waits := false; !waits; {
		must(t, s.Pool().QueryRow(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits))
	}
	for i, call := range calls {
		answered.Go(call)
		for s.RotationsWaiting() <= i {
			runtime.Gosched()
		}
	}
	must(t, holder.Rollback(t.Context()))
	answered.Wait()
}

func TestRotationsThatComeTogetherAreOneTransaction(t *testing.T) {
	t.Parallel()
	s := world(t)
	first := connected(t, s, "user_bob", acme.ID, "claude")
	var calls []func()
	var ids []any
	for range 20 {
		c := connected(t, s, "user_bob", acme.ID, "claude")
		ids = append(ids, c.ID)
		calls = append(calls, func() {
			issued, err := s.RotateRefreshToken(t.Context(), rotation(c, 0), now)
			if err != nil || issued.Connection.ID != c.ID {
				t.Errorf("got the connection %v (%v), want %v", issued, err, c.ID)
			}
		})
	}
	gather(t, s, first, calls...)
	rows, err := s.Pool().Query(t.Context(), `
		SELECT DISTINCT xmin::text FROM refresh_tokens WHERE connection_id = ANY ($1) AND generation = 1`, ids)
	must(t, err)
	transactions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	if len(transactions) != 1 {
		t.Errorf("20 rotations in %d transactions, want one", len(transactions))
	}
}

// TestRotationsDoNotShareTheirMisfortune: what is wrong with one is its own
// affair, although it spoils the transaction.
func TestRotationsDoNotShareTheirMisfortune(t *testing.T) {
	t.Parallel()
	s := world(t)
	first, good, stranger, faulty := connected(t, s, "user_bob", acme.ID, "claude"), connected(t, s, "user_bob", acme.ID, "claude"),
		connected(t, s, "user_bob", acme.ID, "claude"), connected(t, s, "user_bob", acme.ID, "claude")
	gone, leave := context.WithCancel(t.Context())
	gather(t, s, first,
		func() {
			if _, err := s.RotateRefreshToken(t.Context(), rotation(good, 0), now); err != nil {
				t.Errorf("a good one: %v", err)
			}
		},
		func() {
			r := rotation(stranger, 0)
			r.ClientID = "cursor"
			_, err := s.RotateRefreshToken(t.Context(), r, now)
			is(t, "another client's", err, store.ErrNotFound)
		},
		func() {
			r := rotation(faulty, 0)
			r.SuccessorHash = rotation(stranger, 0).TokenHash // is there already
			_, err := s.RotateRefreshToken(t.Context(), r, now)
			if err == nil || errors.Is(err, store.ErrNotFound) {
				t.Errorf("a successor that exists: error is %v, want the database's", err)
			}
		},
		func() {
			leave()
			_, err := s.RotateRefreshToken(gone, rotation(stranger, 0), now)
			is(t, "somebody who has gone", err, context.Canceled)
		},
	)
	for name, c := range map[string]store.Connection{"good": good, "first": first} {
		if _, err := s.RotateRefreshToken(t.Context(), rotation(c, 1), now); err != nil {
			t.Errorf("the successor of the %s one: %v", name, err)
		}
	}
	for name, c := range map[string]store.Connection{"another client's": stranger, "faulty": faulty} {
		if _, err := s.RotateRefreshToken(t.Context(), rotation(c, 0), now); err != nil {
			t.Errorf("%s: its token was spent (%v)", name, err)
		}
	}
}
