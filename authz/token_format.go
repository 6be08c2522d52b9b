package authz

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/secret"
)

// Prefixes of what we hand out, so that people and secret scanners know it when
// they see it.
const (
	refreshTokenPrefix = "scl_rt_"
	codePrefix         = "scl_ac_"
	clientSecretPrefix = "scl_cs_"
	clientIDPrefix     = "scl_client_"

	resourceServerIDPrefix     = "scl_server_"
	resourceServerSecretPrefix = "scl_rs_"

	randomBytes         = 32
	refreshTokenMACSize = 16
)

// refreshToken is the inside of a refresh token: the connection and the
// generation of its chain, so that a token whose row is long gone still gives
// itself away, 32 random bytes, and a MAC that keeps forgeries from the
// database.
//
//	scl_rt_ base64url( connection 16 | generation 4 | random 32 | MAC 16 )
type refreshToken struct {
	connection uuid.UUID
	generation int
	text       string
}

const refreshTokenSize = 16 + 4 + randomBytes

// newRefreshToken makes a token for one step of a connection's chain.
func (k *Keys) newRefreshToken(connection uuid.UUID, generation int) refreshToken {
	raw := make([]byte, refreshTokenSize, refreshTokenSize+refreshTokenMACSize)
	copy(raw, connection[:])
	binary.BigEndian.PutUint32(raw[16:], uint32(generation))
	_, _ = rand.Read(raw[20:]) // never fails
	raw = append(raw, k.refreshTokenMAC(raw)...)
	return refreshToken{connection, generation, refreshTokenPrefix + base64.RawURLEncoding.EncodeToString(raw)}
}

// parseRefreshToken returns the inside of a token that we made. ok is false for
// anything else; nothing is asked of the database for that.
func (k *Keys) parseRefreshToken(text string) (t refreshToken, ok bool) {
	encoded, ok := strings.CutPrefix(text, refreshTokenPrefix)
	if !ok {
		return t, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != refreshTokenSize+refreshTokenMACSize {
		return t, false
	}
	body, mac := raw[:refreshTokenSize], raw[refreshTokenSize:]
	if !hmac.Equal(mac, k.refreshTokenMAC(body)) {
		return t, false
	}
	return refreshToken{uuid.UUID(body[:16]), int(binary.BigEndian.Uint32(body[16:])), text}, true
}

func (k *Keys) refreshTokenMAC(body []byte) []byte {
	mac := hmac.New(sha256.New, k.tokenMAC[:])
	mac.Write(body)
	return mac.Sum(nil)[:refreshTokenMACSize]
}

// hash is what the database knows of the token.
func (t refreshToken) hash() []byte { return secret.Hash(t.text) }

// sealSuccessor seals next under a key that only the presented token yields: a
// dump of the database, even with our keys, opens no chain without one of its
// tokens.
func (k *Keys) sealSuccessor(presented, next string) []byte {
	return seal(k.successorKey(presented), sealedChain, []byte(next))
}

// openSuccessor reverses sealSuccessor.
func (k *Keys) openSuccessor(presented string, sealed []byte) (string, error) {
	next, err := open(k.successorKey(presented), sealedChain, sealed)
	return string(next), err
}

func (k *Keys) successorKey(presented string) [32]byte {
	mac := hmac.New(sha256.New, k.chain[:])
	mac.Write([]byte(presented))
	return [32]byte(mac.Sum(nil))
}

// newCode makes an authorization code. It names its connection, so that the
// first refresh token can be made before the database is asked.
//
//	scl_ac_ base64url( connection 16 | random 32 )
func newCode(connection uuid.UUID) string {
	raw := make([]byte, 16+randomBytes)
	copy(raw, connection[:])
	_, _ = rand.Read(raw[16:]) // never fails
	return codePrefix + base64.RawURLEncoding.EncodeToString(raw)
}

// codeConnection returns the connection that a code names. ok is false for what
// is not a code of ours.
func codeConnection(code string) (connection uuid.UUID, ok bool) {
	encoded, ok := strings.CutPrefix(code, codePrefix)
	if !ok {
		return uuid.Nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != 16+randomBytes {
		return uuid.Nil, false
	}
	return uuid.UUID(raw[:16]), true
}
