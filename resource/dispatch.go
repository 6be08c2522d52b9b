package resource

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/store"
)

// checkScopes refuses a body that calls a tool which the connection may not
// use, before any part of it runs: only here can the answer still be the 403
// that makes a client ask for more (RFC 6750 §3.1). The decision that counts is
// made once more on what the SDK executes, in guard. A batch that is too long,
// or begins a session, is refused here too.
func (s *Server) checkScopes(ctx context.Context, x *exchange) error {
	claims, body := x.claims, x.body
	batch := isBatch(body)
	if !batch && !s.catalog.mayForbid(claims, body) {
		return nil
	}
	ms, err := messages(body)
	if err != nil {
		return nil // the SDK refuses it
	}
	if batch && len(ms) > maxBatch {
		return &malformed{status: http.StatusBadRequest, code: jsonrpc.CodeInvalidRequest,
			message: fmt.Sprintf("A batch may hold at most %d messages.", maxBatch)}
	}
	if batch && slices.ContainsFunc(ms, isInitialize) {
		return &malformed{status: http.StatusBadRequest, code: jsonrpc.CodeInvalidRequest,
			message: "Send initialize by itself, not in a batch."} // MCP 2025-03-26, Lifecycle
	}
	forbidden := s.catalog.forbiddenTexts(claims, ms)
	for _, m := range ms {
		call, ok := m.(*jsonrpc.Request)
		if !ok || call.Method != "tools/call" {
			continue
		}
		names, arguments := callsIn(call.Params)
		for _, name := range names {
			if t := s.catalog.byName[name]; t != nil {
				forbidden = append(forbidden, t.forbidden(claims, arguments...)...)
			}
		}
	}
	if len(forbidden) == 0 {
		return nil
	}
	for _, u := range forbidden {
		if err := s.Audit(ctx, x.event(u.name, insufficientScope, nil, s.Now())); err != nil {
			return unavailable(err)
		}
	}
	return forbid(claims, forbidden)
}

func isInitialize(m jsonrpc.Message) bool {
	call, ok := m.(*jsonrpc.Request)
	return ok && call.Method == "initialize"
}

// forbid refuses uses of tools that claims do not allow. The
// challenge names what is lacking and what was granted before: a client that
// asks for exactly what it says must not lose the one by gaining the other.
func forbid(claims *accesstoken.Claims, forbidden []use) *refusal {
	var names, lacking, needed []string
	for _, u := range forbidden {
		if words := cmp.Or(u.words, u.name); !slices.Contains(names, words) {
			names = append(names, words)
		}
		if !slices.Contains(lacking, u.scope) {
			lacking = append(lacking, u.scope)
		}
	}
	for _, scope := range store.ResourceScopes() {
		if claims.HasScope(scope) || slices.Contains(lacking, scope) {
			needed = append(needed, scope)
		}
	}
	return &refusal{
		status: http.StatusForbidden,
		code:   insufficientScope,
		description: fmt.Sprintf("This connection does not allow %s. The person must reconnect this client and allow: %s.",
			strings.Join(names, ", "), strings.Join(store.ScopeWords(lacking), "; ")),
		scopes: needed,
	}
}

// exchange is a request that passed the gate, on its way through the SDK. It is
// also the writer that the SDK answers to: see Write.
type exchange struct {
	http.ResponseWriter
	claims *accesstoken.Claims
	body   []byte
	begun  time.Time
	// requestID is what the log knows the request by; whoever stands in front of the
	// gate has made it up.
	requestID string
	annotate  func(...slog.Attr)

	// dispatched is set once a message of the body has reached our middleware.
	// What the SDK answered before, it answered in its own words.
	dispatched atomic.Bool
	refused    int // status of a refusal whose words are still to come
}

type exchangeKey struct{}

func (s *Server) newExchange(ctx context.Context, w http.ResponseWriter, claims *accesstoken.Claims, body []byte) *exchange {
	return &exchange{
		ResponseWriter: w, claims: claims, body: body, begun: s.Now(), requestID: w.Header().Get("X-Request-Id"),
		annotate: func(attrs ...slog.Attr) { s.Annotate(ctx, attrs...) },
	}
}

// dispatch hands a request to the SDK.
func (s *Server) dispatch(x *exchange, r *http.Request) {
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	r.Body = io.NopCloser(bytes.NewReader(x.body))
	s.sdk.ServeHTTP(x, r)
}

// newSDKHandler returns the SDK's handler of one MCP server for every set of
// scopes. It is reached through the gate only.
func (s *Server) newSDKHandler(servers []*mcp.Server) http.Handler {
	streamable := mcp.NewStreamableHTTPHandler(
		func(r *http.Request) *mcp.Server {
			return servers[s.catalog.visible(passed(r.Context()).claims)]
		},
		&mcp.StreamableHTTPOptions{
			// Any replica serves any request, and 2026-07-28 exists only here.
			Stateless: true,
			// One message in, one out: an event stream around it is overhead.
			JSONResponse: true,
			Logger:       s.Log,
			// See rebound.
			DisableLocalhostProtection: true,
			// A caller who is gone needs no answer. Requests of older protocols
			// run to their end, or to that of callTimeout.
			PropagateRequestCancellation: true,
			MaxRequestBodyBytes:          maxBody,
		})
	// The SDK takes the identity of a request from its own middleware alone.
	// It refuses nothing: the gate has verified the token, expiry included, and
	// its verdict is all that the verifier returns.
	return auth.RequireBearerToken(
		func(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
			x := passed(ctx)
			return &auth.TokenInfo{
				Scopes: x.claims.Scopes,
				UserID: x.claims.Subject,
				Extra:  map[string]any{exchangeExtra: x},
			}, nil
		},
		&auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(streamable)
}

// passed returns the exchange that dispatch put into ctx.
func passed(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

const exchangeExtra = "scaling.cloud/exchange"

// exchangeOf returns the exchange that a message came with. It looks at the
// message and not at the context, which the SDK keeps longer than one request
// where it has sessions.
func exchangeOf(extra *mcp.RequestExtra) *exchange {
	return extra.TokenInfo.Extra[exchangeExtra].(*exchange)
}
