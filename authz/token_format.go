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

	registrationTokenPrefix = "scl_rat_"

	resourceServerIDPrefix     = "scl_server_"
	resourceServerSecretPrefix = "scl_rs_"
)

// Sizes of the parts of a token, in bytes.
const (
	randomBytes = 32
	macBytes    = 16
)

// encodeToken returns prefix and the base64url of body and its MAC. The MAC keeps
// forgeries from the database, and tells whose request it is before anything is
// asked of it.
func (k *Keys) encodeToken(prefix string, body []byte) string {
	return prefix + base64.RawURLEncoding.EncodeToString(append(body, k.mac(prefix, body)...))
}

// decodeToken returns the body, of size bytes, of a token that encodeToken made.
// ok is false for anything else.
func (k *Keys) decodeToken(prefix, text string, size int) (body []byte, ok bool) {
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != size+macBytes {
		return nil, false
	}
	body, mac := raw[:size], raw[size:]
	return body, hmac.Equal(mac, k.mac(prefix, body))
}

// mac is over the prefix as well, and all prefixes are of one length: what was
// made as a code is no refresh token.
func (k *Keys) mac(prefix string, body []byte) []byte {
	mac := hmac.New(sha256.New, k.tokenMAC[:])
	mac.Write([]byte(prefix))
	mac.Write(body)
	return mac.Sum(nil)[:macBytes]
}

// refreshToken is the inside of a refresh token: the connection and the
// generation of its chain, so that a token whose row is long gone still gives
// itself away, and 32 random bytes.
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
	body := make([]byte, refreshTokenSize)
	copy(body, connection[:])
	binary.BigEndian.PutUint32(body[16:], uint32(generation))
	_, _ = rand.Read(body[20:]) // never fails
	return refreshToken{connection, generation, k.encodeToken(refreshTokenPrefix, body)}
}

// parseRefreshToken returns the inside of a token that we made. ok is false for
// anything else; nothing is asked of the database for that.
func (k *Keys) parseRefreshToken(text string) (t refreshToken, ok bool) {
	body, ok := k.decodeToken(refreshTokenPrefix, text, refreshTokenSize)
	if !ok {
		return t, false
	}
	return refreshToken{uuid.UUID(body[:16]), int(binary.BigEndian.Uint32(body[16:])), text}, true
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

const codeSize = 16 + randomBytes

// newCode makes an authorization code. It names its connection, so that the
// first refresh token can be made before the database is asked.
//
//	scl_ac_ base64url( connection 16 | random 32 | MAC 16 )
func (k *Keys) newCode(connection uuid.UUID) string {
	body := make([]byte, codeSize)
	copy(body, connection[:])
	_, _ = rand.Read(body[16:]) // never fails
	return k.encodeToken(codePrefix, body)
}

// codeConnection returns the connection that a code of ours names. ok is false
// for anything else.
func (k *Keys) codeConnection(code string) (connection uuid.UUID, ok bool) {
	body, ok := k.decodeToken(codePrefix, code, codeSize)
	if !ok {
		return uuid.Nil, false
	}
	return uuid.UUID(body[:16]), true
}
