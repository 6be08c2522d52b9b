package authz

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// maxAuthorizationRequest bounds the parameters of an authorization request, in
// bytes, form-encoded. They are stored, and state comes back in a URL.
const maxAuthorizationRequest = 8 << 10

// authorizeTrip is the kind of trip that an authorization request makes through
// the browser that brought it.
const authorizeTrip = "authorize"

// s256Challenge is what RFC 7636 §4.2 makes of a verifier: base64url of a SHA-256.
var s256Challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// destination is where the answer to an authorization request may be sent: a
// known client, and a redirect URI of its own. Only parseDestination makes one,
// so that nothing is ever sent to a URI that was not checked.
type destination struct {
	client      *store.Client
	redirectURI string
	state       string
}

// authorizationRequest is an authorization request (RFC 6749 §4.1.1) whose
// every parameter is known good.
type authorizationRequest struct {
	destination
	form          url.Values
	identity      identity
	scopes        []store.Scope // to be offered, in the consent page's order
	resource      string        // canonical (RFC 8707)
	codeChallenge string        // S256 (RFC 7636)
	signInAnew    bool          // prompt=login or select_account
}

// authorize serves the authorization endpoint (RFC 6749 §3.1). It stores the
// request and sends the person on to the consent page, by way of signing in if
// need be.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) error {
	form, err := authorizationForm(r)
	if err != nil {
		return err
	}
	if isPushed(form) {
		if form, err = s.takePushed(r.Context(), form); err != nil {
			return err
		}
	}
	to, err := s.parseDestination(r.Context(), form)
	if err != nil {
		return err
	}
	request, err := s.parseAuthorizationRequest(r.Context(), to, form)
	if err != nil {
		return s.refuseAtClient(w, r, to, err)
	}
	handle := secret.New("")
	browser := s.jar.Begin(w, r, authorizeTrip, handle, store.AuthorizationRequestLifetime)
	err = s.Store.CreateAuthorizationRequest(r.Context(), secret.Hash(handle), secret.Hash(browser),
		store.AuthorizationRequest{ClientID: to.client.ID, Form: form.Encode(), SignInAnew: request.signInAnew}, s.Now())
	if err != nil {
		return unavailable(err)
	}
	next := consentURL(handle)
	if request.signInAnew {
		next = signInURL(next, true)
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// authorizationForm returns the parameters of an authorization request, which
// come in the query or, by POST, in the body (RFC 6749 §3.1).
func authorizationForm(r *http.Request) (url.Values, error) {
	if r.Method == http.MethodPost {
		form, err := bodyForm(r)
		if err != nil {
			return nil, err
		}
		return parameters(form)
	}
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(codeInvalidRequest, "The app sent a request that cannot be read.")
	}
	return parameters(form)
}

// parameters returns the parameters of an authorization request as they are
// kept: text, not too long, and absent where they have no value (RFC 6749 §3.1).
func parameters(sent url.Values) (url.Values, error) {
	form := url.Values{}
	for name, values := range sent {
		for _, value := range values {
			if value != "" {
				form.Add(name, value)
			}
		}
	}
	if !isText(form) {
		return nil, refuse(codeInvalidRequest, notText)
	}
	if len(form.Encode()) > maxAuthorizationRequest {
		return nil, refuse(codeInvalidRequest, "The app sent a request that is too long.")
	}
	return form, nil
}

// parseDestination checks the client and the redirect URI. Its errors are for
// the person: there is nowhere safe to redirect to (RFC 6749 §4.1.2.1).
func (s *Server) parseDestination(ctx context.Context, form url.Values) (destination, error) {
	if len(form["client_id"]) > 1 || len(form["redirect_uri"]) > 1 {
		return destination{}, refuse(codeInvalidRequest, "The app named itself, or where to return to, more than once.")
	}
	id := form.Get("client_id")
	if id == "" {
		return destination{}, refuse(codeInvalidRequest, "The app did not say who it is (client_id is missing).")
	}
	c, err := s.client(ctx, id)
	if err != nil {
		return destination{}, err
	}
	redirectURI := form.Get("redirect_uri")
	if redirectURI == "" && len(c.RedirectURIs) == 1 {
		redirectURI = c.RedirectURIs[0] // RFC 6749 §3.1.2.3
	}
	if redirectURI == "" {
		return destination{}, refuse(codeInvalidRequest, "The app did not say where to return to (redirect_uri is missing).")
	}
	if !matchRedirectURI(c.RedirectURIs, redirectURI) {
		return destination{}, refuse(codeInvalidRequest, "The app wants to return to an address that it did not register (redirect_uri).")
	}
	state := ""
	if len(form["state"]) == 1 {
		state = form.Get("state")
	}
	return destination{client: c, redirectURI: redirectURI, state: state}, nil
}

// parseAuthorizationRequest checks what is left. Its errors go to the client.
func (s *Server) parseAuthorizationRequest(ctx context.Context, to destination, form url.Values) (*authorizationRequest, error) {
	if name, twice := repeated(form); twice {
		return nil, refuse(codeInvalidRequest, "The parameter "+name+" is there more than once.")
	}
	if form.Has("request") {
		return nil, refuse(codeRequestNotSupported, "Request objects are not supported (RFC 9101).")
	}
	if form.Has("request_uri") {
		return nil, refuse(codeRequestURINotSupported, "request_uri must be one that /oauth/par has returned.")
	}
	if form.Get("response_type") == "" {
		return nil, refuse(codeInvalidRequest, "response_type is missing.")
	}
	if form.Get("response_type") != store.ResponseTypeCode {
		return nil, refuse(codeUnsupportedResponseType, "response_type must be code.")
	}
	if mode := form.Get("response_mode"); mode != "" && mode != "query" {
		return nil, refuse(codeInvalidRequest, "response_mode must be query.")
	}
	if form.Get("code_challenge") == "" {
		return nil, refuse(codeInvalidRequest, "code_challenge is missing: PKCE is required (RFC 7636).")
	}
	if form.Get("code_challenge_method") != "S256" {
		return nil, refuse(codeInvalidRequest, "code_challenge_method must be S256.")
	}
	if !s256Challenge.MatchString(form.Get("code_challenge")) {
		return nil, refuse(codeInvalidRequest, "code_challenge is not the base64url of a SHA-256.")
	}
	resource, err := s.resource.canonical(form.Get("resource"))
	if err != nil {
		return nil, err
	}
	// Other values of prompt than these ask for nothing that we do not do anyway.
	prompts := strings.Fields(form.Get("prompt"))
	if slices.Contains(prompts, "none") && len(prompts) > 1 {
		return nil, refuse(codeInvalidRequest, "prompt=none cannot stand beside another value.")
	}
	if slices.Contains(prompts, "none") {
		return nil, refuse(codeConsentRequired, "Consent is asked for each time, so prompt=none cannot succeed.")
	}
	request := &authorizationRequest{
		destination:   to,
		form:          form,
		identity:      identify(to.client, to.redirectURI),
		scopes:        offeredScopes(form.Get("scope"), to.client),
		resource:      resource,
		codeChallenge: form.Get("code_challenge"),
		signInAnew:    slices.Contains(prompts, "login") || slices.Contains(prompts, "select_account"),
	}
	return request, s.oauth.validate(ctx, request)
}

// answer returns the redirect that carries an authorization response, good or
// bad, with state as it came and iss (RFC 6749 §4.1.2, RFC 9207 §2).
func (s *Server) answer(to destination, parameters url.Values) string {
	parameters.Set("iss", s.PublicURL)
	parameters.Del("state")
	if to.state != "" {
		parameters.Set("state", to.state)
	}
	return withParameters(to.redirectURI, parameters)
}

// errorParameters are the parameters of RFC 6749 §4.1.2.1.
func errorParameters(e *Error) url.Values {
	return url.Values{"error": {e.Code}, "error_description": {plain(e.Description)}}
}

// refuseAtClient sends an error to the client that made the request. Nobody has
// pressed anything yet, so a browser is only sent on by itself where that cannot
// make us an open redirector: to the person's own computer and to clients that
// we know. To anywhere else the person goes by their own hand (RFC 9700 §4.11.2).
func (s *Server) refuseAtClient(w http.ResponseWriter, r *http.Request, to destination, err error) error {
	e := asError(err)
	logError(r, s.Log, e)
	location := s.answer(to, errorParameters(e))
	known := identify(to.client, to.redirectURI).Verified
	if _, local := withoutLoopbackPort(to.redirectURI); known || local {
		http.Redirect(w, r, location, http.StatusSeeOther)
		return nil
	}
	place, _ := ui.RedirectPlace(to.redirectURI)
	render(w, r, e.Status, refusedPage(refusedView{
		ClientName: displayName(to.client.Name),
		Target:     place,
		Message:    e.Description,
		Location:   location,
	}))
	return nil
}

// consentURL returns where the request of handle waits for its person.
func consentURL(handle string) string {
	return "/oauth/consent?" + url.Values{"request": {handle}}.Encode()
}

// signInURL returns where a person signs in and then comes back to a path of
// ours; another asks Clerk to let them choose an account.
func signInURL(returnTo string, another bool) string {
	query := url.Values{"return_to": {returnTo}}
	if another {
		query.Set("prompt", "login")
	}
	return "/sign-in?" + query.Encode()
}
