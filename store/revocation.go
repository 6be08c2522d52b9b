package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// RevocationChannel is where Postgres announces each revocation (NOTIFY), with
// "<connection id>:<epoch>" as the payload.
const RevocationChannel = "connection_revoked"

// Revocation is a revoked connection and the epoch that its revocation began:
// tokens of an earlier epoch are dead.
type Revocation struct {
	ConnectionID uuid.UUID
	Epoch        int
}

// revokeConnections is the one statement that ends connections: it raises the
// epoch, queues the Redis tombstone and the notice to their people, records it in
// the audit log, and tells the other replicas, together or not at all. $1 is the
// instant, $2 who, $3 the reason; where chooses the rows of connections. They are
// locked in one order, as by all who lock several.
func revokeConnections(where string) string {
	return `
	WITH due AS (
		SELECT id FROM connections WHERE revoked_at IS NULL AND ` + where + `
		ORDER BY id FOR NO KEY UPDATE
	), revoked AS (
		UPDATE connections c SET revoked_at = $1, revoked_by = $2, revoke_reason = $3, epoch = epoch + 1
		FROM due WHERE c.id = due.id AND c.revoked_at IS NULL
		RETURNING c.id, c.epoch, c.org_id, c.user_id, c.client_name, c.connected_at
	), noticed AS (` + noticeRevoked + `
	), audited AS (` + auditRevoked + `
	), queued AS (
		INSERT INTO revocation_outbox (connection_id, epoch, created_at)
		SELECT id, epoch, $1 FROM revoked
	), told AS MATERIALIZED (
		SELECT id, epoch, pg_notify('` + RevocationChannel + `', id || ':' || epoch) FROM revoked
	)
	SELECT id AS connection_id, epoch FROM told`
}

// querier is a transaction, or the pool.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func revoke(ctx context.Context, q querier, where string, now time.Time, by *string, reason RevokeReason, args ...any) ([]*Revocation, error) {
	return many[Revocation](q.Query(ctx, revokeConnections(where), append([]any{now, by, reason}, args...)...))
}

func onlyRevocation(revoked []*Revocation, err error) (*Revocation, error) {
	if err != nil {
		return nil, wrap("revoking connection", err)
	}
	if len(revoked) == 0 {
		return nil, ErrNotFound
	}
	return revoked[0], nil
}

// RevokeOwnConnection ends a connection on behalf of the person who made it.
// It returns ErrNotFound where that person has no such live connection.
func (s *Store) RevokeOwnConnection(ctx context.Context, id uuid.UUID, userID string, now time.Time) (*Revocation, error) {
	return onlyRevocation(revoke(ctx, s.pool, `id = $4 AND user_id = $2`, now, &userID, RevokedByUser, id))
}

// RevokeOrgConnection ends anybody's connection to an organization on behalf of
// its administrator. It returns ErrNotFound where the organization has no such
// live connection. That by administers it is the caller's to establish.
func (s *Store) RevokeOrgConnection(ctx context.Context, id uuid.UUID, orgID, by string, now time.Time) (*Revocation, error) {
	return onlyRevocation(revoke(ctx, s.pool, `id = $4 AND org_id = $5`, now, &by, RevokedByAdmin, id, orgID))
}

// RevokeClientConnection ends a connection at the request of its own client
// (RFC 7009 §2.1). It returns ErrNotFound where that client has no such live
// connection.
func (s *Store) RevokeClientConnection(ctx context.Context, id uuid.UUID, clientID string, now time.Time) (*Revocation, error) {
	return onlyRevocation(revoke(ctx, s.pool, `id = $4 AND client_id = $5`, now, nil, RevokedByClient, id, clientID))
}

// UnappliedRevocations returns up to limit revocations whose tombstone has not
// been confirmed, oldest first.
func (s *Store) UnappliedRevocations(ctx context.Context, limit int) ([]*Revocation, error) {
	rs, err := many[Revocation](s.pool.Query(ctx, `
		SELECT connection_id, epoch FROM revocation_outbox WHERE applied_at IS NULL ORDER BY id LIMIT $1`, limit))
	return rs, wrap("reading the revocation outbox", err)
}

// RevocationsSince returns the revocations made after an instant, for a replica
// that has to catch up.
func (s *Store) RevocationsSince(ctx context.Context, since time.Time) ([]*Revocation, error) {
	rs, err := many[Revocation](s.pool.Query(ctx, `
		SELECT connection_id, epoch FROM revocation_outbox WHERE created_at > $1 ORDER BY id`, since))
	return rs, wrap("reading recent revocations", err)
}

// ConfirmRevocations notes that the tombstones of revoked stand in Redis.
func (s *Store) ConfirmRevocations(ctx context.Context, revoked []*Revocation, now time.Time) error {
	ids, epochs := make([]uuid.UUID, len(revoked)), make([]int, len(revoked))
	for i, r := range revoked {
		ids[i], epochs[i] = r.ConnectionID, r.Epoch
	}
	_, err := s.pool.Exec(ctx, `
		UPDATE revocation_outbox o SET applied_at = $3
		FROM unnest($1::uuid[], $2::int[]) AS r (id, epoch)
		WHERE o.connection_id = r.id AND o.epoch = r.epoch AND o.applied_at IS NULL`, ids, epochs, now)
	return wrap("confirming revocations", err)
}
