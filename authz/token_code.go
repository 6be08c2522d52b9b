package authz

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
)

// codeVerifier is the shape of a PKCE verifier (RFC 7636 §4.1).
var codeVerifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// badCode is the one answer to every code that cannot be redeemed, whatever is
// wrong with it: a stranger learns nothing (RFC 6749 §5.2).
const badCode = "The code is unknown, spent, expired, or not for this client, redirect URI or verifier."

// redeemCode answers grant_type=authorization_code (RFC 6749 §4.1.3, RFC 7636
// §4.6). A wrong verifier, client or redirect URI neither spends the code nor
// revokes anything; a replay of a spent code by its own client, verifier and
// all, revokes the connection.
func (s *Server) redeemCode(ctx context.Context, c *store.Client, form url.Values) (*tokens, error) {
	connectionID, err := s.presentedCode(form)
	if err != nil {
		return nil, err
	}
	verifier := form.Get("code_verifier")
	if verifier == "" {
		return nil, refuse(codeInvalidRequest, "code_verifier is missing: PKCE is required (RFC 7636).")
	}
	if !codeVerifier.MatchString(verifier) {
		return nil, refuse(codeInvalidGrant, badCode)
	}
	if _, err := s.resource.canonical(form.Get("resource")); err != nil {
		return nil, err
	}
	now := s.Now()
	first := s.Keys.newRefreshToken(connectionID, 0)
	challenge := sha256.Sum256([]byte(verifier))
	issued, err := s.Store.RedeemCode(ctx, store.CodeRedemption{
		CodeHash:         secret.Hash(form.Get("code")),
		ConnectionID:     connectionID,
		ClientID:         c.ID,
		RedirectURI:      form.Get("redirect_uri"),
		CodeChallenge:    base64.RawURLEncoding.EncodeToString(challenge[:]),
		RefreshHash:      first.hash(),
		RefreshExpiresAt: s.refreshExpiry(now),
		Supersedes:       supersedes,
	}, now)
	if issued != nil && len(issued.Revoked) > 0 {
		s.Revocations.Publish(ctx, issued.Revoked...)
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrReused) {
		return nil, refuse(codeInvalidGrant, badCode)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	refresh := ""
	if slices.Contains(issued.Connection.Scopes, store.ScopeOfflineAccess) {
		refresh = first.text
	}
	return s.issue(issued.Connection, issued.Connection.Scopes, refresh, now)
}

// presentedCode returns the connection of the code in a token request.
func (s *Server) presentedCode(form url.Values) (uuid.UUID, error) {
	code := form.Get("code")
	if code == "" {
		return uuid.Nil, refuse(codeInvalidRequest, "code is missing.")
	}
	connection, ours := s.Keys.codeConnection(code)
	if !ours {
		return uuid.Nil, refuse(codeInvalidGrant, badCode)
	}
	return connection, nil
}
