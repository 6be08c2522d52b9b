package authz

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// Keys are the authorization server's keys, opened: the signing key of access
// tokens, the public halves of all that may verify one, and the keys of codes
// and refresh tokens. They live sealed in Postgres, so that every replica has the
// same and a dump of the database has none.
//
// The keys of codes and refresh tokens never change. Signing keys are rotated by an
// operator (see RotateKeys), and Run follows them. It is safe for concurrent
// use.
type Keys struct {
	store    *store.Store
	master   MasterKey
	previous *MasterKey

	tokenMAC [32]byte // codes and refresh tokens
	chain    [32]byte // seals of successors

	current atomic.Pointer[signingKeys]

	// reading is held while the signing keys are read; lookedAt is when an unknown
	// kid last made us do so.
	reading  sync.Mutex
	lookedAt time.Time
}

// signingKeys is what the database had at one instant. It does not change.
type signingKeys struct {
	signing jose.JSONWebKey // private
	verify  map[string]*ecdsa.PublicKey
	jwks    jose.JSONWebKeySet // public
}

// ErrMasterKey: the keys in the database were sealed under another master key.
var ErrMasterKey = errors.New("the keys in the database were sealed under another SCALING_MASTER_KEY")

// Names of sealed keys, and what the seals are bound to.
const (
	sealedTokenMAC = "refresh-token-mac"
	sealedChain    = "refresh-successor"
	sealedSigning  = "signing-key:"
)

const (
	// KeysEvery is how often a replica reads the signing keys.
	KeysEvery = 15 * time.Second
	// lookEvery is how often at most an unknown kid makes it read them at once: a
	// flood of made-up kids costs the database one small read a second.
	lookEvery = time.Second
	// readTimeout bounds one reading.
	readTimeout = 2 * time.Second
)

// OpenKeys opens the keys in the database with the master key, or with previous
// where they were sealed before the master key changed (nil: it never did); such
// are sealed anew under master, and previous is not needed again. On an empty
// database it makes the keys; of several servers that do so at once all end with
// the same.
func OpenKeys(ctx context.Context, s *store.Store, master MasterKey, previous *MasterKey, now time.Time) (*Keys, error) {
	k := &Keys{store: s, master: master, previous: previous}
	var stale []store.Reseal
	for name, key := range map[string]*[32]byte{sealedTokenMAC: &k.tokenMAC, sealedChain: &k.chain} {
		var fresh [32]byte
		_, _ = rand.Read(fresh[:]) // never fails
		sealed, err := s.SealedKey(ctx, name, seal(master.key, name, fresh[:]), now)
		if err != nil {
			return nil, err
		}
		plain, old, err := k.unseal(name, sealed)
		if err != nil {
			return nil, err
		}
		if old {
			stale = append(stale, store.Reseal{Name: name, Old: sealed, New: seal(master.key, name, plain)})
		}
		if copy(key[:], plain) != len(key) {
			return nil, fmt.Errorf("authz: %s is %d bytes long", name, len(plain))
		}
	}
	if len(stale) > 0 {
		if err := s.ResealKeys(ctx, stale); err != nil {
			return nil, err
		}
	}
	if err := createSigningKeys(ctx, s, master, now); err != nil {
		return nil, err
	}
	if err := k.read(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// createSigningKeys makes the active and the next signing key, where there is
// none.
func createSigningKeys(ctx context.Context, s *store.Store, master MasterKey, now time.Time) error {
	stored, err := s.SigningKeys(ctx)
	if err != nil {
		return err
	}
	missing := map[store.KeyState]bool{store.KeyActive: true, store.KeyNext: true}
	for _, key := range stored {
		delete(missing, key.State)
	}
	for state := range missing {
		key, err := newSigningKey(master)
		if err != nil {
			return err
		}
		key.State = state
		if err := s.CreateSigningKey(ctx, key, now); err != nil {
			return err
		}
	}
	return nil
}

// newSigningKey makes an ES256 key, sealed under master. Its state is the
// caller's to say.
func newSigningKey(master MasterKey) (store.SigningKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("authz: generating a signing key: %w", err)
	}
	jwk := jose.JSONWebKey{Key: private, KeyID: uuid.NewString(), Algorithm: string(jose.ES256), Use: "sig"}
	privateJSON, err := json.Marshal(jwk)
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("authz: encoding a signing key: %w", err)
	}
	publicJSON, err := json.Marshal(jwk.Public())
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("authz: encoding a signing key: %w", err)
	}
	return store.SigningKey{
		KID: jwk.KeyID, Alg: jwk.Algorithm, PublicJWK: publicJSON,
		PrivateSealed: seal(master.key, sealedSigning+jwk.KeyID, privateJSON),
	}, nil
}

// unseal opens a sealed key. old says that it was sealed under the master key
// before.
func (k *Keys) unseal(name string, sealed []byte) (plain []byte, old bool, err error) {
	if plain, err = open(k.master.key, name, sealed); err == nil {
		return plain, false, nil
	}
	if k.previous != nil {
		if plain, err = open(k.previous.key, name, sealed); err == nil {
			return plain, true, nil
		}
	}
	return nil, false, fmt.Errorf("authz: opening %s: %w", name, ErrMasterKey)
}

// read takes over the signing keys as the database has them now.
//
// A key whose private half does not open leaves us with the signing key that we
// have, and is an error: so a replica that does not have a new master key yet
// goes on, and still learns which keys verify.
func (k *Keys) read(ctx context.Context) error {
	stored, err := k.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	next := &signingKeys{verify: make(map[string]*ecdsa.PublicKey, len(stored))}
	before := k.current.Load()
	if before != nil {
		next.signing = before.signing
	}
	var stale []store.Reseal
	var unopened error
	for _, key := range stored {
		var public jose.JSONWebKey
		if err := json.Unmarshal(key.PublicJWK, &public); err != nil {
			return fmt.Errorf("authz: signing key %s: %w", key.KID, err)
		}
		ec, ok := public.Key.(*ecdsa.PublicKey)
		if !ok {
			return fmt.Errorf("authz: signing key %s is not an elliptic-curve key", key.KID)
		}
		next.verify[key.KID] = ec
		next.jwks.Keys = append(next.jwks.Keys, public)
		if key.State == store.KeyRetired {
			continue
		}
		// The next key is opened for nothing but to hear of a wrong master key
		// before it is needed.
		private, old, err := k.unseal(sealedSigning+key.KID, key.PrivateSealed)
		if err != nil {
			unopened = errors.Join(unopened, err)
			continue
		}
		if old {
			stale = append(stale, store.Reseal{KID: key.KID, Old: key.PrivateSealed, New: seal(k.master.key, sealedSigning+key.KID, private)})
		}
		if key.State == store.KeyActive {
			next.signing = jose.JSONWebKey{}
			if err := json.Unmarshal(private, &next.signing); err != nil {
				return fmt.Errorf("authz: signing key %s: %w", key.KID, err)
			}
		}
	}
	if next.signing.Key == nil {
		return errors.Join(unopened, errors.New("authz: no signing key is active"))
	}
	k.current.Store(next)
	if len(stale) > 0 {
		unopened = errors.Join(unopened, k.store.ResealKeys(ctx, stale))
	}
	return unopened
}

// Run follows the signing keys of the database, which it reads at every tick,
// until ctx is done. What it cannot read it logs and tries again.
func (k *Keys) Run(ctx context.Context, every time.Duration, log *slog.Logger) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		k.reading.Lock()
		bounded, cancel := context.WithTimeout(ctx, readTimeout)
		err := k.read(bounded)
		cancel()
		k.reading.Unlock()
		if err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "reading the signing keys: going on with those at hand", "error", err)
		}
	}
}

// VerificationKey returns the public key of the given id. It implements
// accesstoken.Keys. An unknown id is looked for in the database, in case it was
// made a moment ago, but not each time.
func (k *Keys) VerificationKey(kid string) (*ecdsa.PublicKey, bool) {
	key, ok := k.current.Load().verify[kid]
	if !ok {
		k.look()
		key, ok = k.current.Load().verify[kid]
	}
	return key, ok
}

// look reads the signing keys, unless an unknown kid made us do so within
// lookEvery. Whoever comes while it reads waits for what it finds. What goes
// wrong is for Run to say.
func (k *Keys) look() {
	k.reading.Lock()
	defer k.reading.Unlock()
	if time.Since(k.lookedAt) < lookEvery {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	_ = k.read(ctx)
	k.lookedAt = time.Now()
}

// signing is the key that signs access tokens now.
func (k *Keys) signing() jose.JSONWebKey { return k.current.Load().signing }

// public is the JWKS document.
func (k *Keys) public() jose.JSONWebKeySet { return k.current.Load().jwks }

// Derive returns a key for a purpose outside of this package: the same in every
// replica, and telling nothing of our own keys or of one for another purpose
// (HKDF, RFC 5869).
func (k *Keys) Derive(purpose string) [32]byte {
	key, err := hkdf.Key(sha256.New, k.chain[:], nil, purpose, 32)
	if err != nil {
		panic(err) // for a longer key only
	}
	return [32]byte(key)
}
