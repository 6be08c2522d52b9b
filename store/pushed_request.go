package store

import (
	"context"
	"time"
)

// PushedRequestLifetime is how long a client may take to send its person's
// browser here after it has pushed a request. RFC 9126 §2.2 thinks of 5 to 600
// seconds; the browser opens at once.
const PushedRequestLifetime = 90 * time.Second

// CreatePushedRequest stores the parameters of a pushed authorization request,
// URL-encoded, under the hash of its request URI.
func (s *Store) CreatePushedRequest(ctx context.Context, uriHash []byte, clientID, form string, now time.Time) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO pushed_requests (uri_hash, client_id, form, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5)`, uriHash, clientID, form, now, now.Add(PushedRequestLifetime))
	return wrap("creating pushed request", err)
}

// TakePushedRequest removes a request that clientID has pushed and returns its
// parameters, once. It returns ErrNotFound for one that is unknown, taken,
// expired, or another client's; the last stays where it is.
func (s *Store) TakePushedRequest(ctx context.Context, uriHash []byte, clientID string, now time.Time) (form string, err error) {
	type row struct{ Form string }
	taken, err := one[row](s.pool.Query(ctx, `
		DELETE FROM pushed_requests WHERE uri_hash = $1 AND client_id = $2 AND expires_at > $3
		RETURNING form`, uriHash, clientID, now))
	if err != nil {
		return "", wrap("taking pushed request", err)
	}
	return taken.Form, nil
}
