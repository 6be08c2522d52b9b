package wiretest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"scaling.cloud/mcp/wiretest"
)

// listener is a test that hears what a Watcher says.
type listener struct {
	testing.TB
	said []string
}

func (l *listener) Errorf(format string, arguments ...any) {
	l.said = append(l.said, fmt.Sprintf(format, arguments...))
}

// exchange is a request and the answer to it.
type exchange struct {
	method, path, asked string
	status              int
	header              http.Header
	body                string
}

// watched returns what a Watcher says of an exchange, and what it saw. What the
// client gets must be what was answered.
func watched(t *testing.T, x exchange) (said []string, seen map[string]int) {
	t.Helper()
	heard := &listener{TB: t}
	w := wiretest.Watch(heard, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		maps.Copy(w.Header(), x.header)
		if strings.Contains(string(body), `"tools/list"`) && !strings.Contains(x.asked, "tools/list") {
			_, _ = io.WriteString(w, listed)
			return
		}
		if string(body) != x.asked {
			t.Errorf("the handler read %q, want %q", body, x.asked)
		}
		w.WriteHeader(x.status)
		_, _ = io.WriteString(w, x.body)
	}))
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, httptest.NewRequest(x.method, x.path, strings.NewReader(x.asked)))
	if answer.Code != x.status || answer.Body.String() != x.body {
		t.Errorf("%s %s: the client got %d %q, want %d %q", x.method, x.path, answer.Code, answer.Body, x.status, x.body)
	}
	return heard.said, w.Seen()
}

// headers makes a header of names and values.
func headers(pairs ...string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	for pair := range slices.Chunk(pairs, 2) {
		h.Set(pair[0], pair[1])
	}
	return h
}

const (
	origin  = "Access-Control-Allow-Origin"
	cache   = "Cache-Control"
	forever = "public, max-age=300"

	listed = `{"jsonrpc":"2.0","id":"wiretest","result":{"tools":[{"name":"look","description":"Looks.","inputSchema":{"type":"object"},` +
		`"outputSchema":{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}},"additionalProperties":false},"annotations":{"readOnlyHint":true,"openWorldHint":false}}]}}`
)

// rpc is a call of an MCP method and its result.
func rpc(method, params, result string) exchange {
	return exchange{"POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`, 200, headers(),
		`{"jsonrpc":"2.0","id":1,"result":` + result + `}`}
}

// good has a good document of each kind.
var good = map[string]exchange{
	"authorization-server-metadata": {"GET", "/.well-known/oauth-authorization-server", "", 200, headers(origin, "*", cache, forever),
		`{"issuer":"https://a.example","authorization_endpoint":"https://a.example/oauth/authorize","token_endpoint":"https://a.example/oauth/token","response_types_supported":["code"],
		  "grant_types_supported":["authorization_code"],"response_modes_supported":["query"],"token_endpoint_auth_methods_supported":["none"],"code_challenge_methods_supported":["S256"],
		  "authorization_response_iss_parameter_supported":true,"request_uri_parameter_supported":false,"require_pushed_authorization_requests":false}`},
	"protected-resource-metadata": {"GET", "/.well-known/oauth-protected-resource/mcp", "", 200, headers(origin, "*", cache, forever),
		`{"resource":"http://localhost:8080/mcp","authorization_servers":["http://127.0.0.1:8080"],"scopes_supported":["incidents:read"],"bearer_methods_supported":["header"]}`},
	"keys": {"GET", "/oauth/jwks", "", 200, headers(origin, "*", cache, forever),
		`{"keys":[{"kty":"EC","use":"sig","alg":"ES256","kid":"k","crv":"P-256","x":"` + strings.Repeat("x", 43) + `","y":"` + strings.Repeat("y", 43) + `"}]}`},
	"new-registration": {"POST", "/oauth/register", "{}", 201, headers(origin, "*", cache, "no-store"),
		`{"client_id":"c","client_id_issued_at":1,"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"client_secret_basic","grant_types":["authorization_code"],"response_types":["code"],
		  "client_secret":"` + strings.Repeat("s", 43) + `","client_secret_expires_at":0,"registration_access_token":"` + strings.Repeat("t", 43) + `","registration_client_uri":"https://a.example/oauth/register/c"}`},
	"registration": {"GET", "/oauth/register/c", "", 200, headers(origin, "*", cache, "no-store"),
		`{"client_id":"c","client_id_issued_at":1,"redirect_uris":["cursor://x/cb"],"token_endpoint_auth_method":"client_secret_post","grant_types":["authorization_code","refresh_token"],"response_types":["code"]}`},
	"registration-error": {"POST", "/oauth/register", "", 400, headers(origin, "*", cache, "no-store"),
		`{"error":"invalid_redirect_uri","error_description":"No."}`},
	"token": {"POST", "/oauth/token", "", 200, headers(origin, "*", cache, "no-store"),
		`{"access_token":"e30.e30.x","token_type":"Bearer","expires_in":3600,"scope":"incidents:read"}`},
	"oauth-error": {"POST", "/oauth/token", "", 401, headers(origin, "*", cache, "no-store", "WWW-Authenticate", `Basic realm="x"`),
		`{"error":"invalid_client","error_description":"No."}`},
	"introspection": {"POST", "/oauth/introspect", "", 200, headers(cache, "no-store"),
		`{"active":true,"scope":"","client_id":"c","token_type":"Bearer","exp":2,"iat":1,"sub":"u","aud":"https://a.example/mcp","iss":"https://a.example","jti":"j"}`},
	"pushed-request": {"POST", "/oauth/par", "", 201, headers(origin, "*", cache, "no-store"),
		`{"request_uri":"urn:ietf:params:oauth:request_uri:` + strings.Repeat("r", 43) + `","expires_in":90}`},
	"challenge": {"POST", "/mcp", "", 401, headers(cache, "no-store", "WWW-Authenticate", "Bearer"),
		`{"error_description":"This server needs an access token."}`},
	"activity-call": {"GET", "/settings/activity.jsonl", "", 200, headers("Content-Type", "application/jsonl; charset=utf-8", cache, "no-store"),
		`{"time":"2026-11-22T09:00:00Z","person":"","email":"","client":null,"connection":null,"tool":"look","incident":null,"outcome":"ok","duration_ms":0.5,"request_id":null,"organization":"Acme","person_id":"u"}`},
	"jsonrpc":            {"POST", "/", "x", 400, headers(), `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"No."}}`},
	"initialize":         rpc("initialize", `{}`, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"scaling","version":"1"}}`),
	"discover":           rpc("server/discover", `{}`, `{"supportedVersions":["2026-07-28"],"capabilities":{},"resultType":"complete"}`),
	"empty":              rpc("ping", `{}`, `{}`),
	"tools":              rpc("tools/list", `{}`, `{"tools":[]}`),
	"tool-result":        rpc("tools/call", `{"name":"look"}`, `{"content":[{"type":"text","text":"It is 1."}],"structuredContent":{"n":1},"_meta":{"scaling.cloud/untrusted":[]}}`),
	"resources":          rpc("resources/list", `{}`, `{"resources":[{"name":"x","uri":"scaling://x","mimeType":"text/plain"}]}`),
	"resource-templates": rpc("resources/templates/list", `{}`, `{"resourceTemplates":[{"name":"x","uriTemplate":"scaling://x/{id}","mimeType":"text/plain"}]}`),
	"resource":           rpc("resources/read", `{}`, `{"contents":[{"uri":"scaling://x","mimeType":"text/plain","text":"x"}]}`),
	"prompts":            rpc("prompts/list", `{}`, `{"prompts":[{"name":"x","arguments":[{"name":"n","required":true}]}]}`),
	"prompt":             rpc("prompts/get", `{}`, `{"messages":[{"role":"user","content":{"type":"text","text":"x"}}]}`),
}

// TestEachKindIsHeldAgainstItsSchema: a good document passes and is counted; and it
// is bad without any one of its members, with null in the place of one that is not,
// and with one more.
func TestEachKindIsHeldAgainstItsSchema(t *testing.T) {
	for _, kind := range wiretest.Kinds() {
		if kind == "authorization-response" {
			continue // a query, see TestWhatIsSaid
		}
		t.Run(kind, func(t *testing.T) {
			x, ok := good[kind]
			if !ok {
				t.Fatal("there is no example of it")
			}
			if said, seen := watched(t, x); len(said) != 0 || seen[kind] != 1 {
				t.Fatalf("saw %v, and says %q", seen, said)
			}
			var whole map[string]any
			if err := json.Unmarshal([]byte(x.body), &whole); err != nil {
				t.Fatal(err)
			}
			members := whole
			if result, ok := whole["result"].(map[string]any); ok {
				members = result
			}
			bad := func(change string, f func(map[string]any)) {
				before := maps.Clone(members)
				f(members)
				text, err := json.Marshal(whole)
				if err != nil {
					t.Fatal(err)
				}
				clear(members)
				maps.Copy(members, before)
				changed := x
				changed.body = string(text)
				if said, _ := watched(t, changed); len(said) == 0 {
					t.Errorf("%s: nothing is said of %s", change, text)
				}
			}
			bad("one more", func(m map[string]any) { m["surprise"] = "x" })
			for name, value := range maps.Clone(members) {
				if name != "scopes_supported" && name != "bearer_methods_supported" { // which RFC 9728 §2 does not require
					bad("without "+name, func(m map[string]any) { delete(m, name) })
				}
				if value != nil {
					bad("null for "+name, func(m map[string]any) { m[name] = nil })
				}
				bad("another type for "+name, func(m map[string]any) { m[name] = []any{map[string]any{}} })
			}
		})
	}
}

// TestWhatIsSaid: each row changes one thing about a good answer, or about none.
func TestWhatIsSaid(t *testing.T) {
	replaced := func(old, new string) func(*exchange) {
		return func(x *exchange) { x.body = strings.Replace(x.body, old, new, 1) }
	}
	without := func(header string) func(*exchange) {
		return func(x *exchange) { x.header = x.header.Clone(); x.header.Del(header) }
	}
	with := func(pairs ...string) func(*exchange) {
		return func(x *exchange) {
			x.header = x.header.Clone()
			for pair := range slices.Chunk(pairs, 2) {
				x.header.Set(pair[0], pair[1])
			}
		}
	}
	page := exchange{"GET", "/settings/connections", "", 200, headers("Content-Type", "text/html; charset=utf-8"), "<p>Hello"}
	for name, row := range map[string]struct {
		exchange exchange
		change   func(*exchange)
		says     string // "": nothing
	}{
		"a private key":                    {good["keys"], replaced(`"kid"`, `"d":"x","kid"`), "'d' not allowed"},
		"a shared key":                     {good["keys"], replaced(`"kty":"EC"`, `"kty":"oct"`), "kty"},
		"a token that caches may keep":     {good["token"], without(cache), "want no-store"},
		"a token of no use":                {good["token"], replaced("3600", "0"), "expires_in"},
		"a token for a page's origin":      {good["token"], with(origin, "https://a.example"), "want *"},
		"credentials across origins":       {good["token"], with("Access-Control-Allow-Credentials", "true"), "Credentials"},
		"introspection for pages":          {good["introspection"], with(origin, "*"), "want none"},
		"a reason why it is not active":    {good["introspection"], replaced("true", "false"), "maxProperties"},
		"metadata that nobody may keep":    {good["authorization-server-metadata"], with(cache, "no-store"), "max-age"},
		"an endpoint without TLS":          {good["authorization-server-metadata"], replaced("https://a.example/oauth/token", "http://a.example/oauth/token"), "neither https"},
		"an issuer with a path":            {good["authorization-server-metadata"], replaced(`"issuer":"https://a.example"`, `"issuer":"https://a.example/"`), "pattern"},
		"keys without algorithms":          {good["authorization-server-metadata"], replaced(`["none"]`, `["private_key_jwt"]`), "token_endpoint_auth_signing_alg_values_supported"},
		"plain PKCE":                       {good["authorization-server-metadata"], replaced("S256", "plain"), "S256"},
		"a resource's offline_access":      {good["protected-resource-metadata"], replaced("incidents:read", "offline_access"), "scopes_supported"},
		"a secret that comes alone":        {good["new-registration"], replaced(`"client_secret_expires_at":0,`, ""), "client_secret_expires_at"},
		"a public client with a secret":    {good["new-registration"], replaced("client_secret_basic", "none"), "client_secret"},
		"a status of no success":           {good["new-registration"], func(x *exchange) { x.status = 200 }, "does not have"},
		"an error in a page's characters":  {good["oauth-error"], replaced("No.", "It’s no."), "error_description"},
		"a quotation in an error":          {good["oauth-error"], replaced("No.", `\"No.\"`), "error_description"},
		"an error that no RFC has":         {good["oauth-error"], replaced("invalid_client", "oops"), "/error"},
		"401 without a challenge":          {good["oauth-error"], without("WWW-Authenticate"), "WWW-Authenticate is missing"},
		"401 with another challenge":       {good["oauth-error"], with("WWW-Authenticate", "Bearer"), "want Basic"},
		"an error as text":                 {good["oauth-error"], with("Content-Type", "text/plain"), "want JSON"},
		"405 without the others":           {good["oauth-error"], func(x *exchange) { x.status = 405 }, "Allow is missing"},
		"429 without a time":               {good["oauth-error"], func(x *exchange) { x.status = 429 }, "Retry-After is missing"},
		"503 without a time":               {good["challenge"], func(x *exchange) { x.status = 503 }, "Retry-After is missing"},
		"a challenge that caches may keep": {good["challenge"], without(cache), "want no-store"},
		"two documents":                    {good["token"], func(x *exchange) { x.body += "{}" }, "not one JSON text"},
		"not UTF-8":                        {good["oauth-error"], replaced("No.", "\xff"), "not UTF-8"},
		"not JSON":                         {good["keys"], func(x *exchange) { x.body = "keys" }, "not one JSON text"},
		"a body where there is none": {exchange{"POST", "/oauth/revoke", "", 200, headers(origin, "*", cache, "no-store"), "{}"},
			nil, "a body"},
		"a place without a schema": {exchange{"GET", "/oauth/new", "", 200, headers(), "{}"}, nil, "no schema"},
		"a second line":            {good["activity-call"], func(x *exchange) { x.body += "\n{}\n" }, "missing properties"},

		"an output that breaks its schema": {good["tool-result"], replaced(`"n":1`, `"n":"1"`), "by the output schema of look"},
		"an output with one more member":   {good["tool-result"], replaced(`"n":1`, `"n":1,"m":null`), "by the output schema of look"},
		"a tool that is not listed":        {rpc("tools/call", `{"name":"hide"}`, `{"content":[{"type":"text","text":"x"}],"structuredContent":{},"_meta":{"scaling.cloud/untrusted":[]}}`), nil, "does not have hide"},
		"an error with an output": {rpc("tools/call", `{"name":"look"}`,
			`{"content":[{"type":"text","text":"not_found: No."}],"isError":true,"structuredContent":{"n":1},"_meta":{"scaling.cloud/error":{"code":"not_found","message":"No."}}}`), nil, "oneOf"},
		"a good error": {rpc("tools/call", `{"name":"look"}`,
			`{"content":[{"type":"text","text":"not_found: No."}],"isError":true,"_meta":{"scaling.cloud/error":{"code":"not_found","message":"No."}}}`), nil, ""},
		"a schema that is none": {rpc("tools/list", `{}`, strings.Replace(strings.TrimSuffix(strings.SplitN(listed, `"result":`, 2)[1], "}"), `"type":"integer"`, `"type":"int"`, 1)),
			nil, "outputSchema of look"},
		"an answer to nobody":         {good["empty"], replaced(`"id":1`, `"id":2`), "which no request has"},
		"a result and an error":       {good["empty"], replaced(`"result":{}`, `"result":{},"error":{"code":1,"message":"x"}`), "jsonrpc"},
		"an answer without an id":     {good["empty"], replaced(`"id":1`, `"id":null`), "jsonrpc"},
		"a method without a schema":   {rpc("completion/complete", `{}`, `{}`), nil, "no schema"},
		"a text of the MCP endpoint":  {exchange{"POST", "/mcp", "", 400, headers("Content-Type", "text/plain"), "no"}, nil, "want JSON"},
		"a capability that is parked": {good["initialize"], replaced(`"tools":{}`, `"tools":{"listChanged":true}`), "listChanged"},

		"a page":                          {page, nil, ""},
		"a stream":                        {exchange{"POST", "/mcp", "", 200, headers("Content-Type", "text/event-stream"), "data: x\n\n"}, nil, ""},
		"an error where there is nothing": {exchange{"GET", "/nothing", "", 404, headers(), `{"error":"invalid_request","error_description":"There is nothing here."}`}, nil, ""},
		"a batch": {exchange{"POST", "/mcp", `[{"jsonrpc":"2.0","id":"a","method":"ping"},{"jsonrpc":"2.0","id":2,"method":"prompts/list"}]`, 200, headers(),
			`[{"jsonrpc":"2.0","id":2,"result":{"prompts":[]}},{"jsonrpc":"2.0","id":"a","result":{}}]`}, nil, ""},

		"a code":                     {redirect("https://c.example/cb?tenant=1&code=" + strings.Repeat("c", 43) + "&iss=https%3A%2F%2Fa.example&state=s"), nil, ""},
		"a code of no known issuer":  {redirect("https://c.example/cb?code=" + strings.Repeat("c", 43)), nil, "iss"},
		"an error for a client":      {redirect("com.example:/cb?error=access_denied&error_description=No.&iss=https%3A%2F%2Fa.example"), nil, ""},
		"an error in other letters":  {redirect("https://c.example/cb?error=access_denied&error_description=N%C2%A7&iss=https%3A%2F%2Fa.example"), nil, "error_description"},
		"an error and a code":        {redirect("https://c.example/cb?error=access_denied&error_description=No.&code=" + strings.Repeat("c", 43) + "&iss=https%3A%2F%2Fa.example"), nil, "oneOf"},
		"a redirect to our own page": {redirect("/oauth/consent?request=x"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := row.exchange
			if row.change != nil {
				row.change(&x)
			}
			said, _ := watched(t, x)
			switch {
			case row.says == "" && len(said) != 0:
				t.Errorf("says %q", said)
			case row.says != "" && !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, row.says) }):
				t.Errorf("says %q, want something with %q", said, row.says)
			}
		})
	}
}

// redirect is an answer of the authorization endpoint.
func redirect(to string) exchange {
	return exchange{"GET", "/oauth/authorize", "", 303, http.Header{"Location": {to}}, ""}
}

// TestNothingIsSaidWhenTheTestIsOver: an answer may come after that, to somebody who
// does not wait for it.
func TestNothingIsSaidWhenTheTestIsOver(t *testing.T) {
	var w *wiretest.Watcher
	var heard *listener
	t.Run("test", func(t *testing.T) {
		heard = &listener{TB: t}
		w = wiretest.Watch(heard, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{}")
		}))
	})
	w.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/oauth/jwks", nil))
	if len(heard.said) != 0 {
		t.Errorf("says %q", heard.said)
	}
}
