package authz

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
)

// MasterKey seals what must be stored and come back: signing keys, and the keys
// of token MACs and successors. It never prints itself.
type MasterKey struct{ key [32]byte }

// ParseMasterKey reads 32 bytes in standard base64.
func ParseMasterKey(text string) (MasterKey, error) {
	var m MasterKey
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return m, errors.New("not base64")
	}
	if len(raw) != len(m.key) {
		return m, fmt.Errorf("%d bytes long, want %d", len(raw), len(m.key))
	}
	if copy(m.key[:], raw); m.key == [32]byte{} {
		return m, errors.New("nothing but zeros")
	}
	return m, nil
}

func (MasterKey) String() string       { return "[redacted]" }
func (MasterKey) GoString() string     { return "[redacted]" }
func (MasterKey) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// seal encrypts plain under key with AES-256-GCM, bound to name: what was sealed
// as one thing does not open as another.
func seal(key [32]byte, name string, plain []byte) []byte {
	return aead(key).Seal(nil, nil, plain, []byte(name))
}

// open reverses seal. It fails where the key or the name is another.
func open(key [32]byte, name string, sealed []byte) ([]byte, error) {
	return aead(key).Open(nil, nil, sealed, []byte(name))
}

// aead is AES-256-GCM with a random nonce in front of the ciphertext. Nothing is
// sealed often enough under one key for two nonces to meet (NIST SP 800-38D
// §8.3 allows 2³² messages).
func aead(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has a length that AES takes
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // so has the block
	}
	return gcm
}
