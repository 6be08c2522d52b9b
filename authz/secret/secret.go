// Package secret makes the secrets that we hand out and keep only the hash of:
// codes, client secrets, cookies.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// New returns prefix and 256 random bits in base64url.
func New(prefix string) string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(raw)
}

// Hash is how a secret of New is stored. It has 256 random bits, so that neither
// salt nor a slow hash would add anything.
func Hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
