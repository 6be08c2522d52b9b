// Package accesstoken signs and verifies the access tokens that the
// authorization server issues and the resource server accepts: JWTs of type
// at+jwt (RFC 9068) signed with ES256. A good signature says what was granted,
// not that it still stands: whether the connection lives is asked elsewhere,
// at every request.
package accesstoken

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
)

// headerType is the JOSE typ that keeps an ID token, or any other JWT signed
// with the same key, from passing as an access token (RFC 9068 §2.1).
const headerType = "at+jwt"

// ErrInvalid: not one of our tokens, or not for this resource. ErrExpired: was
// one. Both are answered with 401 invalid_token (RFC 6750 §3.1).
var (
	ErrInvalid = errors.New("access token is invalid")
	ErrExpired = errors.New("access token has expired")
)

// Claims is what an access token says (RFC 9068 §2.2), and the connection that
// it belongs to. A *Claims that Verify returned is shared: it is not to be
// changed.
type Claims struct {
	Issuer       string
	Subject      string // Clerk user id
	Audience     string // RFC 8707 resource, exactly one
	ClientID     string
	Scopes       []string
	OrgID        string // Clerk organization id
	ConnectionID uuid.UUID
	Epoch        int    // the connection's when the token was issued
	ID           string // jti
	IssuedAt     time.Time
	ExpiresAt    time.Time
}

// HasScope reports whether scope was granted to the token.
func (c *Claims) HasScope(scope string) bool { return slices.Contains(c.Scopes, scope) }

// wire is the JSON form. Times are whole seconds.
type wire struct {
	jwt.Claims
	ClientID   string    `json:"client_id"`
	Scope      string    `json:"scope,omitempty"`
	Org        string    `json:"org"`
	Connection uuid.UUID `json:"conn"`
	Epoch      int       `json:"epoch"`
}

// Sign returns the compact form of c, signed with the private key, which
// carries its key id.
func Sign(c Claims, key jose.JSONWebKey) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithType(headerType))
	if err != nil {
		return "", fmt.Errorf("accesstoken: %w", err)
	}
	payload, err := json.Marshal(wire{
		Claims: jwt.Claims{
			Issuer:   c.Issuer,
			Subject:  c.Subject,
			Audience: jwt.Audience{c.Audience},
			ID:       c.ID,
			IssuedAt: jwt.NewNumericDate(c.IssuedAt),
			Expiry:   jwt.NewNumericDate(c.ExpiresAt),
		},
		ClientID:   c.ClientID,
		Scope:      strings.Join(c.Scopes, " "),
		Org:        c.OrgID,
		Connection: c.ConnectionID,
		Epoch:      c.Epoch,
	})
	if err != nil {
		return "", fmt.Errorf("accesstoken: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("accesstoken: signing: %w", err)
	}
	return signed.CompactSerialize()
}

// Keys finds the public half of a signing key by its id. It must be safe for
// concurrent use.
type Keys interface {
	VerificationKey(kid string) (*ecdsa.PublicKey, bool)
}

// Verifier checks access tokens for one issuer. It remembers the tokens that it
// found good, by hash, so that a client's later calls cost no signature check;
// a key that is withdrawn takes them with it. It is safe for concurrent use.
type Verifier struct {
	issuer    string
	audiences []string
	keys      Keys
	verified  *lru.Cache[[sha256.Size]byte, signed]
}

// signed is what a token says, and the id of the key that signed it.
type signed struct {
	claims *Claims
	kid    string
}

// rememberedTokens bounds the verified tokens kept in memory, at about 600
// bytes each.
const rememberedTokens = 16384

// NewVerifier returns a Verifier of tokens that issuer issued for any one of
// audiences, all of them names of one protected resource.
func NewVerifier(issuer string, audiences []string, keys Keys) *Verifier {
	verified, err := lru.New[[sha256.Size]byte, signed](rememberedTokens)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &Verifier{issuer: issuer, audiences: audiences, keys: keys, verified: verified}
}

// Verify returns what a token says, if it is a live token of this issuer for this
// resource (RFC 9068 §4). The error is, or wraps, ErrInvalid or ErrExpired.
func (v *Verifier) Verify(text string, now time.Time) (*Claims, error) {
	hash := sha256.Sum256([]byte(text))
	token, ok := v.verified.Get(hash)
	if ok {
		if _, known := v.keys.VerificationKey(token.kid); !known {
			v.verified.Remove(hash)
			return nil, fmt.Errorf("%w: unknown key", ErrInvalid)
		}
	} else {
		var err error
		if token, err = decode(text, v.issuer, v.keys); err != nil {
			return nil, err
		}
		if !slices.Contains(v.audiences, token.claims.Audience) {
			return nil, fmt.Errorf("%w: audience is %q", ErrInvalid, token.claims.Audience)
		}
		v.verified.Add(hash, token)
	}
	if !now.Before(token.claims.ExpiresAt) {
		v.verified.Remove(hash)
		return nil, ErrExpired
	}
	return token.claims, nil
}

// Decode returns what token says if issuer signed it, whatever its audience and
// even if it has expired. The error is, or wraps, ErrInvalid.
func Decode(token, issuer string, keys Keys) (*Claims, error) {
	decoded, err := decode(token, issuer, keys)
	return decoded.claims, err
}

func decode(token, issuer string, keys Keys) (signed, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return signed{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	header := parsed.Headers[0]
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); !strings.EqualFold(strings.TrimPrefix(typ, "application/"), headerType) {
		return signed{}, fmt.Errorf("%w: type is %q", ErrInvalid, typ)
	}
	key, ok := keys.VerificationKey(header.KeyID)
	if !ok {
		return signed{}, fmt.Errorf("%w: unknown key", ErrInvalid)
	}
	var w wire
	if err := parsed.Claims(key, &w); err != nil {
		return signed{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if w.Issuer != issuer {
		return signed{}, fmt.Errorf("%w: issuer is %q", ErrInvalid, w.Issuer)
	}
	if len(w.Audience) != 1 {
		return signed{}, fmt.Errorf("%w: audience is %q", ErrInvalid, w.Audience)
	}
	if w.Expiry == nil || w.IssuedAt == nil {
		return signed{}, fmt.Errorf("%w: no lifetime", ErrInvalid)
	}
	return signed{&Claims{
		Issuer:       w.Issuer,
		Subject:      w.Subject,
		Audience:     w.Audience[0],
		ClientID:     w.ClientID,
		Scopes:       strings.Fields(w.Scope),
		OrgID:        w.Org,
		ConnectionID: w.Connection,
		Epoch:        w.Epoch,
		ID:           w.ID,
		IssuedAt:     w.IssuedAt.Time(),
		ExpiresAt:    w.Expiry.Time(),
	}, header.KeyID}, nil
}
