package store

import (
	"context"
	"time"
)

// Session is a browser's session: somebody signed in through Clerk. The cookie
// holds a random token; only its hash is stored.
type Session struct {
	UserID   string
	Name     string // the person's, for the page header
	Email    string
	Prompted bool // Clerk was told to ask who they are, and did not answer from its own session
	// Administers: some organization, as last seen. It decides what is offered to
	// the person, never what they may do.
	Administers bool
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// SessionIdle is how long a session lives without a request. Clerk has no
// back-channel logout, so ours is kept short; signing in again is silent
// while Clerk's own session lasts.
const SessionIdle = time.Hour

// SessionMaxAge is how long a session lives at most.
const SessionMaxAge = 8 * time.Hour

// CreateSession stores a session for a person whose user row exists. prompted is
// what Session.Prompted will say.
func (s *Store) CreateSession(ctx context.Context, tokenHash []byte, userID string, prompted bool, now time.Time) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO sessions (token_hash, user_id, prompted, created_at, last_seen_at, expires_at)
		VALUES ($1, $2, $3, $4, $4, $5)`, tokenHash, userID, prompted, now, now.Add(SessionMaxAge))
	return wrap("creating session", err)
}

// Session returns the live session with the given token hash, or ErrNotFound.
// It notes that the session is in use, at most once a minute.
func (s *Store) Session(ctx context.Context, tokenHash []byte, now time.Time) (*Session, error) {
	session, err := one[Session](s.pool.Query(ctx, `
		WITH live AS (
			SELECT s.token_hash, s.user_id, u.name, u.email, s.prompted, s.created_at, s.last_seen_at, s.expires_at
			FROM sessions s JOIN users u ON u.id = s.user_id
			WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.last_seen_at > $3
			  AND NOT u.banned AND u.deleted_at IS NULL
		), seen AS (
			UPDATE sessions SET last_seen_at = $2 FROM live
			WHERE sessions.token_hash = live.token_hash AND live.last_seen_at < $4
		)
		SELECT user_id, name, email, prompted, created_at, expires_at,
		       EXISTS (SELECT FROM memberships m WHERE m.user_id = live.user_id AND m.role = 'org:admin') AS administers
		FROM live`,
		tokenHash, now, now.Add(-SessionIdle), now.Add(-time.Minute)))
	return session, wrap("reading session", err)
}

// DeleteSession ends a session. Ending one that does not exist is no error.
func (s *Store) DeleteSession(ctx context.Context, tokenHash []byte) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM sessions WHERE token_hash = $1`, tokenHash)
	return wrap("deleting session", err)
}

// SignInAttempt is a round trip to Clerk that has not come back.
type SignInAttempt struct {
	Nonce    string // of the ID token
	Verifier string // PKCE, towards Clerk
	ReturnTo string // path and query on our own origin
	Prompted bool   // Clerk is told to ask who they are
}

// SignInLifetime is how long a person may take to sign in at Clerk.
const SignInLifetime = 10 * time.Minute

// CreateSignInAttempt stores a under the hashes of its state and of the cookie
// of the browser that began it.
func (s *Store) CreateSignInAttempt(ctx context.Context, stateHash, browserHash []byte, a SignInAttempt, now time.Time) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO sign_in_attempts (state_hash, browser_hash, nonce, verifier, return_to, prompted, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		stateHash, browserHash, a.Nonce, a.Verifier, a.ReturnTo, a.Prompted, now, now.Add(SignInLifetime))
	return wrap("creating sign-in attempt", err)
}

// TakeSignInAttempt removes and returns an attempt, once. It returns
// ErrNotFound for one that is unknown, taken, expired, or begun by another
// browser; the last leaves it in place.
func (s *Store) TakeSignInAttempt(ctx context.Context, stateHash, browserHash []byte, now time.Time) (*SignInAttempt, error) {
	a, err := one[SignInAttempt](s.pool.Query(ctx, `
		DELETE FROM sign_in_attempts
		WHERE state_hash = $1 AND browser_hash = $2 AND expires_at > $3
		RETURNING nonce, verifier, return_to, prompted`, stateHash, browserHash, now))
	return a, wrap("taking sign-in attempt", err)
}
