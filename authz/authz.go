// Package authz is an OAuth 2.1 authorization server for MCP clients. It knows
// clients by their metadata document or registers them (RFC 7591), asks the
// person for consent, and issues audience-bound access tokens (RFC 9068, RFC
// 8707) and rotating refresh tokens. It does not know who the person is: package
// signin tells it. That a code or a refresh token is used once is store's
// guarantee; whether a connection still lives is package volatile's to say.
package authz

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/authz/cookie"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// Sessions tells who is signed in.
type Sessions interface {
	// Session returns the browser's session, or store.ErrNotFound.
	Session(r *http.Request) (*store.Session, error)
}

// Directory is what Clerk says of a person.
type Directory interface {
	// Sync asks Clerk for a person and their organizations, now. When it returns,
	// the answer is stored, and the connections that it no longer covers are
	// revoked. It returns store.ErrNotFound for somebody whom Clerk does not know;
	// any other error means that Clerk could not be asked, and has no effect.
	Sync(ctx context.Context, userID string) (store.User, []store.Membership, error)
}

// Revocations makes revocations known that the database has committed.
type Revocations interface {
	Publish(ctx context.Context, revoked ...*store.Revocation) (confirmed bool)
}

// Config is what a Server is made of. All fields are required.
type Config struct {
	// PublicURL is the issuer and the origin of every URL, without a path and
	// without a trailing slash. It is never taken from a request.
	PublicURL   string
	Store       *store.Store
	Keys        *Keys
	Documents   *Documents
	Sessions    Sessions
	Directory   Directory
	Revocations Revocations
	Liveness    Liveness
	Limits      *Limits

	AccessTokenTTL   time.Duration
	RefreshIdleTTL   time.Duration // a refresh token unused for this long is dead
	ConnectionMaxAge time.Duration // and so is a connection of this age

	Log *slog.Logger
	Now func() time.Time
}

// Server is the authorization server. It is safe for concurrent use.
type Server struct {
	Config
	oauth    provider
	resource protectedResource
	jar      cookie.Jar
	rechecks singleflight.Group // of people, by id

	accessTokens *accesstoken.Verifier
}

// New returns a Server.
func New(c Config) *Server {
	s := &Server{Config: c, resource: newProtectedResource(c.PublicURL), jar: cookie.NewJar(c.PublicURL)}
	s.oauth = newProvider(s)
	s.accessTokens = accesstoken.NewVerifier(c.PublicURL, []string{s.resource.origin, s.resource.endpoint}, c.Keys)
	return s
}

// ClientMaxBody bounds the body of a request by a client, in bytes. The largest
// honest one is a registration with ten redirect URIs.
const ClientMaxBody = 64 << 10

// Mount registers the endpoints of design §4 on mux.
func (s *Server) Mount(mux *http.ServeMux) {
	for _, path := range []string{
		"/.well-known/oauth-authorization-server",
		"/.well-known/oauth-authorization-server/mcp",
		"/.well-known/openid-configuration",
	} {
		mux.Handle(path, s.public(http.MethodGet, s.metadata))
		mux.Handle(path+"/{$}", s.public(http.MethodGet, s.metadata))
	}
	mux.Handle("/oauth/jwks", s.public(http.MethodGet, s.jwks))
	mux.Handle("/oauth/register", s.public(http.MethodPost, s.register))
	mux.Handle("/oauth/register/{client_id}", s.methods(map[string]endpoint{
		http.MethodGet:    s.limited(rules.manage, s.readRegistration),
		http.MethodPut:    s.limited(rules.manage, s.replaceRegistration),
		http.MethodDelete: s.limited(rules.manage, s.deleteRegistration),
	}))
	mux.Handle("/oauth/token", s.public(http.MethodPost, s.token))
	mux.Handle("/oauth/revoke", s.public(http.MethodPost, s.revoke))
	mux.Handle("/oauth/introspect", s.confidential(s.introspect))
	mux.Handle("/oauth/par", s.public(http.MethodPost, s.limited(rules.par, s.par)))

	mux.Handle("GET /oauth/authorize", s.page(s.limited(rules.authorize, s.authorize)))
	mux.Handle("POST /oauth/authorize", s.page(s.limited(rules.authorize, s.authorize)))
	mux.Handle("GET /oauth/consent", s.page(s.limited(rules.consent, s.showConsent)))
	// Consent is what a cookie authenticates: only our own page may post it.
	mux.Handle("POST /oauth/consent", ui.SameOrigin(s.page(s.limited(rules.consent, s.decideConsent))))
}
