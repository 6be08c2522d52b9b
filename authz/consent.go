package authz

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// showConsent serves the consent page: who asks, where the answer goes, which
// organization, what the client may do. Consent is bound to the browser that
// brought the request, to the person who looks at it, to one client and one
// redirect URI; it is asked each time and never remembered.
func (s *Server) showConsent(w http.ResponseWriter, r *http.Request) error {
	handle := r.URL.Query().Get("request")
	session, err := s.Sessions.Session(r)
	if errors.Is(err, store.ErrNotFound) {
		http.Redirect(w, r, signInURL(consentURL(handle), false), http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	stored, err := s.Store.ShowAuthorizationRequest(r.Context(), secret.Hash(handle), secret.Hash(s.jar.Browser(r, authorizeTrip, handle)), session.UserID, s.Now())
	if err != nil {
		return waitingError(err)
	}
	if !stored.DecidableIn(session) {
		http.Redirect(w, r, signInURL(consentURL(handle), true), http.StatusSeeOther)
		return nil
	}
	request, err := s.reparse(r, stored)
	if err != nil {
		return err
	}
	return s.renderConsent(w, r, http.StatusOK, session, request, handle, decision{})
}

// decision is what a person posted.
type decision struct {
	orgID   string
	scopes  []string
	problem string // why the form is shown again
}

// decideConsent takes a person's answer.
func (s *Server) decideConsent(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return refuse(codeInvalidRequest, "The form could not be read. Go back and try again.")
	}
	handle := r.PostForm.Get("request")
	session, err := s.Sessions.Session(r)
	if errors.Is(err, store.ErrNotFound) {
		// Signed out meanwhile: back to the page, by way of signing in.
		http.Redirect(w, r, consentURL(handle), http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	stored, err := s.Store.PendingAuthorizationRequest(r.Context(), secret.Hash(handle), secret.Hash(s.jar.Browser(r, authorizeTrip, handle)), session.UserID, s.Now())
	if err != nil {
		return waitingError(err)
	}
	if !stored.DecidableIn(session) {
		http.Redirect(w, r, signInURL(consentURL(handle), true), http.StatusSeeOther)
		return nil
	}
	request, err := s.reparse(r, stored)
	if err != nil {
		return err
	}
	switch r.PostForm.Get("action") {
	case "deny":
		if err := s.Store.TakeAuthorizationRequest(r.Context(), s.decided(r, session, handle), s.Now()); err != nil {
			return waitingError(err)
		}
		denied := &Error{Code: codeAccessDenied, Description: "The person refused."}
		s.jar.End(w, authorizeTrip, handle)
		http.Redirect(w, r, s.answer(request.destination, errorParameters(denied)), http.StatusSeeOther)
		return nil
	case "allow":
		return s.allow(w, r, session, request, handle)
	}
	return refuse(codeInvalidRequest, "The form says neither Allow nor Deny.")
}

// allow makes the connection that a person has agreed to, if what they posted
// holds against what Clerk says of them now.
func (s *Server) allow(w http.ResponseWriter, r *http.Request, session *store.Session, request *authorizationRequest, handle string) error {
	posted := decision{orgID: r.PostForm.Get("org_id"), scopes: r.PostForm["scope"]}
	scopes, ok := chosenScopes(request.scopes, posted.scopes)
	if !ok {
		posted.problem = "Tick at least one thing that " + request.identity.Name + " may do, or choose Deny."
		return s.renderConsent(w, r, http.StatusUnprocessableEntity, session, request, handle, posted)
	}
	_, memberships, err := s.ask(r, session.UserID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(memberships, func(m store.Membership) bool { return m.ID == posted.orgID }) {
		posted.problem = "Choose one of your organizations."
		return s.renderConsent(w, r, http.StatusUnprocessableEntity, session, request, handle, posted)
	}
	refusals, err := s.Store.RefusedBy(r.Context(), []string{posted.orgID}, request.identity.Key, request.identity.Verified)
	if err != nil {
		return unavailable(err)
	}
	if len(refusals) > 0 {
		// Its administrators decided so since the page was shown: it tells why. What
		// they decide from here on is minded when the code is redeemed.
		posted.problem = "Choose another organization, or choose Deny."
		return s.renderConsent(w, r, http.StatusUnprocessableEntity, session, request, handle, posted)
	}
	now := s.Now()
	connection := store.Connection{
		ID:             uuid.Must(uuid.NewV7()),
		OrgID:          posted.orgID,
		UserID:         session.UserID,
		ClientID:       request.client.ID,
		ClientName:     request.identity.Name,
		ClientIdentity: request.identity.Key,
		ClientVerified: request.identity.Verified,
		RedirectURI:    request.redirectURI,
		Resource:       request.resource,
		Scopes:         scopes,
		ExpiresAt:      now.Add(s.ConnectionMaxAge),
	}
	response, err := s.oauth.issueCode(r.Context(), request, func() (string, error) {
		code := s.Keys.newCode(connection.ID)
		return code, s.Store.CreateGrant(r.Context(), store.Grant{
			Decision:      s.decided(r, session, handle),
			Connection:    connection,
			CodeHash:      secret.Hash(code),
			CodeChallenge: request.codeChallenge,
			CodeExpiresAt: now.Add(CodeLifetime),
		}, now)
	})
	if err != nil {
		return waitingError(err)
	}
	s.jar.End(w, authorizeTrip, handle)
	http.Redirect(w, r, s.answer(request.destination, response), http.StatusSeeOther)
	return nil
}

// decided names the request of handle as this person's, in this browser.
func (s *Server) decided(r *http.Request, session *store.Session, handle string) store.Decision {
	return store.Decision{
		HandleHash:  secret.Hash(handle),
		BrowserHash: secret.Hash(s.jar.Browser(r, authorizeTrip, handle)),
		UserID:      session.UserID,
	}
}

// waitingError turns the outcome of looking for a waiting request into what its
// person is told.
func waitingError(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return &Error{Status: http.StatusNotFound, Code: codeInvalidRequest, Err: err,
			Description: "This request has been answered already, has expired, or was begun in another browser. Start again from your app."}
	}
	if _, ours := errors.AsType[*Error](err); ours {
		return err
	}
	return unavailable(err)
}

// reparse reads a stored request anew: what was good when it came may no longer
// be, if the client has changed since.
func (s *Server) reparse(r *http.Request, stored *store.AuthorizationRequest) (*authorizationRequest, error) {
	form, err := url.ParseQuery(stored.Form)
	if err != nil {
		return nil, err
	}
	to, err := s.parseDestination(r.Context(), form)
	if err != nil {
		return nil, err
	}
	return s.parseAuthorizationRequest(r.Context(), to, form)
}

func (s *Server) renderConsent(w http.ResponseWriter, r *http.Request, status int, session *store.Session, request *authorizationRequest, handle string, posted decision) error {
	user, memberships, err := s.ask(r, session.UserID)
	if err != nil {
		return err
	}
	place, local := ui.RedirectPlace(request.redirectURI)
	view := ui.ConsentView{
		ClientName:       request.identity.Name,
		Verified:         request.identity.Verified,
		RedirectHost:     place,
		Loopback:         local,
		Error:            posted.problem,
		Handle:           handle,
		Action:           "/oauth/consent",
		SwitchAccountURL: signInURL(consentURL(handle), true),
		DocumentHost:     documentHost(request.client),
	}
	view.Account.Name, view.Account.Email = user.Name, user.Email
	orgIDs := make([]string, len(memberships))
	for i, m := range memberships {
		orgIDs[i] = m.ID
	}
	refusals, err := s.Store.RefusedBy(r.Context(), orgIDs, request.identity.Key, request.identity.Verified)
	if err != nil {
		return unavailable(err)
	}
	for _, m := range memberships {
		refusal, refused := refusals[m.ID]
		view.Orgs = append(view.Orgs, ui.OrgChoice{
			ID: m.ID, Name: m.Name, Checked: m.ID == posted.orgID || len(memberships) == 1,
			Disabled: refused, Reason: refusalWords(refusal, m.Name),
		})
	}
	for _, scope := range request.scopes {
		checked := scope.Ticked
		if posted.problem != "" {
			checked = slices.Contains(posted.scopes, scope.Name)
		}
		view.Scopes = append(view.Scopes, ui.ScopeChoice{Name: scope.Name, Words: scope.Words, Checked: checked})
	}
	// Chromium holds the redirect that answers a form to form-action as well.
	ui.SetHeaders(w.Header(), formActionSource(request.redirectURI))
	render(w, r, status, ui.Consent(view))
	return nil
}

// refusalWords says why the administrators of an organization do not let a client
// connect; of the empty refusal it says nothing.
func refusalWords(r store.Refusal, org string) string {
	switch r {
	case store.RefusedBlocked:
		return "The administrators of " + org + " have blocked this client."
	case store.RefusedUnverified:
		return "The administrators of " + org + " allow verified clients only."
	case store.RefusedNotOnList:
		return "The administrators of " + org + " have not put this client on their list."
	}
	return ""
}

// documentHost returns where a client describes itself, or "" if it registered.
func documentHost(c *store.Client) string {
	if c.Kind != store.ClientDocument {
		return ""
	}
	u, err := url.Parse(c.ID)
	if err != nil {
		return "" // not reached: the URL was checked
	}
	return u.Hostname()
}

// ask asks Clerk about a person, in this very request: an organization is offered
// and taken only on its word.
func (s *Server) ask(r *http.Request, userID string) (store.User, []store.Membership, error) {
	closed := &Error{Status: http.StatusForbidden, Code: codeAccessDenied, Description: "This account has been closed or suspended."}
	user, memberships, err := s.Directory.Sync(r.Context(), userID)
	if errors.Is(err, store.ErrNotFound) {
		return user, nil, closed
	}
	if err != nil {
		return user, nil, unavailable(err)
	}
	if user.Banned {
		return user, nil, closed
	}
	return user, memberships, nil
}

// formActionSource returns the source expression that lets a form's answer
// redirect to a redirect URI: an origin, or a scheme where it opens an app.
func formActionSource(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return "'none'" // not reached: the URI was checked
	}
	// A host source cannot name an IPv6 address (CSP Level 3 §2.3.1): then, too,
	// it is the whole scheme.
	if (u.Scheme == "http" || u.Scheme == "https") && !strings.HasPrefix(u.Host, "[") {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

// render writes a page. A browser that hung up is no error.
func render(w http.ResponseWriter, r *http.Request, status int, page templ.Component) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Render(r.Context(), w)
}
