package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// CodeRedemption is an attempt to redeem an authorization code (RFC 6749
// §4.1.3, RFC 7636 §4.5).
type CodeRedemption struct {
	CodeHash      []byte
	ConnectionID  uuid.UUID // that the code names
	ClientID      string    // authenticated
	RedirectURI   string    // empty if the request had none (OAuth 2.1 dropped it)
	CodeChallenge string    // S256 of the verifier that was sent
	// The first refresh token, stored if the person granted offline_access.
	RefreshHash      []byte
	RefreshExpiresAt time.Time
	// Supersedes reports whether a connection to a redirect URI ends the older
	// ones of the same person, organization, client and redirect URI.
	Supersedes func(redirectURI string) bool
}

// Issued is what a token response is made from.
type Issued struct {
	Connection *Connection
	// Chain leads from the refresh token that was presented to the connection's
	// unused one, if the presented one was spent before; else it is nil, and the
	// token that the caller stored is the unused one.
	Chain []ChainLink
	// Revoked connections are to be published, whatever the error.
	Revoked []*Revocation
}

// ChainLink is one step of a chain of refresh tokens: the successor of a spent
// token, sealed under a key that only the token itself yields.
type ChainLink struct {
	SuccessorHash   []byte
	SuccessorSealed []byte
}

const connectionColumns = `c.id, c.org_id, c.user_id, c.client_id, c.client_name, c.client_identity, c.client_verified,
	c.redirect_uri, c.resource, c.scopes, c.epoch, c.created_at, c.connected_at, c.last_used_at,
	c.expires_at, c.revoked_at, c.revoked_by, c.revoke_reason`

// RedeemCode spends a code once and brings its connection to life, of which its
// person is given notice. Of any number of concurrent calls one succeeds.
//
// It returns ErrNotFound, and changes nothing, if the code is unknown or
// expired, was issued to another client or for another redirect URI or
// challenge, if its connection is revoked, if its person does not belong to its
// organization any more, or if that does not admit its client. It returns ErrReused if all of that was right but
// the code had been spent; the connection is then revoked.
func (s *Store) RedeemCode(ctx context.Context, r CodeRedemption, now time.Time) (*Issued, error) {
	issued := &Issued{}
	reused := false
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		type codeRow struct {
			ClientID, RedirectURI, CodeChallenge string
			ExpiresAt                            time.Time
			UsedAt                               *time.Time
			UserID, OrgID                        string
		}
		code, err := one[codeRow](tx.Query(ctx, `
			SELECT a.client_id, a.redirect_uri, a.code_challenge, a.expires_at, a.used_at, c.user_id, c.org_id
			FROM authorization_codes a JOIN connections c ON c.id = a.connection_id
			WHERE a.code_hash = $1 AND a.connection_id = $2 FOR UPDATE OF a`, r.CodeHash, r.ConnectionID))
		if err != nil {
			return err
		}
		if code.ClientID != r.ClientID {
			return ErrNotFound
		}
		if r.RedirectURI != "" && code.RedirectURI != r.RedirectURI {
			return ErrNotFound
		}
		if code.CodeChallenge != r.CodeChallenge {
			return ErrNotFound
		}
		if code.UsedAt != nil {
			reused = true
			issued.Revoked, err = revoke(ctx, tx, `id = $4`, now, nil, RevokedByReplay, r.ConnectionID)
			return err
		}
		if !now.Before(code.ExpiresAt) {
			return ErrNotFound
		}
		batch := &pgx.Batch{}
		batch.Queue(lockPolicy(shared), code.OrgID)
		batch.Queue(`UPDATE authorization_codes SET used_at = $2 WHERE code_hash = $1`, r.CodeHash, now)
		// Clerk's word may take effect at this very moment: whichever of the two
		// comes second sees what the other did. The locks are taken in the order of
		// SavePerson, the connection last.
		batch.Queue(`
			WITH covered AS MATERIALIZED (
				SELECT c.id
				FROM connections c
				JOIN users u ON u.id = c.user_id
				JOIN memberships m ON m.org_id = c.org_id AND m.user_id = c.user_id
				WHERE c.id = $1 AND NOT u.banned AND u.deleted_at IS NULL AND NOT `+excluded("c")+`
				FOR SHARE OF u FOR KEY SHARE OF m
			), connected AS (
				UPDATE connections c SET connected_at = $2, expires_at = LEAST(c.expires_at, (
					SELECT `+fmt.Sprintf(agedOut, "p.max_age_days")+` FROM org_policies p WHERE p.org_id = c.org_id))
				FROM covered
				WHERE c.id = covered.id AND c.revoked_at IS NULL AND c.connected_at IS NULL
				RETURNING c.*
			), noticed AS (
				INSERT INTO notices (connection_id, kind, made_at) SELECT id, 'connected', $2 FROM connected
			), audited AS (`+auditConnected+`
			)
			SELECT `+connectionColumns+` FROM connected c`, r.ConnectionID, now).Query(func(rows pgx.Rows) (err error) {
			issued.Connection, err = one[Connection](rows, nil)
			return err
		})
		batch.Queue(`
			INSERT INTO refresh_tokens (token_hash, connection_id, generation, created_at, expires_at)
			SELECT $1, id, 0, $3, $4 FROM connections WHERE id = $2 AND $5 = ANY (scopes)`,
			r.RefreshHash, r.ConnectionID, now, r.RefreshExpiresAt, ScopeOfflineAccess)
		if r.Supersedes(code.RedirectURI) {
			supersede(batch, code.UserID, code.OrgID, code.ClientID, code.RedirectURI, r.ConnectionID, now, &issued.Revoked)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return nil, wrap("redeeming code", err)
	}
	if reused {
		return issued, ErrReused
	}
	return issued, nil
}

// supersede queues the end of the live connections that connection id replaces,
// which will be in revoked. Two installs that connect at the same instant take
// turns on an advisory lock, or each would miss the other.
func supersede(batch *pgx.Batch, userID, orgID, clientID, redirectURI string, id uuid.UUID, now time.Time, revoked *[]*Revocation) {
	batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', $1::text, $2::text, $3::text, $4::text), 0))`,
		userID, orgID, clientID, redirectURI)
	batch.Queue(revokeConnections(`user_id = $4 AND org_id = $5 AND client_id = $6 AND redirect_uri = $7 AND id <> $8 AND connected_at IS NOT NULL`),
		now, nil, RevokedSuperseded, userID, orgID, clientID, redirectURI, id).Query(func(rows pgx.Rows) (err error) {
		*revoked, err = many[Revocation](rows, nil)
		return err
	})
}
