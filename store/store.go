// Package store holds the domain types that every face of the program speaks
// of, and every SQL statement. It decides races: single use, one chain of
// refresh tokens, one revocation. It knows no HTTP, no OAuth wire format, no
// HTML. Time comes in as a parameter. Redis is package volatile's.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Outcomes that a caller decides on. Everything else is wrapped once and means
// that the database could not do its work.
var (
	// ErrNotFound: no such row, or not one that the caller may see.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the row exists already, or another call was first.
	ErrConflict = errors.New("conflict")
	// ErrReused: a code or refresh token that was spent before was presented by
	// its own client, in a way that only a theft or a broken client explains.
	// Its connection has been revoked by the time the error is returned.
	ErrReused = errors.New("spent already")
	// ErrNotGranted: nothing of what was asked for was granted.
	ErrNotGranted = errors.New("not granted")
	// ErrStale: nothing is wrong, but Clerk's word on the person is too old to act
	// on. Nothing has changed.
	ErrStale = errors.New("word of Clerk is too old")
)

// Store is a handle on the database. It is safe for concurrent use.
type Store struct {
	pool      *pgxpool.Pool
	rotations *rotationQueue
	zones     sync.Map // string to *time.Location, see location
}

// New returns a Store on pool. The caller closes the pool.
func New(pool *pgxpool.Pool) *Store {
	return &Store{pool: pool, rotations: &rotationQueue{pool: pool}}
}

// Pool is the connection pool, for what is not a statement of ours (LISTEN,
// the job queue, tests).
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("store: ping: %w", err)
	}
	return nil
}

// inTx runs f in one transaction, committed when f returns nil.
func (s *Store) inTx(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, f)
}

// one returns the only row of rows as a T, or ErrNotFound.
func one[T any](rows pgx.Rows, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	t, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[T])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotFound
	}
	return t, err
}

// many returns the rows as Ts.
func many[T any](rows pgx.Rows, err error) ([]*T, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[T])
}

// violates reports whether err is a violation of the named constraint or
// unique index.
func violates(err error, constraint string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.ConstraintName == constraint
}

// wrap says what failed, once; outcomes pass through unchanged.
func wrap(doing string, err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) || errors.Is(err, ErrReused) ||
		errors.Is(err, ErrNotGranted) || errors.Is(err, ErrStale) {
		return err
	}
	return fmt.Errorf("store: %s: %w", doing, err)
}
