package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rotationQueue rotates refresh tokens together that come at the same time. While
// one transaction is under way the others gather, and are then rotated in the
// next: a commit waits for the disk, and costs more than the rotation itself.
// Nobody is answered before their transaction has committed, and nobody waits for
// more than one that is not theirs. A rotation that comes alone is alone.
type rotationQueue struct {
	pool *pgxpool.Pool

	mu      sync.Mutex
	waiting []*queuedRotation
	running bool
}

// queuedRotation is one call. connection and err are its outcome, once done is
// closed; err is ErrNotFound if there was nothing to rotate.
type queuedRotation struct {
	ctx        context.Context
	rotation   Rotation
	at         time.Time
	done       chan struct{}
	connection *Connection
	err        error
}

const (
	// rotationsTogether bounds one transaction, so that the locks of its rows are
	// short.
	rotationsTogether = 64
	// rotationBound is how long one transaction may take: less than a request, so
	// that a database that hangs becomes an error that the client is told.
	rotationBound = 5 * time.Second
)

// rotate returns the connection whose token was rotated, or ErrNotFound.
func (q *rotationQueue) rotate(ctx context.Context, r Rotation, at time.Time) (*Connection, error) {
	call := &queuedRotation{ctx: ctx, rotation: r, at: at, done: make(chan struct{})}
	q.mu.Lock()
	q.waiting = append(q.waiting, call)
	start := !q.running
	q.running = true
	q.mu.Unlock()
	if start {
		go q.run()
	}
	select {
	case <-call.done:
		return call.connection, call.err
	case <-ctx.Done():
		// It may be rotated all the same. The client then has a used token, and is
		// given its successor when it comes back.
		return nil, ctx.Err()
	}
}

// run rotates what waits until nothing does.
func (q *rotationQueue) run() {
	for {
		q.mu.Lock()
		together := q.waiting[:min(len(q.waiting), rotationsTogether)]
		if len(together) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		q.waiting = slices.Clone(q.waiting[len(together):])
		q.mu.Unlock()

		present := slices.DeleteFunc(slices.Clone(together), func(c *queuedRotation) bool {
			c.err = c.ctx.Err()
			return c.err != nil
		})
		q.rotateTogether(present)
		for _, c := range together {
			close(c.done)
		}
	}
}

// rotateTogether makes calls in one transaction. If the database refuses one of
// them, each is made by itself.
func (q *rotationQueue) rotateTogether(calls []*queuedRotation) {
	if len(calls) == 0 {
		return
	}
	// In one order everywhere: two replicas that are given the same tokens would
	// else wait for each other.
	slices.SortFunc(calls, func(a, b *queuedRotation) int {
		return bytes.Compare(a.rotation.TokenHash, b.rotation.TokenHash)
	})
	batch := &pgx.Batch{}
	for _, c := range calls {
		r := c.rotation
		batch.Queue(rotateStatement(), r.TokenHash, r.ClientID, c.at, r.SuccessorHash, r.SuccessorSealed, r.SuccessorExpiresAt,
			r.Scopes, r.ConnectionID, r.SyncedAfter).Query(func(rows pgx.Rows) error {
			c.connection, c.err = one[Connection](rows, nil)
			if errors.Is(c.err, ErrNotFound) {
				return nil
			}
			return c.err
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), rotationBound)
	defer cancel()
	err := q.pool.SendBatch(ctx, batch).Close() // and so committed
	if err == nil {
		return
	}
	if _, refused := errors.AsType[*pgconn.PgError](err); refused && len(calls) > 1 {
		for _, c := range calls {
			q.rotateTogether([]*queuedRotation{c})
		}
		return
	}
	for _, c := range calls {
		c.connection, c.err = nil, err
	}
}

// rotateStatement spends one token and stores its successor.
//
// The connection is to be found by its id. While the statistics are young the
// planner would rather go through connections_client_id, which holds everybody
// who uses the client: IS NOT DISTINCT FROM and num_nulls keep it from that.
func rotateStatement() string {
	return `
	WITH spent AS (
		UPDATE refresh_tokens t SET used_at = $3, successor_hash = $4, successor_sealed = $5
		FROM connections c
		JOIN memberships m ON m.org_id = c.org_id AND m.user_id = c.user_id
		JOIN users u ON u.id = c.user_id
		WHERE t.token_hash = $1 AND t.connection_id = $8 AND t.used_at IS NULL AND t.expires_at > $3
		  AND c.id = $8 AND c.client_id IS NOT DISTINCT FROM $2 AND num_nulls(c.revoked_at) = 1 AND c.expires_at > $3
		  AND ($7::text[] IS NULL OR c.scopes && $7)
		  AND m.synced_at > $9 AND NOT u.banned AND u.deleted_at IS NULL AND NOT ` + excluded("c") + `
		RETURNING t.generation, ` + connectionColumns + `
	), stored AS (
		INSERT INTO refresh_tokens (token_hash, connection_id, generation, created_at, expires_at)
		SELECT $4, id, generation + 1, $3, $6 FROM spent
	)
	SELECT ` + connectionColumns + ` FROM spent c`
}
