package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Rotation is the use of a refresh token (RFC 6749 §6): it is spent, and a
// successor takes its place.
type Rotation struct {
	TokenHash    []byte
	ConnectionID uuid.UUID // from the token, whose MAC is good
	Generation   int       // from the token
	ClientID     string    // authenticated
	// The successor, sealed under a key that the presented token yields.
	SuccessorHash      []byte
	SuccessorSealed    []byte
	SuccessorExpiresAt time.Time
	// ReplayUntilUsed is how long after its use a token is still answered if its
	// successor has not been used.
	ReplayUntilUsed time.Duration
	// Scopes that are asked for; nil means all that were granted. If none of them
	// was, the token is not spent.
	Scopes []string
	// SyncedAfter is the instant after which Clerk must have said that the person
	// belongs to the organization.
	SyncedAfter time.Time
}

// ReplayWindow is how long after its use a refresh token is answered with its
// chain's unused token: parallel processes of one client, and lost responses.
// Peers settled between 30 s and 30 min; bursts of 76 s were seen in production.
const ReplayWindow = 120 * time.Second

// RotateRefreshToken spends a refresh token and stores its successor, in one
// statement, which shares its transaction with others that come at the same time.
// Of any number of concurrent calls with the same token one stores its successor,
// and all are answered with the one unused token of the chain.
//
// It returns ErrNotFound, and changes nothing, if the token is unknown, expired
// or another client's, or its connection has ended, or its organization does not admit its client. It returns ErrReused if the
// token was spent too long ago (RFC 9700 §4.14.2); the connection is then
// revoked. It returns ErrNotGranted, and changes nothing, if none of the scopes
// that are asked for was granted. It returns ErrStale with the connection, and
// changes nothing, if all is right but nobody has asked Clerk since SyncedAfter.
func (s *Store) RotateRefreshToken(ctx context.Context, r Rotation, now time.Time) (*Issued, error) {
	c, err := s.rotations.rotate(ctx, r, now)
	if err == nil {
		return &Issued{Connection: c}, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, wrap("rotating refresh token", err)
	}
	issued, err := s.replayRefreshToken(ctx, r, now)
	return issued, wrap("replaying refresh token", err)
}

// replayRefreshToken answers for a token that cannot be spent.
func (s *Store) replayRefreshToken(ctx context.Context, r Rotation, now time.Time) (*Issued, error) {
	type connection struct {
		Connection
		Covered bool // by a word of Clerk's that is young enough
	}
	c, err := one[connection](s.pool.Query(ctx, `
		SELECT `+connectionColumns+`, COALESCE(m.synced_at > $4 AND NOT u.banned AND u.deleted_at IS NULL, false) AS covered
		FROM connections c
		JOIN users u ON u.id = c.user_id
		LEFT JOIN memberships m ON m.org_id = c.org_id AND m.user_id = c.user_id
		WHERE c.id = $1 AND c.client_id IS NOT DISTINCT FROM $2 AND c.connected_at IS NOT NULL
		  AND num_nulls(c.revoked_at) = 1 AND c.expires_at > $3 AND NOT `+excluded("c"),
		r.ConnectionID, r.ClientID, now, r.SyncedAfter))
	if err != nil {
		return nil, err
	}
	issued := &Issued{Connection: &c.Connection}
	if r.Scopes != nil && !slices.ContainsFunc(r.Scopes, func(name string) bool { return slices.Contains(c.Scopes, name) }) {
		return nil, ErrNotGranted
	}
	type link struct {
		Generation      int
		ExpiresAt       time.Time
		UsedAt          *time.Time
		SuccessorHash   []byte
		SuccessorSealed []byte
	}
	chain, err := many[link](s.pool.Query(ctx, `
		WITH RECURSIVE chain AS (
			SELECT generation, expires_at, used_at, successor_hash, successor_sealed
			FROM refresh_tokens WHERE token_hash = $1 AND connection_id = $2
			UNION ALL
			SELECT t.generation, t.expires_at, t.used_at, t.successor_hash, t.successor_sealed
			FROM chain JOIN refresh_tokens t ON t.token_hash = chain.successor_hash
		)
		SELECT generation, expires_at, used_at, successor_hash, successor_sealed FROM chain ORDER BY generation`,
		r.TokenHash, r.ConnectionID))
	if err != nil {
		return nil, err
	}
	if len(chain) == 0 {
		return s.prunedRefreshToken(ctx, r, now)
	}
	presented, unused := chain[0], chain[len(chain)-1]
	if unused.UsedAt != nil || !now.Before(unused.ExpiresAt) {
		return nil, ErrNotFound // expired
	}
	if presented.UsedAt == nil {
		// It was the age of Clerk's word that kept the token from being spent, even
		// if somebody has asked since.
		return issued, ErrStale
	}
	age := now.Sub(*presented.UsedAt)
	if age > ReplayWindow && (len(chain) > 2 || age > r.ReplayUntilUsed) {
		return s.revokeReused(ctx, r, now)
	}
	for _, l := range chain[:len(chain)-1] {
		if l.SuccessorSealed == nil {
			return s.revokeReused(ctx, r, now) // longer ago than seals are kept
		}
		issued.Chain = append(issued.Chain, ChainLink{l.SuccessorHash, l.SuccessorSealed})
	}
	if !c.Covered {
		return &Issued{Connection: &c.Connection}, ErrStale
	}
	return issued, nil
}

// prunedRefreshToken answers for a token with a good MAC and no row: of a
// generation that the chain has passed it is a late reuse, else it never was.
func (s *Store) prunedRefreshToken(ctx context.Context, r Rotation, now time.Time) (*Issued, error) {
	var passed bool
	err := s.pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM refresh_tokens WHERE connection_id = $1 AND generation > $2)`,
		r.ConnectionID, r.Generation).Scan(&passed)
	if err != nil {
		return nil, err
	}
	if !passed {
		return nil, ErrNotFound
	}
	return s.revokeReused(ctx, r, now)
}

func (s *Store) revokeReused(ctx context.Context, r Rotation, now time.Time) (*Issued, error) {
	revoked, err := revoke(ctx, s.pool, `id = $4 AND client_id = $5`, now, nil, RevokedByReuse, r.ConnectionID, r.ClientID)
	if err != nil {
		return nil, err
	}
	return &Issued{Revoked: revoked}, ErrReused
}

// PruneRefreshTokens forgets the seals of tokens that were used before
// sealsBefore, which makes them unreadable for good, and the tokens that were
// used a week before that: their generation still gives them away.
func (s *Store) PruneRefreshTokens(ctx context.Context, sealsBefore time.Time) error {
	_, err := s.pool.Exec(ctx, `
		WITH pruned AS (DELETE FROM refresh_tokens WHERE used_at < $1::timestamptz - interval '7 days')
		UPDATE refresh_tokens SET successor_sealed = NULL
		WHERE used_at < $1 AND used_at >= $1::timestamptz - interval '7 days' AND successor_sealed IS NOT NULL`, sealsBefore)
	return wrap("pruning refresh tokens", err)
}
