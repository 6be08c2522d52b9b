package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

func idempotencyKey(key string) store.IdempotencyKey {
	return store.IdempotencyKey{OrgID: "acme", UserID: "ann", Tool: "create_incident", Key: key, ArgumentsHash: [32]byte{1}}
}

// makeComponent returns an effect that shows in the database, and whose result
// tells which call made it.
func makeComponent(s *store.Store, name, result string) func(pgx.Tx) ([]byte, error) {
	return func(tx pgx.Tx) ([]byte, error) {
		_, err := s.CreateComponentTx(context.Background(), tx, "acme", store.Component{Name: name}, noon)
		return []byte(result), err
	}
}

func componentCount(t *testing.T, s *store.Store) int {
	t.Helper()
	return len(commit(t, s, func(ctx context.Context, tx pgx.Tx) ([]*store.Component, error) {
		return s.ComponentsTx(ctx, tx, "acme")
	}))
}

func TestEightParallelCallsWithOneKeyHaveOneEffectAndEqualAnswers(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	idempotency := store.NewIdempotency(s)
	var originals atomic.Int32
	results := make([]string, 8)
	var wg sync.WaitGroup
	for n := range results {
		wg.Go(func() {
			result, replayed, err := idempotency.Run(t.Context(), idempotencyKey("k"), noon, makeComponent(s, "API", fmt.Sprint("made by ", n)))
			if err != nil {
				t.Error(err)
			}
			if !replayed {
				originals.Add(1)
			}
			results[n] = string(result)
		})
	}
	wg.Wait()
	for n, result := range results {
		if result != results[0] {
			t.Errorf("answer %d: got %q, want %q like the first", n, result, results[0])
		}
	}
	if got := originals.Load(); got != 1 {
		t.Errorf("answers that are not replays: got %d, want 1", got)
	}
	if got := componentCount(t, s); got != 1 {
		t.Errorf("effects: got %d, want 1", got)
	}
}

func TestAKeyBelongsToOrganizationPersonAndTool(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea")
	incidentOrg(t, s, "globex", "gus")
	idempotency := store.NewIdempotency(s)
	for n, differ := range []func(*store.IdempotencyKey){
		func(*store.IdempotencyKey) {},
		func(k *store.IdempotencyKey) { k.Key = "K" },
		func(k *store.IdempotencyKey) { k.UserID = "bea" },
		func(k *store.IdempotencyKey) { k.OrgID = "globex" },
		func(k *store.IdempotencyKey) { k.Tool = "post_incident_update" },
	} {
		k := idempotencyKey("k")
		differ(&k)
		if _, replayed, err := idempotency.Run(t.Context(), k, noon, makeComponent(s, fmt.Sprint(n), "")); err != nil || replayed {
			t.Errorf("key %d: got replayed %v, error %v, want an effect of its own", n, replayed, err)
		}
	}
	other := idempotencyKey("k")
	other.ArgumentsHash = [32]byte{2}
	if _, _, err := idempotency.Run(t.Context(), other, noon, makeComponent(s, "x", "")); !errors.Is(err, store.ErrKeyReused) {
		t.Errorf("other arguments: got %v, want %v", err, store.ErrKeyReused)
	}
}

func TestWithoutAKeyEachCallHasItsEffect(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	idempotency := store.NewIdempotency(s)
	for n := range 2 {
		result, replayed, err := idempotency.Run(t.Context(), idempotencyKey(""), noon, makeComponent(s, fmt.Sprint(n), "done"))
		if string(result) != "done" || replayed || err != nil {
			t.Errorf("call %d: got %q, %v, %v, want an effect", n, result, replayed, err)
		}
	}
}

func TestAFailureFreesTheKeyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	idempotency := store.NewIdempotency(s)
	refusal := errors.New("no")
	_, _, err := idempotency.Run(t.Context(), idempotencyKey("k"), noon, func(tx pgx.Tx) ([]byte, error) {
		if _, err := makeComponent(s, "API", "")(tx); err != nil {
			return nil, err
		}
		return nil, refusal
	})
	if !errors.Is(err, refusal) || componentCount(t, s) != 0 {
		t.Errorf("failing effect: got %v and %d components, want its error and none", err, componentCount(t, s))
	}
	if _, replayed, err := idempotency.Run(t.Context(), idempotencyKey("k"), noon, makeComponent(s, "API", "")); replayed || err != nil {
		t.Errorf("second call: got replayed %v, %v, want an effect", replayed, err)
	}
}

func TestAKeyIsForgottenAfterADay(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	idempotency := store.NewIdempotency(s)
	expiry := noon.Add(store.IdempotencyLifetime)
	run := func(at time.Time, name string) bool {
		t.Helper()
		_, replayed, err := idempotency.Run(t.Context(), idempotencyKey("k"), at, makeComponent(s, name, ""))
		if err != nil {
			t.Fatal(err)
		}
		return replayed
	}
	if run(noon, "a") || !run(expiry.Add(-time.Second), "b") || run(expiry, "c") || !run(expiry, "d") {
		t.Error("a key must be kept for a day, and then begin a new one")
	}
	for n, row := range []struct {
		at   time.Time
		want int64
	}{{expiry, 0}, {expiry.Add(store.IdempotencyLifetime), 1}} {
		if got, err := s.DeleteExpiredIdempotencyKeys(t.Context(), row.at); err != nil || got != row.want {
			t.Errorf("sweep %d: got %d %v, want %d", n, got, err, row.want)
		}
	}
}

// While one call works, those that wait for it hold no more than a quarter of
// the pool: the rest is free for everybody else.
func TestWaitingCallsLeaveThePoolToOthersAndGiveUpInTime(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for ten seconds")
	}
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	idempotency := store.NewIdempotency(s)
	size := int(s.Pool().Config().MaxConns)

	working, finish := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, err := idempotency.Run(t.Context(), idempotencyKey("k"), noon, func(tx pgx.Tx) ([]byte, error) {
			close(working)
			<-finish
			return nil, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-working
	var waiters sync.WaitGroup
	begun := time.Now()
	for range 2 * size {
		waiters.Go(func() {
			_, _, err := idempotency.Run(t.Context(), idempotencyKey("k"), noon, makeComponent(s, "API", ""))
			if waited := time.Since(begun); !errors.Is(err, store.ErrKeyInProgress) || waited < store.IdempotencyWait-time.Second || waited > store.IdempotencyWait+5*time.Second {
				t.Errorf("waiting call: got %v after %v, want %v after %v", err, waited, store.ErrKeyInProgress, store.IdempotencyWait)
			}
		})
	}
	// Every connection but the worker's and the quarter's, all at once.
	var held []interface{ Release() }
	for range size - 1 - size/4 {
		c, err := s.Pool().Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	if waited := time.Since(begun); waited > store.IdempotencyWait/2 {
		t.Errorf("the pool was taken for %v", waited)
	}
	for _, c := range held {
		c.Release()
	}
	waiters.Wait()

	// The caller's own deadline comes first.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := idempotency.Run(ctx, idempotencyKey("k"), noon, makeComponent(s, "API", "")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("call with a deadline: got %v, want %v", err, context.DeadlineExceeded)
	}
	close(finish)
	wg.Wait()
	if _, replayed, err := idempotency.Run(t.Context(), idempotencyKey("k"), noon, makeComponent(s, "API", "")); !replayed || err != nil {
		t.Errorf("after the first call ended: got replayed %v, %v, want its result", replayed, err)
	}
}

// A call that has waited gives its place among the waiting back: more calls wait,
// one after another, than there are places.
func TestAPlaceAmongTheWaitingIsGivenBack(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	idempotency := store.NewIdempotency(s)
	places := max(1, int(s.Pool().Config().MaxConns)/4)
	for round := range places + 1 {
		k := idempotencyKey(fmt.Sprint(round))
		waited := make(chan error, 1)
		_, _, err := idempotency.Run(t.Context(), k, noon, func(pgx.Tx) ([]byte, error) {
			go func() {
				_, replayed, err := idempotency.Run(t.Context(), k, noon, makeComponent(s, "API", ""))
				if err == nil && !replayed {
					err = errors.New("the effect happened again")
				}
				waited <- err
			}()
			// Its first attempt gives up after a millisecond, the one that
			// needs a place lasts.
			for waiting := false; !waiting; {
				if len(waited) > 0 {
					return nil, nil
				}
				if err := s.Pool().QueryRow(t.Context(), `
					SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
					                                              AND query LIKE '%INSERT INTO idempotency_keys%'
					                                              AND clock_timestamp() - query_start > interval '50 milliseconds')`).Scan(&waiting); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-waited; err != nil {
			t.Fatalf("round %d of %d: %v", round+1, places+1, err)
		}
	}
}

func TestTheEffectOfAKeyedCallIsNotBoundedByTheWait(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	_, _, err := store.NewIdempotency(s).Run(t.Context(), idempotencyKey("k"), noon, func(tx pgx.Tx) ([]byte, error) {
		var lock, statement string
		err := tx.QueryRow(t.Context(), `SELECT current_setting('lock_timeout'), current_setting('statement_timeout')`).Scan(&lock, &statement)
		if lock != "0" || statement != "0" {
			t.Errorf("timeouts in the effect: got %s and %s, want none", lock, statement)
		}
		return nil, err
	})
	if err != nil {
		t.Error(err)
	}
}
