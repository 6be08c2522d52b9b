package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// ManagedClient returns a client to whoever holds its registration access token
// (RFC 7592 §2.1), or ErrNotFound: unknown, withdrawn, and another token are one.
func (s *Store) ManagedClient(ctx context.Context, id string, tokenHash []byte) (*Client, error) {
	if !isText(id) {
		return nil, ErrNotFound
	}
	c, err := one[Client](s.pool.Query(ctx, `
		SELECT `+clientColumns+` FROM oauth_clients
		WHERE id = $1 AND registration_token_hash = $2 AND withdrawn_at IS NULL`, id, tokenHash))
	return c, wrap("reading registration", err)
}

// UpdateClient replaces the metadata of a registered client by those of c (RFC
// 7592 §2.2), whose registration access token must be the client's, and returns
// it as stored; id, secrets and times stay. It returns ErrNotFound as
// ManagedClient does.
func (s *Store) UpdateClient(ctx context.Context, c Client, metadataHash []byte) (*Client, error) {
	stored, err := one[Client](s.pool.Query(ctx, `
		UPDATE oauth_clients SET auth_method = $3, redirect_uris = $4, grant_types = $5, name = $6, client_uri = $7,
		       software_id = $8, software_version = $9, metadata_hash = $10
		WHERE id = $1 AND registration_token_hash = $2 AND withdrawn_at IS NULL
		RETURNING `+clientColumns,
		c.ID, c.RegistrationTokenHash, c.AuthMethod, c.RedirectURIs, c.GrantTypes, c.Name, c.ClientURI,
		c.SoftwareID, c.SoftwareVersion, metadataHash))
	return stored, wrap("updating registration", err)
}

// DeleteClient withdraws a registered client at its own request and ends its
// connections (RFC 7592 §2.3). The row stays while connections name it. It
// returns ErrNotFound as ManagedClient does.
func (s *Store) DeleteClient(ctx context.Context, id string, tokenHash []byte, now time.Time) (revoked []*Revocation, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		// The client first: a consent that comes at the same time waits for this
		// lock, and then finds the client withdrawn.
		tag, err := tx.Exec(ctx, `
			UPDATE oauth_clients SET withdrawn_at = $3, registration_token_hash = NULL
			WHERE id = $1 AND registration_token_hash = $2 AND withdrawn_at IS NULL`, id, tokenHash, now)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrNotFound
		}
		revoked, err = revoke(ctx, tx, `client_id = $4`, now, nil, RevokedByClient, id)
		return err
	})
	if err != nil {
		return nil, wrap("deleting registration", err)
	}
	return revoked, nil
}

// UnusedClientLifetime is how long a client that was handed out, or whose
// document was fetched, is kept without anybody authorizing it.
const UnusedClientLifetime = 7 * 24 * time.Hour

// clientsDeletedAtOnce bounds one statement, so that its locks are short.
const clientsDeletedAtOnce = 1000

// deleteUnusedClients deletes clients that nobody authorized in time, and
// withdrawn ones that nothing refers to. A client with a connection, ended or
// not, is never deleted: pages show it.
func (s *Store) deleteUnusedClients(ctx context.Context, now time.Time) error {
	for {
		tag, err := s.pool.Exec(ctx, `
			DELETE FROM oauth_clients WHERE id IN (
				SELECT id FROM oauth_clients c
				WHERE kind <> 'static'
				  AND (first_authorized_at IS NULL AND handed_out_at < $1 OR withdrawn_at < $1)
				  AND NOT EXISTS (SELECT FROM connections n WHERE n.client_id = c.id)
				LIMIT $2 FOR UPDATE SKIP LOCKED)`, now.Add(-UnusedClientLifetime), clientsDeletedAtOnce)
		if err != nil {
			return err
		}
		if tag.RowsAffected() < clientsDeletedAtOnce {
			return nil
		}
	}
}
