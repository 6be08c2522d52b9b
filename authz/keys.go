package authz

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// Keys are the authorization server's keys, opened: the signing key of access
// tokens, the public halves of all that may still verify one, and the keys of
// refresh tokens. They live sealed in Postgres, so that every replica has the
// same and a dump of the database has none. Keys do not change once opened.
type Keys struct {
	signing  jose.JSONWebKey
	verify   map[string]*ecdsa.PublicKey
	jwks     jose.JSONWebKeySet
	tokenMAC [32]byte // refresh tokens
	chain    [32]byte // seals of successors
}

// ErrMasterKey: the keys in the database were sealed under another master key.
var ErrMasterKey = errors.New("the keys in the database were sealed under another SCALING_MASTER_KEY")

// Names of sealed keys, and what the seals are bound to.
const (
	sealedTokenMAC = "refresh-token-mac"
	sealedChain    = "refresh-successor"
	sealedSigning  = "signing-key:"
)

// OpenKeys opens the keys in the database with the master key, or with previous
// where they were sealed before the master key changed (nil: it never did). On
// an empty database it makes them; of several servers that do so at once all end
// with the same.
func OpenKeys(ctx context.Context, s *store.Store, master MasterKey, previous *MasterKey, now time.Time) (*Keys, error) {
	k := &Keys{verify: map[string]*ecdsa.PublicKey{}}
	unseal := func(name string, sealed []byte) ([]byte, error) {
		plain, err := open(master.key, name, sealed)
		if err != nil && previous != nil {
			plain, err = open(previous.key, name, sealed)
		}
		if err != nil {
			return nil, fmt.Errorf("authz: opening %s: %w", name, ErrMasterKey)
		}
		return plain, nil
	}
	for name, key := range map[string]*[32]byte{sealedTokenMAC: &k.tokenMAC, sealedChain: &k.chain} {
		var fresh [32]byte
		_, _ = rand.Read(fresh[:]) // never fails
		sealed, err := s.SealedKey(ctx, name, seal(master.key, name, fresh[:]), now)
		if err != nil {
			return nil, err
		}
		plain, err := unseal(name, sealed)
		if err != nil {
			return nil, err
		}
		if copy(key[:], plain) != len(key) {
			return nil, fmt.Errorf("authz: %s is %d bytes long", name, len(plain))
		}
	}
	stored, err := signingKeys(ctx, s, master, now)
	if err != nil {
		return nil, err
	}
	for _, key := range stored {
		var public jose.JSONWebKey
		if err := json.Unmarshal(key.PublicJWK, &public); err != nil {
			return nil, fmt.Errorf("authz: signing key %s: %w", key.KID, err)
		}
		ec, ok := public.Key.(*ecdsa.PublicKey)
		if !ok {
			return nil, fmt.Errorf("authz: signing key %s is not an elliptic-curve key", key.KID)
		}
		k.verify[key.KID] = ec
		k.jwks.Keys = append(k.jwks.Keys, public)
		if key.State != store.KeyActive {
			continue
		}
		private, err := unseal(sealedSigning+key.KID, key.PrivateSealed)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(private, &k.signing); err != nil {
			return nil, fmt.Errorf("authz: signing key %s: %w", key.KID, err)
		}
	}
	if k.signing.Key == nil {
		return nil, errors.New("authz: no signing key is active")
	}
	return k, nil
}

// signingKeys returns the stored keys, and makes the first one where there is
// none.
func signingKeys(ctx context.Context, s *store.Store, master MasterKey, now time.Time) ([]*store.SigningKey, error) {
	stored, err := s.SigningKeys(ctx)
	if err != nil || len(stored) > 0 {
		return stored, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authz: generating a signing key: %w", err)
	}
	jwk := jose.JSONWebKey{Key: private, KeyID: uuid.NewString(), Algorithm: string(jose.ES256), Use: "sig"}
	privateJSON, err := json.Marshal(jwk)
	if err != nil {
		return nil, fmt.Errorf("authz: encoding a signing key: %w", err)
	}
	publicJSON, err := json.Marshal(jwk.Public())
	if err != nil {
		return nil, fmt.Errorf("authz: encoding a signing key: %w", err)
	}
	err = s.CreateFirstSigningKey(ctx, store.SigningKey{
		KID: jwk.KeyID, Alg: jwk.Algorithm, PublicJWK: publicJSON,
		PrivateSealed: seal(master.key, sealedSigning+jwk.KeyID, privateJSON),
	}, now)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return nil, err
	}
	return s.SigningKeys(ctx)
}

// VerificationKey returns the public key of the given id. It implements
// accesstoken.Keys.
func (k *Keys) VerificationKey(kid string) (*ecdsa.PublicKey, bool) {
	key, ok := k.verify[kid]
	return key, ok
}

// public is the JWKS document.
func (k *Keys) public() jose.JSONWebKeySet { return k.jwks }
