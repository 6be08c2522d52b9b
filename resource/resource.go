// Package resource is the MCP resource server. It lets a request through when
// the person behind it granted a connection that is still alive, and lacks no
// scope for what it asks; then the MCP SDK serves it, over stateless streamable
// HTTP, in every protocol version that the SDK knows.
//
// The checks stand in this order, and each refuses by itself: browser origin,
// credentials (RFC 6750), liveness of the connection, shape of the body, scopes
// of the tools it names. What happens inside a tool is decided by the packages
// below this one; how tokens are issued and what revokes a connection is
// decided elsewhere.
package resource

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/resource/rota"
	"scaling.cloud/mcp/store"
)

// Config is what the resource server needs. All fields without a remark are
// required.
type Config struct {
	// PublicURL is the origin that clients know, without a trailing slash. The
	// Host header of a request is never used in its place.
	PublicURL string

	// AllowedOrigins are the browser origins that may call besides PublicURL,
	// and AllowLoopbackOrigins adds every origin on the computer itself, for
	// development. A request without an Origin header is not a browser's.
	AllowedOrigins       []string
	AllowLoopbackOrigins bool

	Version   string // of this program, told to clients
	Tokens    *accesstoken.Verifier
	Liveness  Liveness
	Incidents *incident.Service
	Rota      *rota.Service
	Log       *slog.Logger
	Now       func() time.Time

	// ClientName returns the name of a connection's client as the person
	// consented to it. What is done through the connection is shown under it:
	// "Alice via Claude".
	ClientName func(ctx context.Context, connection uuid.UUID) (string, error)

	// ConfirmationKey seals what a client carries between the question whether a
	// person confirms something and their answer (see question). Replicas must
	// share it. The zero value is a key of its own, which no other server has.
	ConfirmationKey [32]byte

	// Usage, if set, is told of every request that passed the gate. It is
	// called on the path of the request and must not wait.
	Usage func(connection uuid.UUID, at time.Time)

	// Audit, if set, is told of every call of a tool but those whose effect was
	// recorded with it. Its answer is waited for: a call that cannot be recorded is
	// answered with an error.
	Audit func(context.Context, store.AuditEvent) error

	// Annotate, if set, adds fields to the canonical log line of the request
	// that ctx belongs to: who called, which tool, and what came of it. It is
	// called from more than one goroutine.
	Annotate func(ctx context.Context, attrs ...slog.Attr)
}

// Liveness knows whether connections are alive (design §8). It is asked once
// per request, so it is the price of every call.
type Liveness interface {
	// Check returns nil if the connection lives and its epoch is epoch, and
	// store.ErrNotFound if it is revoked, expired or unknown. Any other error
	// means that nobody could say: the request is answered with 503, neither
	// let through nor told to sign in again.
	Check(ctx context.Context, connection uuid.UUID, epoch int) error
}

// Server is the resource server. It is safe for concurrent use.
type Server struct {
	Config
	origins map[string]bool
	host    string // of PublicURL

	catalog *catalog
	sdk     http.Handler // the MCP SDK, behind the gate
}

// New returns a Server.
func New(c Config) *Server {
	if c.Usage == nil {
		c.Usage = func(uuid.UUID, time.Time) {}
	}
	if c.Audit == nil {
		c.Audit = func(context.Context, store.AuditEvent) error { return nil }
	}
	if c.Annotate == nil {
		c.Annotate = func(context.Context, ...slog.Attr) {}
	}
	if c.ConfirmationKey == [32]byte{} {
		_, _ = rand.Read(c.ConfirmationKey[:]) // never fails
	}
	s := &Server{Config: c, origins: map[string]bool{originOf(c.PublicURL): true}}
	_, s.host, _ = strings.Cut(originOf(c.PublicURL), "://")
	for _, origin := range c.AllowedOrigins {
		s.origins[originOf(origin)] = true
	}
	s.offer(newCatalog(s.registeredTools(), s.mcpResources(), s.registeredPrompts()), s.serverOptions())
	return s
}

// offer makes c what there is behind the gate.
func (s *Server) offer(c *catalog, options *mcp.ServerOptions) {
	s.catalog = c
	s.sdk = s.newSDKHandler(s.newMCPServers(options))
}

// Mount registers the MCP endpoint and the metadata documents. GET / is left to
// the caller, who composes it from RootGET and the landing page.
func (s *Server) Mount(mux *http.ServeMux) {
	// Every method, so that each gets the gate's answer and the Allow of what
	// works, which a mux would put together from whatever is registered.
	mux.HandleFunc("/mcp", s.serveMCP)
	mux.HandleFunc("/{$}", s.serveMCP)
	mux.HandleFunc("OPTIONS /mcp", s.preflight)
	mux.HandleFunc("OPTIONS /{$}", s.preflight)
	s.mountMetadata(mux)
}

// RootGET returns the handler of GET /, where two faces of the program meet: a
// browser gets the landing page, an MCP client that looks for a stream gets the
// challenge that starts its sign-in. Of a page of another origin neither is
// answered.
func (s *Server) RootGET(landing http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept")
		if prefersHTML(r.Header.Values("Accept")) {
			if err := s.admitOrigin(w, r); err != nil {
				s.refuse(w, r, err)
				return
			}
			landing.ServeHTTP(w, r)
			return
		}
		s.serveMCP(w, r)
	})
}

// serveMCP serves the MCP endpoint, at either of its two paths.
func (s *Server) serveMCP(w http.ResponseWriter, r *http.Request) {
	if err := s.answer(w, r); err != nil {
		s.refuse(w, r, err)
	}
}

// answer serves one MCP request, or returns why it is refused: a *refusal of
// the gate, or a *malformed of the body. Nothing has been written by then.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) error {
	if err := s.admitOrigin(w, r); err != nil {
		return err
	}
	claims, err := s.authenticate(r)
	if err != nil {
		return err
	}
	s.Annotate(r.Context(),
		slog.String("user", claims.Subject), slog.String("org", claims.OrgID),
		slog.String("client", claims.ClientID), slog.String("connection", claims.ConnectionID.String()))
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		return &malformed{status: http.StatusMethodNotAllowed, code: jsonrpc.CodeInvalidRequest,
			message: "This server keeps no sessions and opens no streams: send each message with POST."}
	}
	s.Usage(claims.ConnectionID, s.Now())

	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	x := s.newExchange(r.Context(), w, claims, body)
	if err := s.checkScopes(r.Context(), x); err != nil {
		return err
	}
	s.dispatch(x, r)
	return nil
}

// refuse writes err, which answer returned.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if m, ok := errors.AsType[*malformed](err); ok {
		s.Annotate(r.Context(), slog.String("outcome", m.message))
		m.write(w)
		return
	}
	if denied, ok := errors.AsType[*refusal](err); ok {
		s.challenge(w, r, denied)
		return
	}
	s.challenge(w, r, unavailable(err))
}
