package store

import (
	"context"
	"errors"
	"time"
)

// SigningKey is a key of the authorization server's JWKS (RFC 7517). Its private
// half is sealed: this package cannot read it.
type SigningKey struct {
	KID           string
	Alg           string
	PublicJWK     []byte // JSON
	PrivateSealed []byte
	State         string // next, active, retired
	CreatedAt     time.Time
}

// States of a signing key. One is active at a time and signs; next is published
// before it is needed, retired for as long as its tokens live.
const (
	KeyNext    = "next"
	KeyActive  = "active"
	KeyRetired = "retired"
)

// SigningKeys returns all signing keys, the active one first.
func (s *Store) SigningKeys(ctx context.Context) ([]*SigningKey, error) {
	keys, err := many[SigningKey](s.pool.Query(ctx, `
		SELECT kid, alg, public_jwk, private_sealed, state, created_at
		FROM signing_keys ORDER BY state <> 'active', created_at DESC`))
	return keys, wrap("reading signing keys", err)
}

// CreateFirstSigningKey stores k as the active key, or returns ErrConflict if
// there is an active one: of several servers that start on an empty database
// one key wins.
func (s *Store) CreateFirstSigningKey(ctx context.Context, k SigningKey, now time.Time) error {
	tag, err := s.pool.Exec(ctx, `
		INSERT INTO signing_keys (kid, alg, public_jwk, private_sealed, state, created_at)
		VALUES ($1, $2, $3, $4, 'active', $5)
		ON CONFLICT (state) WHERE state = 'active' DO NOTHING`, k.KID, k.Alg, k.PublicJWK, k.PrivateSealed, now)
	if err == nil && tag.RowsAffected() == 0 {
		return ErrConflict
	}
	return wrap("creating signing key", err)
}

// SealedKey returns the sealed key stored under name. If there is none it stores
// fresh and returns that; of several servers that do so at once one wins and
// all get the winner's.
func (s *Store) SealedKey(ctx context.Context, name string, fresh []byte, now time.Time) ([]byte, error) {
	type row struct{ Sealed []byte }
	if _, err := s.pool.Exec(ctx, `
		INSERT INTO sealed_keys (name, sealed, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO NOTHING`, name, fresh, now); err != nil {
		return nil, wrap("storing sealed key", err)
	}
	r, err := one[row](s.pool.Query(ctx, `SELECT sealed FROM sealed_keys WHERE name = $1`, name))
	if errors.Is(err, ErrNotFound) {
		return nil, wrap("reading sealed key", errors.New("deleted while it was read"))
	}
	if err != nil {
		return nil, wrap("reading sealed key", err)
	}
	return r.Sealed, nil
}
