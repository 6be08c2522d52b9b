package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// ClientBlock is a client that an organization's administrators shut out.
type ClientBlock struct {
	ClientIdentity string // design §9
	ClientName     string
	BlockedByName  string
	BlockedAt      time.Time
}

// ClientBlocks returns the clients that an organization blocks, by name.
func (s *Store) ClientBlocks(ctx context.Context, orgID string) ([]*ClientBlock, error) {
	blocks, err := many[ClientBlock](s.pool.Query(ctx, `
		SELECT b.client_identity, b.client_name, u.name AS blocked_by_name, b.blocked_at
		FROM client_blocks b JOIN users u ON u.id = b.blocked_by
		WHERE b.org_id = $1
		ORDER BY lower(b.client_name), b.client_identity`, orgID))
	return blocks, wrap("listing blocked clients", err)
}

// OrgClient is a client that is or was connected to an organization, as its
// newest connection there describes it.
type OrgClient struct {
	ClientIdentity string
	ClientName     string
	ClientVerified bool
	RedirectURI    string
	Live           int // connections
	People         int // whose live connections those are
	Blocked        bool
}

const orgClients = `
	SELECT newest.*, count(live.id) AS live, count(DISTINCT live.user_id) AS people,
	       EXISTS (SELECT FROM client_blocks b WHERE b.org_id = $1 AND b.client_identity = newest.client_identity) AS blocked
	FROM (
		SELECT DISTINCT ON (client_identity) client_identity, client_name, client_verified, redirect_uri
		FROM connections
		WHERE org_id = $1 AND connected_at IS NOT NULL AND ($3::text IS NULL OR client_identity = $3)
		ORDER BY client_identity, connected_at DESC
	) newest
	LEFT JOIN connections live ON live.org_id = $1 AND live.client_identity = newest.client_identity
		AND live.connected_at IS NOT NULL AND live.revoked_at IS NULL AND live.expires_at > $2
	GROUP BY newest.client_identity, newest.client_name, newest.client_verified, newest.redirect_uri
	ORDER BY lower(newest.client_name), newest.client_identity`

// OrgClients returns the clients that are or were connected to an organization,
// by name.
func (s *Store) OrgClients(ctx context.Context, orgID string, now time.Time) ([]*OrgClient, error) {
	clients, err := many[OrgClient](s.pool.Query(ctx, orgClients, orgID, now, nil))
	return clients, wrap("listing an organization's clients", err)
}

// OrgClient returns one of them, or ErrNotFound.
func (s *Store) OrgClient(ctx context.Context, orgID, identity string, now time.Time) (*OrgClient, error) {
	c, err := one[OrgClient](s.pool.Query(ctx, orgClients, orgID, now, identity))
	return c, wrap("reading an organization's client", err)
}

// BlockChange is an administrator's decision on one client. That by administers
// the organization is the caller's to establish.
type BlockChange struct {
	OrgID, By      string
	ClientIdentity string
	RequestID      string
}

// BlockClient shuts a client out that is or was connected to the organization,
// and in the same transaction revokes all its connections there, pending ones
// too, and records it. Blocking what is blocked changes nothing. The revocations
// are to be published. It returns ErrNotFound if the organization has never met
// the client.
func (s *Store) BlockClient(ctx context.Context, c BlockChange, now time.Time) (revoked []*Revocation, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockPolicy(exclusive), c.OrgID); err != nil {
			return err
		}
		known, err := one[struct{ ClientName string }](tx.Query(ctx, `
			SELECT client_name FROM connections
			WHERE org_id = $1 AND client_identity = $2 AND connected_at IS NOT NULL
			ORDER BY connected_at DESC LIMIT 1`, c.OrgID, c.ClientIdentity))
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			INSERT INTO client_blocks (org_id, client_identity, client_name, blocked_by, blocked_at)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, c.OrgID, c.ClientIdentity, known.ClientName, c.By, now)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		revoked, err = revoke(ctx, tx, `org_id = $4 AND client_identity = $5 AND expires_at > $1`,
			now, &c.By, RevokedByPolicy, c.OrgID, c.ClientIdentity)
		if err != nil {
			return err
		}
		return s.RecordAuditTx(ctx, tx, inDashboard(c.OrgID, c.By, "block_client", known.ClientName, c.RequestID, now))
	})
	if err != nil {
		return nil, wrap("blocking client", err)
	}
	return revoked, nil
}

// UnblockClient lets a client in again, as far as the policy does. What its block
// ended stays ended. It returns ErrNotFound if the client is not blocked.
func (s *Store) UnblockClient(ctx context.Context, c BlockChange, now time.Time) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		blocked, err := one[struct{ ClientName string }](tx.Query(ctx, `
			DELETE FROM client_blocks WHERE org_id = $1 AND client_identity = $2 RETURNING client_name`, c.OrgID, c.ClientIdentity))
		if err != nil {
			return err
		}
		return s.RecordAuditTx(ctx, tx, inDashboard(c.OrgID, c.By, "unblock_client", blocked.ClientName, c.RequestID, now))
	})
	return wrap("unblocking client", err)
}
