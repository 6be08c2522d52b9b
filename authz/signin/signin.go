// Package signin signs people in through Clerk and keeps the browser session.
// It is an OpenID Connect client: authorization code flow with PKCE (RFC 7636),
// nonce and client secret. It takes from Clerk who the person is and throws
// Clerk's tokens away; the session after that is our own. That state and
// session are spent or ended once is store's guarantee; what a person may do is
// decided elsewhere.
package signin

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"scaling.cloud/mcp/authz/clerk"
	"scaling.cloud/mcp/authz/cookie"
	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// Config is what a Service is made of. Limit, Log, Now and HTTPClient may be nil,
// the others are required.
type Config struct {
	PublicURL string // our origin, without a trailing slash; never taken from a request
	Issuer    string // Clerk's Frontend API, byte for byte as its metadata has it

	// ClientID and ClientSecret are those of the OAuth application at Clerk,
	// whose one redirect URI is PublicURL + "/sign-in/callback".
	ClientID, ClientSecret string

	Directory *clerk.Directory
	Store     *store.Store
	// Limit refuses who begins too many sign-ins. Signing out is not limited.
	Limit      func(http.Handler) http.Handler // nil: nobody
	HTTPClient *http.Client                    // nil: one with a timeout of exchangeTimeout
	Log        *slog.Logger                    // nil: discards
	Now        func() time.Time                // nil: time.Now
}

// Service signs people in. It is safe for concurrent use.
type Service struct {
	Config
	discovering singleflight.Group
	discovered  atomic.Pointer[provider]
	jar         cookie.Jar
}

// sessionCookie holds the session's token, signInTrip ties a round trip to Clerk
// to the browser that began it.
const (
	sessionCookie = "session"
	signInTrip    = "signin"
)

// New returns a Service. It does not talk to Clerk: that happens when somebody
// signs in, so that a Clerk that is away does not keep the server from starting.
func New(c Config) *Service {
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{Timeout: exchangeTimeout}
	}
	if c.Limit == nil {
		c.Limit = func(next http.Handler) http.Handler { return next }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{Config: c, jar: cookie.NewJar(c.PublicURL)}
}

// Mount adds the routes to mux.
func (s *Service) Mount(mux *http.ServeMux) {
	mux.Handle("GET /sign-in", s.Limit(s.page(s.begin)))
	mux.Handle("GET /sign-in/callback", s.Limit(s.page(s.callback)))
	mux.Handle("POST /sign-out", ui.SameOrigin(s.page(s.signOut)))
}

// Session returns the session of the browser that sent r, or store.ErrNotFound
// when nobody is signed in there.
func (s *Service) Session(r *http.Request) (*store.Session, error) {
	token := s.jar.Value(r, sessionCookie)
	if token == "" {
		return nil, store.ErrNotFound
	}
	return s.Store.Session(r.Context(), secret.Hash(token), s.Now())
}

// startSession signs userID in in this browser. The session gets a new id each
// time, so that one planted before signing in is worth nothing, and the one
// before it ends.
func (s *Service) startSession(ctx context.Context, w http.ResponseWriter, r *http.Request, userID string, prompted bool) error {
	token := secret.New("")
	if err := s.Store.CreateSession(ctx, secret.Hash(token), userID, prompted, s.Now()); err != nil {
		return err
	}
	if old := s.jar.Value(r, sessionCookie); old != "" {
		if err := s.Store.DeleteSession(ctx, secret.Hash(old)); err != nil {
			return err
		}
	}
	s.jar.Set(w, sessionCookie, token, store.SessionMaxAge)
	return nil
}

// signOut ends the browser's session. Clerk's own goes on: signing in again is
// silent unless another account is asked for.
func (s *Service) signOut(w http.ResponseWriter, r *http.Request) error {
	if token := s.jar.Value(r, sessionCookie); token != "" {
		if err := s.Store.DeleteSession(r.Context(), secret.Hash(token)); err != nil {
			return &refusal{
				status:  http.StatusInternalServerError,
				title:   "You are still signed in",
				message: "Signing out did not work. Please go back and try it again.",
				err:     err,
			}
		}
	}
	s.jar.Delete(w, sessionCookie)
	http.Redirect(w, r, s.PublicURL+"/", http.StatusSeeOther)
	return nil
}
