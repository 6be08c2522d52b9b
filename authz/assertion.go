package authz

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
)

// This file authenticates clients by private_key_jwt (RFC 7523 §2.2 and §3, OpenID
// Connect Core §9). fosite has a verifier of its own, which knows no EdDSA, passes
// over keys without a use, spends the jti of an assertion that is meant for
// another server, and looks at its own clock; it is not asked.

// assertionType is the only client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionAlgorithms are the algorithms that an assertion may be signed with:
// asymmetric ones only, for the secret of a symmetric one would be public.
var assertionAlgorithms = []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA}

// maxAssertionLifetime bounds how long an assertion's jti must be remembered.
const maxAssertionLifetime = 24 * time.Hour

// assertionLeeway is how far a client's clock may differ from ours.
const assertionLeeway = time.Minute

// badAssertion is the one answer to every assertion that does not convince.
const badAssertion = "The client assertion is not this client's, not for this server, expired, or was used before."

// hasAssertion reports whether a request authenticates its client by an assertion.
// Half of one counts: who sends it does not mean to be public.
func hasAssertion(form url.Values) bool {
	return form.Has("client_assertion") || form.Has("client_assertion_type")
}

// assertedClient returns the client that the assertion in a request proves to have
// sent it. Keys are those stored with the client's document. An assertion by a key
// that is not among them is 503 while newer ones may be on their way, else 401.
func (s *Server) assertedClient(ctx context.Context, r *http.Request, form url.Values) (*store.Client, error) {
	if form.Get("client_assertion_type") != assertionType {
		return nil, refuse(codeInvalidRequest, "client_assertion_type must be "+assertionType+".")
	}
	if form.Get("client_assertion") == "" {
		return nil, refuse(codeInvalidRequest, "client_assertion is missing.")
	}
	if r.Header.Get("Authorization") != "" || form.Has("client_secret") {
		return nil, refuse(codeInvalidRequest, "The client authenticates itself in more than one way (RFC 6749 §2.3).")
	}
	token, err := jwt.ParseSigned(form.Get("client_assertion"), assertionAlgorithms)
	if err != nil {
		return nil, unauthenticated(badAssertion, err)
	}
	var claimed jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claimed); err != nil {
		return nil, unauthenticated(badAssertion, err)
	}
	// client_id is optional beside an assertion (RFC 7521 §4.2).
	id := claimed.Subject
	if form.Has("client_id") && form.Get("client_id") != id {
		return nil, unauthenticated(badAssertion, errors.New("sub is not client_id"))
	}
	c, err := s.Store.Client(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unauthenticated("The client is not known.", nil)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if c.AuthMethod != store.AuthMethodPrivateKeyJWT {
		return nil, unauthenticated("The client does not authenticate itself by private_key_jwt.", nil)
	}
	claims, err := s.verifyAssertion(ctx, c, token)
	if err != nil {
		return nil, err
	}
	if claims.Expiry == nil {
		return nil, unauthenticated(badAssertion, errors.New("exp is missing"))
	}
	if claims.ID == "" {
		return nil, unauthenticated(badAssertion, errors.New("jti is missing"))
	}
	now := s.Now()
	err = claims.ValidateWithLeeway(jwt.Expected{
		Issuer:  c.ID,
		Subject: c.ID,
		// The issuer is what newer clients name; RFC 7523 §3 has the token endpoint,
		// and RFC 9126 §2 the endpoint at hand.
		AnyAudience: jwt.Audience{s.PublicURL, s.PublicURL + "/oauth/token", s.PublicURL + r.URL.Path},
		Time:        now,
	}, assertionLeeway)
	if err != nil {
		return nil, unauthenticated(badAssertion, err)
	}
	if claims.Expiry.Time().After(now.Add(maxAssertionLifetime)) {
		return nil, unauthenticated("The client assertion is good for longer than a day.", nil)
	}
	err = s.Store.UseAssertion(ctx, c.ID, secret.Hash(claims.ID), claims.Expiry.Time().Add(assertionLeeway))
	if errors.Is(err, store.ErrConflict) {
		return nil, unauthenticated(badAssertion, errors.New("jti was used before"))
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return c, nil
}

// verifyAssertion returns the claims of an assertion that one of the client's keys
// has signed.
func (s *Server) verifyAssertion(ctx context.Context, c *store.Client, token *jwt.JSONWebToken) (*jwt.Claims, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(c.KeySet, &set); err != nil {
		return nil, err
	}
	header := token.Headers[0]
	keys := set.Keys
	if header.KeyID != "" {
		keys = set.Key(header.KeyID)
	}
	if len(keys) == 0 {
		pending, err := s.Documents.refetchKeys(ctx, c)
		if err != nil {
			return nil, err
		}
		if pending {
			return nil, unavailable(errors.New("an assertion by a key that is not known yet"))
		}
		return nil, unauthenticated("The client has no such key (kid).", nil)
	}
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		var claims jwt.Claims
		if token.Claims(key.Key, &claims) == nil {
			return &claims, nil
		}
	}
	return nil, unauthenticated(badAssertion, errors.New("no key of the client's has signed it"))
}

// unauthenticated is a client that is not who it says (RFC 6749 §5.2).
func unauthenticated(description string, err error) error {
	return &Error{Status: http.StatusUnauthorized, Code: codeInvalidClient, Description: description, Err: err}
}
