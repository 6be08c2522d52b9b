package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// AuthorizationRequest is a valid authorization request (RFC 6749 §4.1.1) that
// waits for its person to sign in and decide. It lives in Postgres, not in
// Redis: a lost cache must not lose a sign-in.
type AuthorizationRequest struct {
	ClientID string
	Form     string // the request's parameters, URL-encoded
	// SignInAnew: the client demands that its person signs in for this request
	// (prompt=login), whoever is signed in already.
	SignInAnew bool
	UserID     *string
	CreatedAt  time.Time
}

// DecidableIn reports whether a session may see and decide the request: any, or
// only one of a sign-in that came later and in which the person was asked.
func (r *AuthorizationRequest) DecidableIn(session *Session) bool {
	return !r.SignInAnew || session.Prompted && !session.CreatedAt.Before(r.CreatedAt)
}

// AuthorizationRequestLifetime is how long a person may take to sign in and
// decide.
const AuthorizationRequestLifetime = 10 * time.Minute

// CreateAuthorizationRequest stores r under the hashes of its handle and of the
// cookie of the browser that brought it.
func (s *Store) CreateAuthorizationRequest(ctx context.Context, handleHash, browserHash []byte, r AuthorizationRequest, now time.Time) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO authorization_requests (handle_hash, client_id, form, sign_in_anew, browser_hash, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		handleHash, r.ClientID, r.Form, r.SignInAnew, browserHash, now, now.Add(AuthorizationRequestLifetime))
	return wrap("creating authorization request", err)
}

// ShowAuthorizationRequest returns a waiting request to the browser that brought
// it and notes who is looking at it: from then on only that person can decide
// it, until somebody else looks. ErrNotFound covers unknown, decided, expired,
// and another browser.
func (s *Store) ShowAuthorizationRequest(ctx context.Context, handleHash, browserHash []byte, userID string, now time.Time) (*AuthorizationRequest, error) {
	r, err := one[AuthorizationRequest](s.pool.Query(ctx, `
		UPDATE authorization_requests SET user_id = $3
		WHERE handle_hash = $1 AND browser_hash = $2 AND expires_at > $4
		RETURNING client_id, form, sign_in_anew, user_id, created_at`, handleHash, browserHash, userID, now))
	return r, wrap("reading authorization request", err)
}

// PendingAuthorizationRequest returns a waiting request that userID looked at
// last in this browser, or ErrNotFound.
func (s *Store) PendingAuthorizationRequest(ctx context.Context, handleHash, browserHash []byte, userID string, now time.Time) (*AuthorizationRequest, error) {
	r, err := one[AuthorizationRequest](s.pool.Query(ctx, `
		SELECT client_id, form, sign_in_anew, user_id, created_at FROM authorization_requests
		WHERE handle_hash = $1 AND browser_hash = $2 AND user_id = $3 AND expires_at > $4`,
		handleHash, browserHash, userID, now))
	return r, wrap("reading authorization request", err)
}

// Decision names the authorization request that a person decides, and what shows
// that it is theirs to decide.
type Decision struct {
	HandleHash, BrowserHash []byte
	UserID                  string
}

// take removes the request of d, if the person may decide it still.
func (d Decision) take(ctx context.Context, q interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, now time.Time) error {
	tag, err := q.Exec(ctx, `
		DELETE FROM authorization_requests
		WHERE handle_hash = $1 AND browser_hash = $2 AND user_id = $3 AND expires_at > $4`,
		d.HandleHash, d.BrowserHash, d.UserID, now)
	if err == nil && tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return err
}

// TakeAuthorizationRequest removes a waiting request without granting anything:
// its person said no. It returns ErrNotFound if it is no longer theirs to take.
func (s *Store) TakeAuthorizationRequest(ctx context.Context, d Decision, now time.Time) error {
	return wrap("taking authorization request", d.take(ctx, s.pool, now))
}

// Grant is a person's consent: the pending connection and the code that will
// bring it to life.
type Grant struct {
	Decision      Decision // the authorization request that it answers
	Connection    Connection
	CodeHash      []byte
	CodeChallenge string // RFC 7636, S256
	CodeExpiresAt time.Time
}

// CreateGrant takes the authorization request and stores the pending connection
// and its code, in one transaction: two presses of Allow make one connection.
// It returns ErrNotFound if the request is no longer theirs to take, or its
// client has been withdrawn.
func (s *Store) CreateGrant(ctx context.Context, g Grant, now time.Time) error {
	c := g.Connection
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := g.Decision.take(ctx, tx, now); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(`
			INSERT INTO connections (id, org_id, user_id, client_id, client_name, client_identity, client_verified,
			                         redirect_uri, resource, scopes, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			c.ID, c.OrgID, c.UserID, c.ClientID, c.ClientName, c.ClientIdentity, c.ClientVerified,
			c.RedirectURI, c.Resource, c.Scopes, now, c.ExpiresAt)
		batch.Queue(`
			INSERT INTO authorization_codes (code_hash, connection_id, client_id, redirect_uri, code_challenge, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			g.CodeHash, c.ID, c.ClientID, c.RedirectURI, g.CodeChallenge, now, g.CodeExpiresAt)
		batch.Queue(`UPDATE oauth_clients SET first_authorized_at = $2 WHERE id = $1 AND first_authorized_at IS NULL`, c.ClientID, now)
		// This waits for a client that is just being withdrawn, which then waits for
		// us: no connection slips in behind the ones that a withdrawal ends. Consents
		// to one client, and everybody may use the same, do not wait for one another.
		batch.Queue(`SELECT FROM oauth_clients WHERE id = $1 AND withdrawn_at IS NULL FOR SHARE`, c.ClientID).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() == 0 {
				return ErrNotFound
			}
			return nil
		})
		return tx.SendBatch(ctx, batch).Close()
	})
	return wrap("creating grant", err)
}

// DeleteExpired removes what nobody can use any more: authorization requests,
// pushed ones, sign-in attempts, sessions, codes a day past their end,
// connections whose code was never redeemed, revocations that have long been
// told, webhooks that nobody repeats any more, client assertions that have
// expired by themselves, and clients that nobody authorized.
func (s *Store) DeleteExpired(ctx context.Context, now time.Time) error {
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM authorization_requests WHERE expires_at < $1`, now)
	batch.Queue(`DELETE FROM pushed_requests WHERE expires_at < $1`, now)
	batch.Queue(`DELETE FROM sign_in_attempts WHERE expires_at < $1`, now)
	batch.Queue(`DELETE FROM sessions WHERE expires_at < $1`, now)
	batch.Queue(`DELETE FROM authorization_codes WHERE expires_at < $1`, now.Add(-24*time.Hour))
	batch.Queue(`DELETE FROM connections WHERE connected_at IS NULL AND created_at < $1`, now.Add(-24*time.Hour))
	batch.Queue(`DELETE FROM revocation_outbox WHERE applied_at < $1`, now.Add(-24*time.Hour))
	batch.Queue(`DELETE FROM webhook_deliveries WHERE received_at < $1`, now.Add(-deliveriesKept))
	batch.Queue(`DELETE FROM client_assertions WHERE expires_at < $1`, now)
	batch.Queue(`DELETE FROM notices WHERE made_at < $1`, now.Add(-noticesKept))
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return wrap("deleting what has expired", err)
	}
	return wrap("deleting unused clients", s.deleteUnusedClients(ctx, now))
}
