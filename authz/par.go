package authz

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
)

// requestURIPrefix begins the request URIs that we hand out (RFC 9126 §2.2).
const requestURIPrefix = "urn:ietf:params:oauth:request_uri:"

// pushed is the answer to a pushed authorization request (RFC 9126 §2.2).
type pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int    `json:"expires_in"` // seconds
}

// par serves the pushed authorization request endpoint (RFC 9126 §2): a client
// leaves its authorization request with us and sends the person's browser here
// with a URI that stands for it. Client authentication is the token endpoint's,
// validation is the authorization endpoint's; nothing is stored before both are
// done.
func (s *Server) par(w http.ResponseWriter, r *http.Request) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	if err := namesClient(r, form); err != nil {
		return err
	}
	client, err := s.oauth.authenticate(r.Context(), r)
	if err != nil {
		return err
	}
	if form, err = parameters(form); err != nil {
		return err
	}
	if form.Has("request_uri") {
		return refuse(codeInvalidRequest, "A pushed request cannot refer to another by request_uri (RFC 9126 §2.1).")
	}
	for _, credential := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		form.Del(credential)
	}
	form.Set("client_id", client.ID) // who authenticates by a header need not repeat it
	to, err := s.parseDestination(r.Context(), form)
	if err != nil {
		return err
	}
	if _, err := s.parseAuthorizationRequest(r.Context(), to, form); err != nil {
		return err
	}
	requestURI := secret.New(requestURIPrefix)
	if err := s.Store.CreatePushedRequest(r.Context(), secret.Hash(requestURI), client.ID, form.Encode(), s.Now()); err != nil {
		return unavailable(err)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusCreated, pushed{requestURI, int(store.PushedRequestLifetime / time.Second)})
	return nil
}

// isPushed reports whether an authorization request stands for one that was
// pushed. Any other request_uri would be the client's own (RFC 9101), which we
// do not fetch.
func isPushed(form url.Values) bool {
	return len(form["request_uri"]) == 1 && strings.HasPrefix(form.Get("request_uri"), requestURIPrefix)
}

// takePushed returns the parameters of the pushed request that form stands for,
// once. Besides client_id, what else is in form does not count (RFC 9126 §4, RFC
// 9101 §5). Its errors are for the person: without the request nobody knows
// where to redirect to.
func (s *Server) takePushed(ctx context.Context, form url.Values) (url.Values, error) {
	if len(form["client_id"]) != 1 {
		return nil, refuse(codeInvalidRequest, "The app did not say, once, who it is (client_id).")
	}
	taken, err := s.Store.TakePushedRequest(ctx, secret.Hash(form.Get("request_uri")), form.Get("client_id"), s.Now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse(codeInvalidRequest, "The app’s request has been used already or has expired, or another app made it (request_uri).")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return url.ParseQuery(taken)
}
