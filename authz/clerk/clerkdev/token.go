package clerkdev

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// Lifetimes of what Clerk issues.
const (
	accessTokenLifetime = 24 * time.Hour
	idTokenLifetime     = 24 * time.Hour
)

// grant is what a code, an access token or a refresh token stands for. nonce,
// challenge and redirectURI belong to codes.
type grant struct {
	userID      string
	scope       string
	nonce       string
	challenge   string
	redirectURI string
	issued      time.Time
	expires     time.Time // zero: never
}

func (g grant) has(scope string) bool { return slices.Contains(strings.Fields(g.scope), scope) }

func (g grant) expired(now time.Time) bool { return !g.expires.IsZero() && !now.Before(g.expires) }

// dropExpired keeps a long run from collecting what nobody can use any more.
func dropExpired(grants map[string]grant, now time.Time) {
	for key, g := range grants {
		if g.expired(now) {
			delete(grants, key)
		}
	}
}

// oauthError is an error response (RFC 6749 §5.2).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e *oauthError) write(w http.ResponseWriter) {
	status := http.StatusBadRequest
	if e.Code == "invalid_client" {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="clerk"`)
	}
	writeJSON(w, status, e)
}

// tokenResponse is the answer of the token endpoint.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	IDToken      string `json:"id_token,omitempty"`
}

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	form, refusal := s.clientForm(w, r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	var g grant
	switch form.Get("grant_type") {
	case "authorization_code":
		g, refusal = s.redeemCode(form)
	case "refresh_token":
		g, refusal = s.redeemRefresh(form.Get("refresh_token"))
	default:
		refusal = &oauthError{Code: "unsupported_grant_type"}
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.issue(w, g)
}

// clientForm reads the form of a request that must come from our one client,
// by HTTP Basic or by body parameters, not both (RFC 6749 §2.3).
func (s *Server) clientForm(w http.ResponseWriter, r *http.Request) (url.Values, *oauthError) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return nil, &oauthError{Code: "invalid_request", Description: "the form is malformed"}
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, &oauthError{Code: "invalid_request", Description: name + " is given more than once"}
		}
	}
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		if secret != "" {
			return nil, &oauthError{Code: "invalid_request", Description: "the client authenticates twice"}
		}
		// Both halves are form-encoded before they are joined (§2.3.1).
		var err1, err2 error
		id, err1 = url.QueryUnescape(user)
		secret, err2 = url.QueryUnescape(password)
		if err1 != nil || err2 != nil {
			return nil, &oauthError{Code: "invalid_client"}
		}
	}
	if !same(id, s.config.ClientID) {
		return nil, &oauthError{Code: "invalid_client"}
	}
	if !same(secret, s.config.ClientSecret) {
		return nil, &oauthError{Code: "invalid_client"}
	}
	return r.PostForm, nil
}

// redeemCode spends the code. The first presentation by the client spends it,
// even one that fails: of concurrent ones at most one succeeds.
func (s *Server) redeemCode(form url.Values) (grant, *oauthError) {
	s.mu.Lock()
	g, ok := s.codes[form.Get("code")]
	delete(s.codes, form.Get("code"))
	s.mu.Unlock()
	if !ok || g.expired(s.config.Now()) {
		return grant{}, &oauthError{Code: "invalid_grant", Description: "the code is unknown, used or expired"}
	}
	if form.Get("redirect_uri") != g.redirectURI {
		return grant{}, &oauthError{Code: "invalid_grant", Description: "redirect_uri differs from the authorization request's"}
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if !same(base64.RawURLEncoding.EncodeToString(sum[:]), g.challenge) {
		return grant{}, &oauthError{Code: "invalid_grant", Description: "code_verifier does not match"}
	}
	return g, nil
}

// redeemRefresh spends a refresh token; issue gives a new one in its place.
func (s *Server) redeemRefresh(token string) (grant, *oauthError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.refresh[token]
	delete(s.refresh, token)
	if !ok {
		return grant{}, &oauthError{Code: "invalid_grant", Description: "the refresh token is unknown or used"}
	}
	return g, nil
}

// issue answers with tokens for g: opaque ones, and an ID token if openid was
// asked for.
func (s *Server) issue(w http.ResponseWriter, g grant) {
	now := s.config.Now()
	person, ok := s.findPerson(byUserID(g.userID))
	if !ok || person.mayNotSignIn() {
		(&oauthError{Code: "invalid_grant", Description: "the person may not sign in any more"}).write(w)
		return
	}
	response := tokenResponse{
		AccessToken: "oat_" + rand.Text(),
		TokenType:   "Bearer",
		ExpiresIn:   int(accessTokenLifetime / time.Second),
		Scope:       g.scope,
	}
	if g.has("openid") {
		token, err := s.idToken(person, g, now)
		if err != nil {
			s.config.Log.Error("signing ID token", "err", err)
			http.Error(w, "signing failed", http.StatusInternalServerError)
			return
		}
		response.IDToken = token
	}
	issued := grant{userID: g.userID, scope: g.scope, issued: now}
	s.mu.Lock()
	if g.has("offline_access") {
		response.RefreshToken = "ort_" + rand.Text()
		s.refresh[response.RefreshToken] = issued
	}
	dropExpired(s.access, now)
	issued.expires = now.Add(accessTokenLifetime)
	s.access[response.AccessToken] = issued
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, response)
}

// identity is what Clerk says about a person in ID tokens and at userinfo.
type identity struct {
	Email         string `json:"email,omitempty"`
	EmailVerified *bool  `json:"email_verified,omitempty"`
	Name          string `json:"name,omitempty"`
	GivenName     string `json:"given_name,omitempty"`
	FamilyName    string `json:"family_name,omitempty"`
	Username      string `json:"preferred_username,omitempty"`
}

// identityOf is what g's scopes let the client see of p.
func identityOf(p Person, g grant) (i identity) {
	if g.has("profile") {
		i.Name, i.GivenName, i.FamilyName, i.Username = p.name(), p.FirstName, p.LastName, p.Email
	}
	if g.has("email") {
		verified := !p.EmailUnverified
		i.Email, i.EmailVerified = p.Email, &verified
	}
	return i
}

// idToken signs the ID token (OpenID Connect Core §2), with the claims that
// Clerk documents and no others.
func (s *Server) idToken(p Person, g grant, now time.Time) (string, error) {
	return jwt.Signed(s.signer).Claims(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		Expires  int64  `json:"exp"`
		IssuedAt int64  `json:"iat"`
		ID       string `json:"jti"`
		Nonce    string `json:"nonce,omitempty"`
		identity
	}{
		Issuer:   s.url,
		Subject:  p.ID,
		Audience: s.config.ClientID,
		Expires:  now.Add(idTokenLifetime).Unix(),
		IssuedAt: now.Unix(),
		ID:       rand.Text(),
		Nonce:    g.nonce,
		identity: identityOf(p, g),
	}).Serialize()
}

// userinfo serves the claims of the person an access token stands for.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g, ok := s.accessGrant(token)
	person, known := s.findPerson(byUserID(g.userID))
	if !ok || !known || person.mayNotSignIn() {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, oauthError{Code: "invalid_token"})
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Object     string `json:"object"`
		InstanceID string `json:"instance_id"`
		UserID     string `json:"user_id"`
		Subject    string `json:"sub"`
		identity
	}{"oauth_user_info", InstanceID, person.ID, person.ID, identityOf(person, g)})
}

// tokenInfo says what an access token stands for (RFC 7662).
func (s *Server) tokenInfo(w http.ResponseWriter, r *http.Request) {
	form, refusal := s.clientForm(w, r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	g, ok := s.accessGrant(form.Get("token"))
	if !ok {
		writeJSON(w, http.StatusOK, map[string]bool{"active": false})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"active":    true,
		"client_id": s.config.ClientID,
		"sub":       g.userID,
		"scope":     g.scope,
		"iat":       g.issued.Unix(),
		"exp":       g.expires.Unix(),
	})
}

// revokeToken forgets an access or refresh token (RFC 7009).
func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request) {
	form, refusal := s.clientForm(w, r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mu.Lock()
	delete(s.access, form.Get("token"))
	delete(s.refresh, form.Get("token"))
	s.mu.Unlock()
	w.WriteHeader(http.StatusOK)
}

// accessGrant returns what a live access token stands for.
func (s *Server) accessGrant(token string) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.access[token]
	return g, ok && !g.expired(s.config.Now())
}

// same compares secrets in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
