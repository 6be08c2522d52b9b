package clerkdev

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// codeLifetime is how long Clerk lets an authorization code live.
const codeLifetime = 10 * time.Minute

// minState is the shortest state that Clerk accepts.
const minState = 8

// cookieName differs from every cookie of the product: browsers do not keep
// the ports of one host apart.
const cookieName = "clerkdev_client"

// session is a browser that is signed in at the development Clerk.
type session struct {
	id        string // sess_…
	clientID  string // client_…, which Clerk calls the browser
	userID    string
	startedAt time.Time
}

// scopes are those that Clerk has built in.
var scopes = []string{"openid", "profile", "email", "public_metadata", "private_metadata", "offline_access", "user:org:read"}

// discovery serves the provider's metadata (OpenID Connect Discovery §4.2),
// with Clerk's members in Clerk's order. Of their values those are left out that
// nothing here stands behind: form_post, public clients, org_id.
func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, struct {
		Issuer                string   `json:"issuer"`
		AuthorizationEndpoint string   `json:"authorization_endpoint"`
		TokenEndpoint         string   `json:"token_endpoint"`
		RevocationEndpoint    string   `json:"revocation_endpoint"`
		IntrospectionEndpoint string   `json:"introspection_endpoint"`
		UserinfoEndpoint      string   `json:"userinfo_endpoint"`
		JWKSURI               string   `json:"jwks_uri"`
		Scopes                []string `json:"scopes_supported"`
		ResponseTypes         []string `json:"response_types_supported"`
		ResponseModes         []string `json:"response_modes_supported"`
		GrantTypes            []string `json:"grant_types_supported"`
		SubjectTypes          []string `json:"subject_types_supported"`
		IDTokenAlgs           []string `json:"id_token_signing_alg_values_supported"`
		TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
		Claims                []string `json:"claims_supported"`
		ChallengeMethods      []string `json:"code_challenge_methods_supported"`
		BackchannelLogout     bool     `json:"backchannel_logout_supported"`
		FrontchannelLogout    bool     `json:"frontchannel_logout_supported"`
	}{
		Issuer:                s.url,
		AuthorizationEndpoint: s.url + "/oauth/authorize",
		TokenEndpoint:         s.url + "/oauth/token",
		RevocationEndpoint:    s.url + "/oauth/token/revoke",
		IntrospectionEndpoint: s.url + "/oauth/token_info",
		UserinfoEndpoint:      s.url + "/oauth/userinfo",
		JWKSURI:               s.url + "/.well-known/jwks.json",
		Scopes:                scopes,
		ResponseTypes:         []string{"code"},
		ResponseModes:         []string{"query"},
		GrantTypes:            []string{"authorization_code", "refresh_token"},
		SubjectTypes:          []string{"public"},
		IDTokenAlgs:           []string{"RS256"},
		TokenAuthMethods:      []string{"client_secret_basic", "client_secret_post"},
		Claims:                []string{"sub", "iss", "aud", "exp", "iat", "email", "name"},
		ChallengeMethods:      []string{"S256"},
	})
}

// jwks serves the public half of this run's key.
func (s *Server) jwks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.key.Public()}})
}

// authorizeRequest is an authorization request whose client and redirect URI
// are known good: an answer may go to the redirect URI.
type authorizeRequest struct {
	raw         string // the query it came as
	redirectURI string
	state       string
	scope       string
	nonce       string
	challenge   string
	prompt      string
}

// parseAuthorize returns a request that may be answered at its redirect URI,
// and the refusal to send there, if any. Where the client or the redirect URI
// is not known nothing may be sent anywhere: there is only a problem, a
// sentence for the person.
func (s *Server) parseAuthorize(raw string) (_ *authorizeRequest, refusal *oauthError, problem string) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, nil, "The request's query is malformed."
	}
	if q.Get("client_id") != s.config.ClientID || len(q["client_id"]) != 1 {
		return nil, nil, fmt.Sprintf("No OAuth application has the client id %q.", q.Get("client_id"))
	}
	if !slices.Contains(s.config.RedirectURIs, q.Get("redirect_uri")) || len(q["redirect_uri"]) != 1 {
		return nil, nil, fmt.Sprintf("The redirect URI %q is not registered for this application. Registered: %s.",
			q.Get("redirect_uri"), strings.Join(s.config.RedirectURIs, ", "))
	}
	request := &authorizeRequest{
		raw:         raw,
		redirectURI: q.Get("redirect_uri"),
		state:       q.Get("state"),
		scope:       q.Get("scope"),
		nonce:       q.Get("nonce"),
		challenge:   q.Get("code_challenge"),
		prompt:      q.Get("prompt"),
	}
	if request.scope == "" {
		request.scope = "profile email"
	}
	return request, request.refuse(q), ""
}

// refuse returns why Clerk would refuse the request, or nil.
func (a *authorizeRequest) refuse(q url.Values) *oauthError {
	for name, values := range q {
		if len(values) > 1 { // RFC 6749 §3.1
			return &oauthError{Code: "invalid_request", Description: name + " is given more than once"}
		}
	}
	if q.Get("response_type") != "code" {
		return &oauthError{Code: "unsupported_response_type", Description: "response_type must be code"}
	}
	if mode := q.Get("response_mode"); mode != "" && mode != "query" {
		return &oauthError{Code: "invalid_request", Description: "response_mode must be query"}
	}
	if len(a.state) < minState {
		return &oauthError{Code: "invalid_request", Description: fmt.Sprintf("state must have at least %d characters", minState)}
	}
	if q.Get("code_challenge_method") != "S256" {
		return &oauthError{Code: "invalid_request", Description: "code_challenge_method must be S256"}
	}
	if len(a.challenge) != 43 { // base64url of a SHA-256 (RFC 7636 §4.2)
		return &oauthError{Code: "invalid_request", Description: "code_challenge must be the base64url of a SHA-256"}
	}
	for scope := range strings.FieldsSeq(a.scope) {
		if !slices.Contains(scopes, scope) {
			return &oauthError{Code: "invalid_scope", Description: "unknown scope " + scope}
		}
	}
	switch a.prompt {
	case "", "none", "login", "consent":
		return nil
	}
	return &oauthError{Code: "invalid_request", Description: "prompt must be none, login or consent"}
}

// authorize is the authorization endpoint. A browser that is signed in here
// gets its code at once, the others the sign-in page.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	request, refusal, problem := s.parseAuthorize(r.URL.RawQuery)
	if problem != "" {
		s.errorPage(w, http.StatusBadRequest, problem)
		return
	}
	if refusal != nil {
		request.redirect(w, r, "error", refusal.Code, "error_description", refusal.Description)
		return
	}
	person, signedIn := s.signedIn(r)
	switch {
	case request.prompt == "none" && !signedIn:
		request.redirect(w, r, "error", "login_required", "error_description", "nobody is signed in")
	case request.prompt == "consent" && signedIn:
		s.signInPage(w, http.StatusOK, request, &person, "")
	case request.prompt == "login" || !signedIn:
		s.signInPage(w, http.StatusOK, request, nil, "")
	default:
		s.answerWithCode(w, r, request, person)
	}
}

// signIn is where the buttons of the sign-in page lead.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		s.errorPage(w, http.StatusBadRequest, "The form is malformed.")
		return
	}
	request, refusal, problem := s.parseAuthorize(r.PostForm.Get("request"))
	if problem != "" {
		s.errorPage(w, http.StatusBadRequest, problem)
		return
	}
	if refusal != nil {
		request.redirect(w, r, "error", refusal.Code, "error_description", refusal.Description)
		return
	}
	if r.PostForm.Has("cancel") {
		request.redirect(w, r, "error", "access_denied", "error_description", "the person cancelled")
		return
	}
	person, ok := s.findPerson(byUserID(r.PostForm.Get("user")))
	if !ok {
		s.signInPage(w, http.StatusNotFound, request, nil, "That account does not exist any more.")
		return
	}
	if person.mayNotSignIn() {
		s.signInPage(w, http.StatusForbidden, request, nil, person.Email+" is banned and cannot sign in.")
		return
	}
	s.startSession(w, r, person)
	s.answerWithCode(w, r, request, person)
}

// answerWithCode sends the browser back with a code for person.
func (s *Server) answerWithCode(w http.ResponseWriter, r *http.Request, request *authorizeRequest, person Person) {
	now := s.config.Now()
	code := rand.Text()
	s.mu.Lock()
	dropExpired(s.codes, now)
	s.codes[code] = grant{
		userID:      person.ID,
		scope:       request.scope,
		nonce:       request.nonce,
		challenge:   request.challenge,
		redirectURI: request.redirectURI,
		issued:      now,
		expires:     now.Add(codeLifetime),
	}
	s.mu.Unlock()
	request.redirect(w, r, "code", code)
}

// redirect answers at the redirect URI with the given names and values, and
// the state.
func (a *authorizeRequest) redirect(w http.ResponseWriter, r *http.Request, pairs ...string) {
	u, err := url.Parse(a.redirectURI)
	if err != nil { // a configured URI that is not one
		http.Error(w, "the registered redirect URI is malformed", http.StatusInternalServerError)
		return
	}
	q := u.Query()
	for pair := range slices.Chunk(pairs, 2) {
		q.Set(pair[0], pair[1])
	}
	if a.state != "" {
		q.Set("state", a.state)
	}
	u.RawQuery = q.Encode()
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}

// signedIn returns who is signed in in this browser and may be.
func (s *Server) signedIn(r *http.Request) (Person, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return Person{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	person := s.directory.person(byUserID(s.sessions[cookie.Value].userID))
	if person == nil || person.mayNotSignIn() {
		return Person{}, false
	}
	return *person, true
}

func (s *Server) newSession(userID string) session {
	return session{id: newID("sess_"), clientID: newID("client_"), userID: userID, startedAt: s.config.Now()}
}

// startSession signs person in in this browser, and whoever was out.
func (s *Server) startSession(w http.ResponseWriter, r *http.Request, person Person) {
	value := rand.Text()
	s.mu.Lock()
	if old, err := r.Cookie(cookieName); err == nil {
		delete(s.sessions, old.Value)
	}
	s.sessions[value] = s.newSession(person.ID)
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name:     cookieName,
		Value:    value,
		Path:     "/",
		HttpOnly: true,
		// Lax: the browser comes from the product's origin and must bring it.
		SameSite: http.SameSiteLaxMode,
		Secure:   strings.HasPrefix(s.url, "https://"),
	})
}

func (s *Server) findPerson(is func(Person) bool) (Person, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if person := s.directory.person(is); person != nil {
		return *person, true
	}
	return Person{}, false
}

// newID returns an id as Clerk makes them: the prefix and 27 letters or digits.
func newID(prefix string) string { return prefix + "2" + rand.Text() }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader is gone; nobody to tell
}
