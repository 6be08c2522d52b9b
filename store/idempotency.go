package store

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/semaphore"
)

// Outcomes of Idempotency.Run, besides those of the effect.
var (
	// ErrKeyReused: the key was used before with other arguments.
	ErrKeyReused = errors.New("idempotency key reused with other arguments")
	// ErrKeyInProgress: an earlier call with the key has not ended in time.
	ErrKeyInProgress = errors.New("an earlier call with this idempotency key is still running")
)

// IdempotencyLifetime is how long a key is remembered (design §11): long enough
// for a client that comes back after the night.
const IdempotencyLifetime = 24 * time.Hour

// IdempotencyWait is how long a call waits for an earlier one with its key.
const IdempotencyWait = 10 * time.Second

// IdempotencyKey is a caller's name for one mutation. It means nothing outside
// its organization, person and tool.
type IdempotencyKey struct {
	OrgID  string
	UserID string
	Tool   string
	Key    string // 1–255 visible ASCII; empty where the caller gave none
	// ArgumentsHash tells arguments apart: a SHA-256 of their canonical form.
	ArgumentsHash [32]byte
}

// Idempotency runs mutations at most once per key. Create one per process: it
// keeps the calls that wait for one another to a quarter of the pool, so that a
// client that repeats itself cannot take every connection.
type Idempotency struct {
	store   *Store
	waiting *semaphore.Weighted
}

// NewIdempotency returns an Idempotency on s.
func NewIdempotency(s *Store) *Idempotency {
	return &Idempotency{s, semaphore.NewWeighted(max(1, int64(s.pool.Config().MaxConns)/4))}
}

// Run runs effect in a transaction and returns its result; or, if an earlier
// call with the same key and arguments succeeded within IdempotencyLifetime,
// returns the result of that one, and replayed is true. Of any number of
// concurrent calls one runs its effect and the others wait for it.
//
// The key, the result and the effect commit together. An effect that fails
// leaves nothing behind, the key included. Without a key the effect runs each
// time.
//
// It returns ErrKeyReused if the arguments differ, ErrKeyInProgress if the
// earlier call did not end within IdempotencyWait, and the effect's own error as
// it is.
func (i *Idempotency) Run(ctx context.Context, k IdempotencyKey, now time.Time, effect func(pgx.Tx) (result []byte, err error)) (result []byte, replayed bool, err error) {
	if k.Key == "" {
		err := i.store.inTx(ctx, func(tx pgx.Tx) error {
			result, err = effect(tx)
			return err
		})
		return result, false, err
	}

	// Most keys are new, so the first attempt does not wait for another call.
	// One that finds its key taken needs a place among the waiting.
	result, replayed, err = i.attempt(ctx, k, now, "lock_timeout", time.Millisecond, effect)
	if !errors.Is(err, ErrKeyInProgress) {
		return result, replayed, err
	}
	deadline := time.Now().Add(IdempotencyWait)
	placeCtx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := i.waiting.Acquire(placeCtx, 1); err != nil {
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		return nil, false, ErrKeyInProgress
	}
	defer i.waiting.Release(1)
	// lock_timeout would begin anew with each call that claims the key before us
	// and fails; statement_timeout bounds them all.
	return i.attempt(ctx, k, now, "statement_timeout", time.Until(deadline), effect)
}

// attempt claims the key and then runs the effect or reads the stored result.
// The claim is bounded by setting, one of PostgreSQL's timeouts, at wait.
func (i *Idempotency) attempt(ctx context.Context, k IdempotencyKey, now time.Time, setting string, wait time.Duration, effect func(pgx.Tx) ([]byte, error)) (result []byte, replayed bool, err error) {
	err = i.store.inTx(ctx, func(tx pgx.Tx) error {
		claimed, err := claimKeyTx(ctx, tx, k, now, setting, wait)
		if err != nil {
			return err
		}
		if !claimed {
			replayed = true
			result, err = storedResultTx(ctx, tx, k)
			return err
		}
		if result, err = effect(tx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE idempotency_keys SET result = $5
			WHERE org_id = $1 AND user_id = $2 AND tool = $3 AND key = $4`, k.OrgID, k.UserID, k.Tool, k.Key, result)
		return wrap("storing result", err)
	})
	if err != nil {
		return nil, false, err
	}
	return result, replayed, nil
}

// claimKeyTx inserts the key and reports whether it could: false means that a
// committed row is there. The primary key makes the second of two concurrent
// calls wait for the first one's transaction.
func claimKeyTx(ctx context.Context, tx pgx.Tx, k IdempotencyKey, now time.Time, setting string, wait time.Duration) (bool, error) {
	batch := &pgx.Batch{}
	// A timeout of zero would be none.
	batch.Queue(`SELECT set_config($1, $2, true)`, setting, strconv.FormatInt(max(wait.Milliseconds(), 1), 10))
	batch.Queue(`
		DELETE FROM idempotency_keys
		WHERE org_id = $1 AND user_id = $2 AND tool = $3 AND key = $4 AND expires_at <= $5`,
		k.OrgID, k.UserID, k.Tool, k.Key, now)
	var claimed bool
	batch.Queue(`
		INSERT INTO idempotency_keys (org_id, user_id, tool, key, arguments_hash, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (org_id, user_id, tool, key) DO NOTHING`,
		k.OrgID, k.UserID, k.Tool, k.Key, k.ArgumentsHash[:], now.Add(IdempotencyLifetime)).
		Exec(func(tag pgconn.CommandTag) error {
			claimed = tag.RowsAffected() == 1
			return nil
		})
	batch.Queue(`SET LOCAL ` + setting + ` = DEFAULT`) // the effect is not what is bounded
	err := tx.SendBatch(ctx, batch).Close()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && (pgErr.Code == lockNotAvailable || pgErr.Code == queryCanceled) {
		return false, ErrKeyInProgress
	}
	return claimed, wrap("claiming idempotency key", err)
}

// The SQLSTATEs of lock_timeout and statement_timeout.
const (
	lockNotAvailable = "55P03"
	queryCanceled    = "57014"
)

// storedResultTx returns the result that an earlier call stored under the key.
func storedResultTx(ctx context.Context, tx pgx.Tx, k IdempotencyKey) ([]byte, error) {
	row, err := one[struct{ ArgumentsHash, Result []byte }](tx.Query(ctx, `
		SELECT arguments_hash, result FROM idempotency_keys
		WHERE org_id = $1 AND user_id = $2 AND tool = $3 AND key = $4`, k.OrgID, k.UserID, k.Tool, k.Key))
	if err != nil {
		return nil, wrap("reading stored result", err)
	}
	if !bytes.Equal(row.ArgumentsHash, k.ArgumentsHash[:]) {
		return nil, ErrKeyReused
	}
	return row.Result, nil
}

// DeleteExpiredIdempotencyKeys forgets the keys that expired by now, and
// returns how many there were. Expired keys are free whether or not anybody
// calls it; it keeps the table small.
func (s *Store) DeleteExpiredIdempotencyKeys(ctx context.Context, now time.Time) (int64, error) {
	tag, err := s.pool.Exec(ctx, `DELETE FROM idempotency_keys WHERE expires_at <= $1`, now)
	return tag.RowsAffected(), wrap("deleting expired idempotency keys", err)
}
