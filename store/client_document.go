package store

import (
	"context"
	"errors"
	"time"
)

// StoredDocument returns the last good copy of a client that is described by a
// document, or ErrNotFound. withdrawn says that the document was gone when it was
// asked for last: such a copy must not be used.
func (s *Store) StoredDocument(ctx context.Context, id string) (c *Client, withdrawn bool, err error) {
	type row struct {
		Client
		Withdrawn bool
	}
	r, err := one[row](s.pool.Query(ctx, `
		SELECT `+clientColumns+`, withdrawn_at IS NOT NULL AS withdrawn
		FROM oauth_clients WHERE id = $1 AND kind = 'document'`, id))
	if err != nil {
		return nil, false, wrap("reading a client's document", err)
	}
	return &r.Client, r.Withdrawn, nil
}

// SaveDocument stores c, which was described by its document at c.FetchedAt, in
// place of the copy before, and returns it as stored. Of two answers the later
// one stays.
func (s *Store) SaveDocument(ctx context.Context, c Client, metadataHash []byte) (*Client, error) {
	stored, err := one[Client](s.pool.Query(ctx, `
		INSERT INTO oauth_clients AS c (id, kind, auth_method, redirect_uris, grant_types, name, client_uri, software_id,
		                                software_version, metadata_hash, created_at, handed_out_at,
		                                fetched_at, fresh_until, jwks, also_public)
		VALUES ($1, 'document', $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10, $11, $12, $13)
		ON CONFLICT (id) DO UPDATE SET
			auth_method = excluded.auth_method, redirect_uris = excluded.redirect_uris, grant_types = excluded.grant_types,
			name = excluded.name, client_uri = excluded.client_uri, software_id = excluded.software_id,
			software_version = excluded.software_version, metadata_hash = excluded.metadata_hash,
			handed_out_at = excluded.handed_out_at, fetched_at = excluded.fetched_at, fresh_until = excluded.fresh_until,
			jwks = excluded.jwks, also_public = excluded.also_public, withdrawn_at = NULL
		WHERE c.kind = 'document' AND c.fetched_at <= excluded.fetched_at
		RETURNING `+clientColumns,
		c.ID, c.AuthMethod, c.RedirectURIs, c.GrantTypes, c.Name, c.ClientURI, c.SoftwareID,
		c.SoftwareVersion, metadataHash, c.FetchedAt, c.FreshUntil, c.KeySet, c.AlsoPublic))
	if errors.Is(err, ErrNotFound) { // a later answer is there already
		return s.Client(ctx, c.ID)
	}
	return stored, wrap("storing a client's document", err)
}

// WithdrawDocument notes that a client's document is gone. Its connections stand
// until they are revoked; the client cannot refresh them.
func (s *Store) WithdrawDocument(ctx context.Context, id string, now time.Time) error {
	_, err := s.pool.Exec(ctx, `
		UPDATE oauth_clients SET withdrawn_at = $2
		WHERE id = $1 AND kind = 'document' AND withdrawn_at IS NULL AND fetched_at <= $2`, id, now)
	return wrap("withdrawing a client's document", err)
}

// AskForKeys claims the right to fetch a client's key set out of turn. Of all
// that ask within the interval, one gets it.
func (s *Store) AskForKeys(ctx context.Context, id string, interval time.Duration, now time.Time) (granted bool, err error) {
	tag, err := s.pool.Exec(ctx, `
		UPDATE oauth_clients SET jwks_asked_at = $2
		WHERE id = $1 AND kind = 'document' AND (jwks_asked_at IS NULL OR jwks_asked_at <= $3)`, id, now, now.Add(-interval))
	if err != nil {
		return false, wrap("asking for a client's keys", err)
	}
	return tag.RowsAffected() > 0, nil
}

// StaleKeySets returns the ids of clients with live connections that authenticate
// with keys and whose copy is no longer fresh, the oldest first.
func (s *Store) StaleKeySets(ctx context.Context, limit int, now time.Time) ([]string, error) {
	type row struct{ ID string }
	rows, err := many[row](s.pool.Query(ctx, `
		SELECT c.id FROM oauth_clients c
		WHERE c.auth_method = 'private_key_jwt' AND c.fresh_until < $1 AND c.withdrawn_at IS NULL AND EXISTS (
			SELECT FROM connections n
			WHERE n.client_id = c.id AND n.connected_at IS NOT NULL AND n.revoked_at IS NULL AND n.expires_at > $1)
		ORDER BY c.fresh_until LIMIT $2`, now, limit))
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids, wrap("listing stale key sets", err)
}

// UseAssertion spends a client assertion (RFC 7523 §3: jti). It returns
// ErrConflict if the client has used it before; of any number of concurrent
// calls one succeeds.
func (s *Store) UseAssertion(ctx context.Context, clientID string, jtiHash []byte, expiresAt time.Time) error {
	tag, err := s.pool.Exec(ctx, `
		INSERT INTO client_assertions (client_id, jti_hash, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`, clientID, jtiHash, expiresAt)
	if err == nil && tag.RowsAffected() == 0 {
		return ErrConflict
	}
	return wrap("using a client assertion", err)
}
