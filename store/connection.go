package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Connection is what one consent created: a person, an organization, and one
// install of a client. It owns its tokens; its ID is what is revoked. It is
// pending until its authorization code is redeemed (ConnectedAt nil), and a
// pending connection is shown to nobody.
type Connection struct {
	ID             uuid.UUID
	OrgID          string
	UserID         string
	ClientID       string
	ClientName     string // as the person saw it when consenting
	ClientIdentity string // what groups and policies go by (design §9)
	ClientVerified bool   // the identity was proven, not only claimed
	RedirectURI    string
	Resource       string   // RFC 8707, the audience of its tokens
	Scopes         []string // granted, in the order of the consent page
	Epoch          int      // grows with each revocation
	CreatedAt      time.Time
	ConnectedAt    *time.Time
	LastUsedAt     *time.Time
	ExpiresAt      time.Time
	RevokedAt      *time.Time
	RevokedBy      *string // a user id; nil where a rule or the client revoked
	RevokeReason   *RevokeReason
}

// Revoked reports whether the connection has been revoked.
func (c *Connection) Revoked() bool { return c.RevokedAt != nil }

// RevokeReason says why a connection ended. The connections page has a
// sentence for each.
type RevokeReason string

// The reasons of design §8.
const (
	RevokedByUser     RevokeReason = "user"          // its owner, in the dashboard
	RevokedByAdmin    RevokeReason = "admin"         // an administrator of its organization
	RevokedByClient   RevokeReason = "client"        // the client itself (RFC 7009)
	RevokedByReuse    RevokeReason = "refresh_reuse" // a used refresh token came back late (RFC 9700 §4.14.2)
	RevokedByReplay   RevokeReason = "code_replay"   // its authorization code was presented again (RFC 6749 §4.1.2)
	RevokedByClerk    RevokeReason = "clerk"         // the person or the organization went away
	RevokedByPolicy   RevokeReason = "policy"        // the organization's policy excludes it
	RevokedSuperseded RevokeReason = "superseded"    // the same client was connected anew
	RevokedByOperator RevokeReason = "operator"      // break-glass
)

// ListedConnection is a connection with the names that a page shows beside it.
type ListedConnection struct {
	Connection
	OrgName       string
	OrgSlug       string
	UserName      string
	UserEmail     string
	RevokedByName *string
	// Ending is true while a fresh revocation has not been confirmed to every
	// replica; it takes a minute at most.
	Ending bool
}

// EndedShownFor is how long a connection stays on the page after it was revoked
// or has expired.
const EndedShownFor = 90 * 24 * time.Hour

// LivenessTTL bounds how long any cache may believe that a connection lives
// (design §8). A revocation that reached no cache is complete after it.
const LivenessTTL = time.Minute

const listedConnection = `
	SELECT c.id, c.org_id, c.user_id, c.client_id, c.client_name, c.client_identity, c.client_verified,
	       c.redirect_uri, c.resource, c.scopes, c.epoch, c.created_at, c.connected_at, c.last_used_at,
	       c.expires_at, c.revoked_at, c.revoked_by, c.revoke_reason,
	       o.name AS org_name, o.slug AS org_slug, u.name AS user_name, u.email AS user_email,
	       r.name AS revoked_by_name,
	       COALESCE(c.revoked_at > $1::timestamptz - interval '1 minute', false) AND EXISTS (
	           SELECT FROM revocation_outbox b WHERE b.connection_id = c.id AND b.applied_at IS NULL) AS ending
	FROM connections c
	JOIN organizations o ON o.id = c.org_id
	JOIN users u ON u.id = c.user_id
	LEFT JOIN users r ON r.id = c.revoked_by
	WHERE c.connected_at IS NOT NULL AND COALESCE(c.revoked_at, c.expires_at) > $1::timestamptz - interval '90 days' `

// ConnectionVisibleTo returns one connection if it is userID's own or belongs
// to one of the organizations in adminOf, else ErrNotFound.
func (s *Store) ConnectionVisibleTo(ctx context.Context, id uuid.UUID, userID string, adminOf []string, now time.Time) (*ListedConnection, error) {
	c, err := one[ListedConnection](s.pool.Query(ctx, listedConnection+`
		AND c.id = $2 AND (c.user_id = $3 OR c.org_id = ANY ($4))`, now, id, userID, adminOf))
	return c, wrap("reading connection", err)
}

// NewestConnectionSince returns the newest live connection that a person made
// after an instant, or ErrNotFound.
func (s *Store) NewestConnectionSince(ctx context.Context, userID string, since, now time.Time) (*ListedConnection, error) {
	c, err := one[ListedConnection](s.pool.Query(ctx, listedConnection+`
		AND c.user_id = $2 AND c.connected_at > $3 AND c.revoked_at IS NULL
		ORDER BY c.connected_at DESC, c.id LIMIT 1`, now, userID, since))
	return c, wrap("reading newest connection", err)
}

// ConnectionState is what the liveness check asks of a connection.
type ConnectionState struct {
	Epoch     int
	ExpiresAt time.Time
	// Live: redeemed and not revoked. Expiry is for the caller to compare.
	Live bool
}

// ConnectionState returns the state of a connection, or ErrNotFound.
func (s *Store) ConnectionState(ctx context.Context, id uuid.UUID) (*ConnectionState, error) {
	state, err := one[ConnectionState](s.pool.Query(ctx, `
		SELECT epoch, expires_at, connected_at IS NOT NULL AND revoked_at IS NULL AS live
		FROM connections WHERE id = $1`, id))
	return state, wrap("reading connection state", err)
}

// TouchConnections records when connections were last used. An older instant
// than the stored one changes nothing.
func (s *Store) TouchConnections(ctx context.Context, used map[uuid.UUID]time.Time) error {
	ids, ats := make([]uuid.UUID, 0, len(used)), make([]time.Time, 0, len(used))
	for id, at := range used {
		ids, ats = append(ids, id), append(ats, at)
	}
	_, err := s.pool.Exec(ctx, `
		WITH due AS ( -- locked in one order, or two replicas would wait for each other
			SELECT c.id, u.at
			FROM connections c JOIN unnest($1::uuid[], $2::timestamptz[]) AS u (id, at) ON c.id = u.id
			WHERE c.last_used_at IS NULL OR c.last_used_at < u.at
			ORDER BY c.id FOR NO KEY UPDATE OF c
		)
		UPDATE connections c SET last_used_at = due.at FROM due WHERE c.id = due.id`, ids, ats)
	return wrap("recording use", err)
}

// ConnectionClientName returns the name of a connection's client as its person
// consented to it, or ErrNotFound.
func (s *Store) ConnectionClientName(ctx context.Context, id uuid.UUID) (string, error) {
	type row struct{ ClientName string }
	r, err := one[row](s.pool.Query(ctx, `SELECT client_name FROM connections WHERE id = $1`, id))
	if err != nil {
		return "", wrap("reading client name", err)
	}
	return r.ClientName, nil
}
