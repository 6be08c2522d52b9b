package authz

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/store"
)

// CodeLifetime is how long an authorization code may be redeemed. RFC 6749
// §4.1.2 allows ten minutes; clients redeem at once, so a minute is generous.
const CodeLifetime = time.Minute

// tokens is a successful token response (RFC 6749 §5.1).
type tokens struct {
	access    string
	refresh   string // empty if the person did not grant offline_access
	scopes    []string
	expiresIn time.Duration
}

// token serves the token endpoint (RFC 6749 §3.2).
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	switch form.Get("grant_type") {
	case "":
		return refuse(codeInvalidRequest, "grant_type is missing.")
	case store.GrantCode, store.GrantRefresh:
	default:
		return refuse(codeUnsupportedGrantType, "grant_type must be authorization_code or refresh_token.")
	}
	if err := namesClient(r, form); err != nil {
		return err
	}
	// What is refused above and right below costs nothing; but somebody who guesses
	// is counted.
	connection, refusal := s.presented(form)
	if err := s.Limits.perHolder(r, connection, refusal == nil, rules.token, rules.tokenStranger); err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	answer, err := s.oauth.token(r.Context(), r)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// presented returns the connection of the code or refresh token that a request
// brings, or refuses what we never made, before anything is asked of the database.
func (s *Server) presented(form url.Values) (uuid.UUID, error) {
	if form.Get("grant_type") == store.GrantCode {
		return s.presentedCode(form)
	}
	token, err := s.presentedRefreshToken(form)
	return token.connection, err
}

// namesClient refuses a request that does not say which client sends it (RFC 6749
// §5.2 counts that as invalid_client).
func namesClient(r *http.Request, form url.Values) error {
	if r.Header.Get("Authorization") == "" && form.Get("client_id") == "" && form.Get("client_assertion") == "" {
		return &Error{Status: http.StatusUnauthorized, Code: codeInvalidClient, Description: "The client did not say who it is (client_id)."}
	}
	if id, _, ok := r.BasicAuth(); ok && form.Has("client_id") {
		if id, err := url.QueryUnescape(id); err != nil || id != form.Get("client_id") {
			return refuse(codeInvalidRequest, "The client says in the header that it is one client, and in the body another.")
		}
	}
	return nil
}

// issue signs an access token for a connection, with scopes of its own.
func (s *Server) issue(c *store.Connection, scopes []string, refresh string, now time.Time) (*tokens, error) {
	expires := now.Add(s.AccessTokenTTL)
	if c.ExpiresAt.Before(expires) {
		expires = c.ExpiresAt // a token does not outlive its connection
	}
	access, err := accesstoken.Sign(accesstoken.Claims{
		Issuer:       s.PublicURL,
		Subject:      c.UserID,
		Audience:     c.Resource,
		ClientID:     c.ClientID,
		Scopes:       slices.DeleteFunc(slices.Clone(scopes), func(name string) bool { return name == store.ScopeOfflineAccess }),
		OrgID:        c.OrgID,
		ConnectionID: c.ID,
		Epoch:        c.Epoch,
		ID:           uuid.NewString(),
		IssuedAt:     now,
		ExpiresAt:    expires,
	}, s.Keys.signing())
	if err != nil {
		return nil, err
	}
	return &tokens{access: access, refresh: refresh, scopes: scopes, expiresIn: expires.Sub(now)}, nil
}

// refreshExpiry is when a refresh token that is made now dies unused.
func (s *Server) refreshExpiry(now time.Time) time.Time { return now.Add(s.RefreshIdleTTL) }
