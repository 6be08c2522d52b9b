package store

import (
	"context"
	"time"
)

// LiveConnections counts what ends when all connections of a selection end.
type LiveConnections struct {
	Connections   int
	People        int
	Organizations []string // their names
	ClientName    *string  // one of those that the client goes by
	MemberName    *string
}

// CountLive counts the live connections that q chooses by whose they are, by
// client and by member.
func (s *Store) CountLive(ctx context.Context, q ConnectionQuery, now time.Time) (*LiveConnections, error) {
	args := arguments{now}
	q = ConnectionQuery{UserID: q.UserID, OrgID: q.OrgID, Client: q.Client, Member: q.Member}
	live, err := one[LiveConnections](s.pool.Query(ctx, `
		SELECT count(*) AS connections, count(DISTINCT c.user_id) AS people, min(c.client_name) AS client_name, min(u.name) AS member_name,
		       COALESCE(array_agg(DISTINCT o.name ORDER BY o.name), '{}') AS organizations
		FROM connections c JOIN users u ON u.id = c.user_id JOIN organizations o ON o.id = c.org_id
		WHERE `+q.where(&args), args...))
	return live, wrap("counting live connections", err)
}

// RevokeOwnConnections ends a person's connections, all or those of one client by
// its identity, on their behalf. One that waits for its code ends too: what was
// consented to before does not come alive afterwards.
func (s *Store) RevokeOwnConnections(ctx context.Context, userID, client string, now time.Time) ([]*Revocation, error) {
	revoked, err := revoke(ctx, s.pool, `user_id = $2 AND ($4 = '' OR client_identity = $4) AND expires_at > $1`,
		now, &userID, RevokedByUser, client)
	return revoked, wrap("revoking a person's connections", err)
}

// RevokeOrgConnections ends connections to an organization, those of one client
// or of one member or both, on behalf of its administrator. That by administers
// it is the caller's to establish.
func (s *Store) RevokeOrgConnections(ctx context.Context, orgID, client, member, by string, now time.Time) ([]*Revocation, error) {
	revoked, err := revoke(ctx, s.pool, `
		org_id = $4 AND ($5 = '' OR client_identity = $5) AND ($6 = '' OR user_id = $6) AND expires_at > $1`,
		now, &by, RevokedByAdmin, orgID, client, member)
	return revoked, wrap("revoking an organization's connections", err)
}

// RevokedTogether is what one act of one person ended.
type RevokedTogether struct {
	Connections int
	People      int
	Clients     int
	ClientName  *string
	Ending      int // of them, those not yet confirmed to every replica
}

// RevokedTogether returns what somebody revoked at an instant, or ErrNotFound if
// nothing.
func (s *Store) RevokedTogether(ctx context.Context, by string, at, now time.Time) (*RevokedTogether, error) {
	r, err := one[RevokedTogether](s.pool.Query(ctx, `
		SELECT count(*) AS connections, count(DISTINCT c.user_id) AS people, count(DISTINCT c.client_identity) AS clients,
		       min(c.client_name) AS client_name,
		       count(*) FILTER (WHERE $3::timestamptz < c.revoked_at + interval '1 minute' AND EXISTS (
		           SELECT FROM revocation_outbox b WHERE b.connection_id = c.id AND b.applied_at IS NULL)) AS ending
		FROM connections c
		WHERE c.revoked_by = $1 AND c.revoked_at = $2 AND c.connected_at IS NOT NULL
		HAVING count(*) > 0`, by, at, now))
	return r, wrap("reading what was revoked", err)
}
