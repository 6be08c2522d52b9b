package store

import (
	"context"
	"time"
)

// ResourceServer may ask whether an access token is alive (RFC 7662). An operator
// registers it; there is none by default, and an OAuth client is never one.
type ResourceServer struct {
	ID         string
	Name       string
	SecretHash []byte // SHA-256 of the secret
	CreatedAt  time.Time
}

// CreateResourceServer stores r.
func (s *Store) CreateResourceServer(ctx context.Context, r ResourceServer) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO resource_servers (id, name, secret_hash, created_at) VALUES ($1, $2, $3, $4)`,
		r.ID, r.Name, r.SecretHash, r.CreatedAt)
	return wrap("creating resource server", err)
}

// ResourceServer returns a resource server, or ErrNotFound. An id that is no text
// is not found either: Postgres would refuse to look.
func (s *Store) ResourceServer(ctx context.Context, id string) (*ResourceServer, error) {
	if !isText(id) {
		return nil, ErrNotFound
	}
	r, err := one[ResourceServer](s.pool.Query(ctx, `
		SELECT id, name, secret_hash, created_at FROM resource_servers WHERE id = $1`, id))
	return r, wrap("reading resource server", err)
}

// ResourceServers returns all resource servers by name.
func (s *Store) ResourceServers(ctx context.Context) ([]*ResourceServer, error) {
	rs, err := many[ResourceServer](s.pool.Query(ctx, `
		SELECT id, name, secret_hash, created_at FROM resource_servers ORDER BY name, created_at, id`))
	return rs, wrap("reading resource servers", err)
}

// DeleteResourceServer deletes a resource server, or returns ErrNotFound.
func (s *Store) DeleteResourceServer(ctx context.Context, id string) error {
	tag, err := s.pool.Exec(ctx, `DELETE FROM resource_servers WHERE id = $1`, id)
	if err == nil && tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return wrap("deleting resource server", err)
}
