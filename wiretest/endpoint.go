package wiretest

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
)

// endpoint is what programs get at a path.
type endpoint struct {
	success  map[int]string // the kind of document, by status; "" where there is none
	failure  string
	cached   bool // by anybody, for a while; else not at all
	anywhere bool // pages of every origin may read it (design §4)
	basic    bool // who has credentials may send them in the header (RFC 6749 §5.2)
}

// endpoints are all that serve documents to programs, by path, but for the MCP
// endpoint.
var endpoints = map[string]endpoint{
	"/.well-known/oauth-authorization-server":     {success: map[int]string{200: "authorization-server-metadata"}, failure: "oauth-error", cached: true, anywhere: true},
	"/.well-known/oauth-authorization-server/mcp": {success: map[int]string{200: "authorization-server-metadata"}, failure: "oauth-error", cached: true, anywhere: true},
	"/.well-known/openid-configuration":           {success: map[int]string{200: "authorization-server-metadata"}, failure: "oauth-error", cached: true, anywhere: true},
	"/.well-known/oauth-protected-resource":       {success: map[int]string{200: "protected-resource-metadata"}, failure: "oauth-error", cached: true, anywhere: true},
	"/.well-known/oauth-protected-resource/mcp":   {success: map[int]string{200: "protected-resource-metadata"}, failure: "oauth-error", cached: true, anywhere: true},

	"/oauth/jwks":       {success: map[int]string{200: "keys"}, failure: "oauth-error", cached: true, anywhere: true},
	"/oauth/token":      {success: map[int]string{200: "token"}, failure: "oauth-error", anywhere: true, basic: true},
	"/oauth/revoke":     {success: map[int]string{200: ""}, failure: "oauth-error", anywhere: true, basic: true},
	"/oauth/introspect": {success: map[int]string{200: "introspection"}, failure: "oauth-error", basic: true},
	"/oauth/par":        {success: map[int]string{201: "pushed-request"}, failure: "oauth-error", anywhere: true, basic: true},
	"/oauth/register":   {success: map[int]string{201: "new-registration"}, failure: "registration-error", anywhere: true},
	registrations + "…": {success: map[int]string{200: "registration", 204: ""}, failure: "registration-error", anywhere: true},

	"/webhooks/clerk":          {success: map[int]string{204: ""}, failure: "oauth-error"},
	"/settings/activity.jsonl": {success: map[int]string{200: "activity-call"}, failure: "oauth-error"},
}

// registrations is what the paths of clients' registrations begin with (RFC 7592).
const registrations = "/oauth/register/"

// place returns the path of the endpoint that a request is for. A trailing slash on
// a well-known path is served alike (design §4).
func place(r *http.Request) string {
	path := r.URL.Path
	if id, ok := strings.CutPrefix(path, registrations); ok && id != "" && !strings.Contains(id, "/") {
		return registrations + "…"
	}
	if strings.HasPrefix(path, "/.well-known/") {
		return strings.TrimSuffix(path, "/")
	}
	return path
}

// judge looks at an answer.
func (x *exchange) judge() {
	if x.answer.status == 0 {
		x.answer.WriteHeader(http.StatusOK) // as the server will
	}
	if isMCP(x.request) {
		x.judgeMCP()
		return
	}
	x.judgeRedirect()
	e, known := endpoints[place(x.request)]
	switch {
	case x.answer.mediaType == "text/html", x.unmounted():
	case !known && x.answer.status >= http.StatusBadRequest && x.answer.mediaType == document:
		// A program that was in the wrong place, or a page of another origin.
		x.hold("oauth-error", x.answer.body.Bytes())
	case !known && (x.answer.mediaType == document || x.answer.mediaType == lines):
		x.fail("a document at a place that has no schema")
	case known:
		x.judgeEndpoint(e)
	}
}

// judgeRedirect looks at where the authorization endpoint or the consent page leads:
// to a client, its query is a document, too.
func (x *exchange) judgeRedirect() {
	to, err := url.Parse(x.answer.Header().Get("Location"))
	if err != nil || !to.IsAbs() || !strings.HasPrefix(x.request.URL.Path, "/oauth/") {
		return
	}
	parameters := map[string]any{}
	for name, values := range to.Query() {
		parameters[name] = values[len(values)-1]
	}
	x.holdValue("authorization-response", parameters)
}

// unmounted reports whether an answer is http.ServeMux's own. The whole product
// leaves none to it; a part of it that a test mounts alone does.
func (x *exchange) unmounted() bool {
	status := x.answer.status
	return x.answer.mediaType == "text/plain" && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed)
}

func (x *exchange) judgeEndpoint(e endpoint) {
	method, status := x.request.Method, x.answer.status
	x.judgeHeader(e)
	if method == http.MethodHead {
		return
	}
	kind, succeeded := e.success[status]
	if method == http.MethodOptions && status == http.StatusNoContent { // a preflight
		kind, succeeded = "", true
	}
	switch {
	case status >= http.StatusBadRequest:
		kind = e.failure
	case !succeeded:
		x.fail("a success that this endpoint does not have")
		return
	case kind == "" && x.answer.body.Len() == 0:
		return
	case kind == "":
		x.fail("a body of %d bytes", x.answer.body.Len())
		return
	}
	switch x.answer.mediaType {
	case document:
		x.hold(kind, x.answer.body.Bytes())
	case lines:
		for line := range bytes.Lines(x.answer.body.Bytes()) {
			x.hold(kind, line)
		}
	default:
		x.fail("Content-Type is %q, want JSON", x.answer.Header().Get("Content-Type"))
	}
}

// judgeHeader looks at what an endpoint says besides its document.
func (x *exchange) judgeHeader(e endpoint) {
	status := x.answer.status
	if allowed := x.answer.Header().Get("Access-Control-Allow-Origin"); e.anywhere && status != http.StatusNotFound && allowed != "*" {
		x.fail("Access-Control-Allow-Origin is %q, want *", allowed)
	} else if !e.anywhere && allowed != "" {
		x.fail("Access-Control-Allow-Origin is %q, want none", allowed)
	}
	if x.answer.Header().Get("Access-Control-Allow-Credentials") != "" {
		x.fail("Access-Control-Allow-Credentials is there")
	}
	cache := x.answer.Header().Get("Cache-Control")
	switch {
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusNoContent:
	case e.cached && status == http.StatusOK:
		if !strings.HasPrefix(cache, "public, max-age=") {
			x.fail("Cache-Control is %q, want public and max-age", cache)
		}
	case cache != "no-store": // RFC 6749 §5.1
		x.fail("Cache-Control is %q, want no-store", cache)
	}
	x.judgeStatus()
	if challenge := x.answer.Header().Get("WWW-Authenticate"); e.basic && status == http.StatusUnauthorized && !strings.HasPrefix(challenge, "Basic ") {
		x.fail("WWW-Authenticate is %q, want Basic", challenge) // RFC 6749 §5.2
	}
}

// judgeStatus looks for what a status obliges to say.
func (x *exchange) judgeStatus() {
	for _, must := range []struct {
		status int
		header string
	}{
		{http.StatusUnauthorized, "WWW-Authenticate"},  // RFC 9110 §15.5.2
		{http.StatusMethodNotAllowed, "Allow"},         // RFC 9110 §15.5.6
		{http.StatusTooManyRequests, "Retry-After"},    // RFC 6585 §4
		{http.StatusServiceUnavailable, "Retry-After"}, // RFC 9110 §15.6.4
	} {
		if x.answer.status == must.status && x.answer.Header().Get(must.header) == "" {
			x.fail("%s is missing", must.header)
		}
	}
}

// hold holds a document against the schema of its kind, and returns it if it is
// JSON.
func (x *exchange) hold(kind string, text []byte) any {
	doc, err := parse(text)
	if err != nil {
		x.fail("not one JSON text: %v: %.200q", err, text)
		return nil
	}
	x.holdValue(kind, doc)
	return doc
}

// holdValue is hold for a part of a document.
func (x *exchange) holdValue(kind string, v any) {
	x.count(kind)
	if err := problem(schemas()[kind], v); err != nil {
		x.fail("by the schema %s:\n%v\nin %.2000v", kind, err, v)
	}
}

func (x *exchange) count(kind string) {
	x.watcher.mu.Lock()
	defer x.watcher.mu.Unlock()
	x.watcher.seen[kind]++
}
