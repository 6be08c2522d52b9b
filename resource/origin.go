package resource

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"scaling.cloud/mcp/loopback"
)

// Headers of the MCP transport that browsers send and read across origins.
const (
	allowedHeaders = "Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name"
	exposedHeaders = "WWW-Authenticate, Retry-After, Mcp-Session-Id"
)

// admitOrigin refuses a request that a page of another origin made, and lets an
// allowed one read the answer. The transport specification demands the check
// at every request ("Security Warning"): without it, any page that a person
// visits could speak to a server on their computer.
func (s *Server) admitOrigin(w http.ResponseWriter, r *http.Request) error {
	// Caches must not hand one origin's answer to another.
	w.Header().Add("Vary", "Origin")
	if s.rebound(r) {
		return &malformed{status: http.StatusForbidden, code: jsonrpc.CodeInvalidRequest,
			message: "This host name is not served here."}
	}
	switch origins := r.Header["Origin"]; {
	case len(origins) == 0:
		return nil
	case len(origins) > 1 || !s.originAllowed(origins[0]):
		return &malformed{status: http.StatusForbidden, code: jsonrpc.CodeInvalidRequest,
			message: "Pages of this origin may not call this server."}
	default:
		w.Header().Set("Access-Control-Allow-Origin", origins[0])
		w.Header().Set("Access-Control-Expose-Headers", exposedHeaders)
		return nil
	}
}

// preflight answers a browser that asks before it sends credentials. It stands
// outside the gate, because a preflight never carries a token.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) {
	if err := s.admitOrigin(w, r); err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Allow", "POST, OPTIONS")
	w.Header().Set("Access-Control-Allow-Methods", "POST, GET, DELETE")
	w.Header().Set("Access-Control-Allow-Headers", allowedHeaders)
	w.Header().Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) originAllowed(origin string) bool {
	return s.origins[origin] || s.AllowLoopbackOrigins && loopbackOrigin(origin)
}

// rebound reports whether a request came in over the loopback interface under a
// name that is neither ours nor loopback: DNS rebinding, where a page's own
// host name is made to resolve to the reader's computer. The SDK's own check is
// off because it would refuse a reverse proxy on the same machine, whose
// requests carry our public name.
func (s *Server) rebound(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok || !loopback.Host(hostOnly(local.String())) {
		return false
	}
	return !strings.EqualFold(r.Host, s.host) && !loopback.Host(hostOnly(r.Host))
}

// originOf returns the origin of a URL as browsers write it (RFC 6454 §6.1).
func originOf(rawURL string) string {
	u, err := url.Parse(strings.ToLower(rawURL))
	if err != nil || u.Host == "" {
		return rawURL
	}
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return u.Scheme + "://" + strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.Scheme + "://" + u.Host
}

func loopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	return origin == u.Scheme+"://"+u.Host && loopback.Host(u.Hostname())
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// prefersHTML reports whether an Accept header is that of a browser which shows
// a page: it names HTML, likes it at least as much as JSON, and does not name
// the event stream that MCP clients open (RFC 9110 §12.5.1).
func prefersHTML(accept []string) bool {
	var html, json float64
	for _, field := range accept {
		for part := range strings.SplitSeq(field, ",") {
			mediaType, params, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(mediaType)) {
			case "text/html", "application/xhtml+xml":
				html = max(html, quality(params))
			case "application/json":
				json = max(json, quality(params))
			case "text/event-stream":
				return false
			}
		}
	}
	return html > 0 && html >= json
}

// quality returns the weight among the parameters of a media range.
func quality(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		q, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0
		}
		return q
	}
	return 1
}
