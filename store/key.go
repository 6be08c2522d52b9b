package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// SigningKey is a key of the authorization server's JWKS (RFC 7517). Its private
// half is sealed: this package cannot read it.
type SigningKey struct {
	KID           string
	Alg           string
	PublicJWK     []byte // JSON
	PrivateSealed []byte // nil once retired: it will never sign again
	State         KeyState
	CreatedAt     time.Time  // and published
	ActivatedAt   *time.Time // when it began to sign
	RetiredAt     *time.Time // when it stopped
}

// Since is when the key came into its state.
func (k *SigningKey) Since() time.Time {
	switch {
	case k.RetiredAt != nil:
		return *k.RetiredAt
	case k.ActivatedAt != nil:
		return *k.ActivatedAt
	}
	return k.CreatedAt
}

// KeyState is where a signing key is in its life.
type KeyState string

// One key is active at a time and signs; one is next, published before it is
// needed; others are retired, and published for as long as their tokens live.
const (
	KeyNext    KeyState = "next"
	KeyActive  KeyState = "active"
	KeyRetired KeyState = "retired"
)

// TooYoungError: the next signing key has not been published for long enough.
type TooYoungError struct {
	Wait time.Duration // until it will have been
}

func (e *TooYoungError) Error() string {
	return "the next signing key is too young, for another " + e.Wait.String()
}

const signingKeyColumns = `kid, alg, public_jwk, private_sealed, state, created_at, activated_at, retired_at`

// SigningKeys returns all signing keys: the active one, the next one, then the
// retired ones, the latest first.
func (s *Store) SigningKeys(ctx context.Context) ([]*SigningKey, error) {
	keys, err := many[SigningKey](s.pool.Query(ctx, `
		SELECT `+signingKeyColumns+` FROM signing_keys
		ORDER BY state <> 'active', state <> 'next', retired_at DESC, kid`))
	return keys, wrap("reading signing keys", err)
}

// CreateSigningKey stores k as the next key, or as the active one, unless there
// is one of that state already: of several servers that start on an empty
// database one key of each wins.
func (s *Store) CreateSigningKey(ctx context.Context, k SigningKey, now time.Time) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO signing_keys (kid, alg, public_jwk, private_sealed, state, created_at, activated_at)
		VALUES ($1, $2, $3, $4, $5::text, $6::timestamptz, CASE WHEN $5 = 'active' THEN $6 END)
		ON CONFLICT DO NOTHING`, k.KID, k.Alg, k.PublicJWK, k.PrivateSealed, k.State, now)
	return wrap("creating signing key", err)
}

// RotateSigningKeys makes the next key the active one, retires the active one
// and forgets its private half, and stores fresh as the next one. Calls at the
// same time take turns.
//
// It returns a *TooYoungError, and changes nothing, if the next key has not been
// published for so long; zero means that it does not matter.
func (s *Store) RotateSigningKeys(ctx context.Context, fresh SigningKey, published time.Duration, now time.Time) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockSigningKeysTx(ctx, tx); err != nil {
			return err
		}
		next, err := one[SigningKey](tx.Query(ctx, `SELECT `+signingKeyColumns+` FROM signing_keys WHERE state = 'next'`))
		if err != nil {
			return err
		}
		if wait := next.CreatedAt.Add(published).Sub(now); published > 0 && wait > 0 {
			return &TooYoungError{wait}
		}
		if _, err := tx.Exec(ctx, `
			UPDATE signing_keys SET state = 'retired', retired_at = $1, private_sealed = NULL WHERE state = 'active'`, now); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE signing_keys SET state = 'active', activated_at = $2 WHERE kid = $1`, next.KID, now); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO signing_keys (kid, alg, public_jwk, private_sealed, state, created_at)
			VALUES ($1, $2, $3, $4, 'next', $5)`, fresh.KID, fresh.Alg, fresh.PublicJWK, fresh.PrivateSealed, now)
		return err
	})
	if _, young := errors.AsType[*TooYoungError](err); young {
		return err
	}
	return wrap("rotating signing keys", err)
}

// lockSigningKeysTx makes other changes of signing keys wait for the end of the
// transaction. Reading goes on. A lock on rows would not do: the row that a
// rotation inserts is not there yet.
func lockSigningKeysTx(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE`)
	return err
}

// DeleteRetiredSigningKey deletes one retired key, so that nothing it signed is
// good any more. It returns ErrNotFound for a key that does not exist, and
// ErrConflict for one that is active or next.
func (s *Store) DeleteRetiredSigningKey(ctx context.Context, kid string) error {
	type row struct{ State KeyState }
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockSigningKeysTx(ctx, tx); err != nil {
			return err
		}
		found, err := one[row](tx.Query(ctx, `SELECT state FROM signing_keys WHERE kid = $1`, kid))
		if err != nil {
			return err
		}
		if found.State != KeyRetired {
			return ErrConflict
		}
		_, err = tx.Exec(ctx, `DELETE FROM signing_keys WHERE kid = $1`, kid)
		return err
	})
	return wrap("deleting signing key", err)
}

// DeleteSigningKeysRetired deletes the keys that were retired before an instant.
func (s *Store) DeleteSigningKeysRetired(ctx context.Context, before time.Time) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM signing_keys WHERE retired_at < $1`, before)
	return wrap("deleting retired signing keys", err)
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

// Reseal is a key that is sealed anew, under another master key.
type Reseal struct {
	// Exactly one of the two says which key.
	Name string // of a SealedKey
	KID  string // of a SigningKey

	Old, New []byte // sealed
}

// ResealKeys replaces sealed keys, all or none. Where a key is not sealed as Old
// says, another server was faster and it is left alone.
func (s *Store) ResealKeys(ctx context.Context, keys []Reseal) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		// In one order everywhere, or two servers would wait for each other.
		if err := lockSigningKeysTx(ctx, tx); err != nil {
			return err
		}
		for _, k := range keys {
			statement, id := `UPDATE sealed_keys SET sealed = $3 WHERE name = $1 AND sealed = $2`, k.Name
			if k.KID != "" {
				statement, id = `UPDATE signing_keys SET private_sealed = $3 WHERE kid = $1 AND private_sealed = $2`, k.KID
			}
			if _, err := tx.Exec(ctx, statement, id, k.Old, k.New); err != nil {
				return err
			}
		}
		return nil
	})
	return wrap("sealing keys anew", err)
}
