package authz_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/store"
)

// quirk is a client that registers dynamically, as it was seen to behave. PORT in
// a URI is a port that it picks anew each time it starts.
type quirk struct {
	client       string
	registration string
	redirectURI  string
	// registrations is how often it registers each time somebody connects.
	registrations int
	scope         string // asked for; empty: none
	// What it does to its authorization request, to each token request, and to each
	// refresh. resource is the MCP endpoint's URL.
	atAuthorize func(form url.Values, resource string)
	atToken     func(form url.Values, resource string)
	atRefresh   func(form url.Values, resource string)
	// confidential: it authenticates by HTTP Basic, and sends no client_id.
	confidential bool
}

// sendsResource is what the specification asks of clients (RFC 8707).
func sendsResource(form url.Values, resource string) { form.Set("resource", resource) }

// then does several things to a request.
func then(all ...func(url.Values, string)) func(url.Values, string) {
	return func(form url.Values, resource string) {
		for _, f := range all {
			f(form, resource)
		}
	}
}

func set(name, value string) func(url.Values, string) {
	return func(form url.Values, _ string) { form.Set(name, value) }
}

func without(name string) func(url.Values, string) {
	return func(form url.Values, _ string) { form.Del(name) }
}

// everyScope is what clients ask for that copy scopes_supported.
var everyScope = strings.Join(append(store.ResourceScopes(), store.ScopeOfflineAccess), " ")

// challenged is what clients ask for that follow the challenge of the first 401.
var challenged = strings.Join(store.ResourceScopes(), " ")

func quirks() []quirk {
	return []quirk{
		{
			client: "Claude.ai: registers twice, trailing slash",
			registration: `{"client_name":"Claude","grant_types":["authorization_code","refresh_token"],"response_types":["code"],
				"token_endpoint_auth_method":"none","scope":"` + everyScope + `","redirect_uris":["https://claude.ai/api/mcp/auth_callback"]}`,
			redirectURI: claudeRedirect, registrations: 2, scope: everyScope,
			atAuthorize: func(form url.Values, resource string) { form.Set("resource", resource+"/") },
			atToken:     func(form url.Values, resource string) { form.Set("resource", resource+"/") },
		},
		{
			client: "Claude Code: another port each time, offline_access",
			registration: `{"client_name":"Claude Code (scaling)","grant_types":["authorization_code","refresh_token"],"response_types":["code"],
				"token_endpoint_auth_method":"none","redirect_uris":["http://localhost:PORT/callback"]}`,
			redirectURI: "http://localhost:PORT/callback", registrations: 1, scope: challenged + " offline_access",
			atAuthorize: then(sendsResource, set("prompt", "consent")), atToken: sendsResource,
		},
		{
			client: "Cursor: three redirect URIs, no resource",
			registration: `{"client_name":"Cursor","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],
				"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","https://www.cursor.com/agents/mcp/oauth/callback","http://localhost:8787/callback"]}`,
			redirectURI: "http://localhost:8787/callback", registrations: 1, scope: everyScope,
		},
		{
			client: "Cursor: its own scheme",
			registration: `{"client_name":"Cursor","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],
				"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","https://www.cursor.com/agents/mcp/oauth/callback","http://localhost:8787/callback"]}`,
			redirectURI: "cursor://anysphere.cursor-mcp/oauth/callback", registrations: 1, scope: everyScope,
		},
		{
			client: "VS Code: device_code, https and loopback, capital host",
			registration: `{"client_name":"Visual Studio Code","client_uri":"https://code.visualstudio.com","application_type":"native","token_endpoint_auth_method":"none",
				"grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"response_types":["code"],
				"redirect_uris":["https://insiders.vscode.dev/redirect","https://vscode.dev/redirect","http://127.0.0.1/","http://127.0.0.1:33418/"]}`,
			redirectURI: "http://127.0.0.1:PORT/", registrations: 1, scope: challenged,
			atAuthorize: func(form url.Values, resource string) {
				form.Set("resource", strings.Replace(resource, "http://", "HTTP://", 1))
			},
			atToken: sendsResource,
		},
		{
			client: "VS Code: by way of vscode.dev",
			registration: `{"client_name":"Visual Studio Code","client_uri":"https://code.visualstudio.com","application_type":"native","token_endpoint_auth_method":"none",
				"grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"response_types":["code"],
				"redirect_uris":["https://insiders.vscode.dev/redirect","https://vscode.dev/redirect","http://127.0.0.1/","http://127.0.0.1:33418/"]}`,
			redirectURI: "https://vscode.dev/redirect", registrations: 1, scope: challenged, atAuthorize: sendsResource, atToken: sendsResource,
		},
		{
			client: "Gemini CLI: empty scope, scope at refresh",
			registration: `{"client_name":"Gemini CLI MCP Client","scope":"","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],
				"response_types":["code"],"redirect_uris":["http://localhost:7777/oauth/callback"]}`,
			redirectURI: "http://localhost:PORT/oauth/callback", registrations: 1,
			atAuthorize: sendsResource, atToken: sendsResource, atRefresh: set("scope", challenged),
		},
		{
			client: "Goose: refreshes at each start",
			registration: `{"client_name":"goose","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],
				"redirect_uris":["http://127.0.0.1:PORT/oauth_callback"]}`,
			redirectURI: "http://127.0.0.1:PORT/oauth_callback", registrations: 1, scope: challenged, atAuthorize: sendsResource, atToken: sendsResource,
		},
		{
			client: "Codex CLI: no resource at refresh",
			registration: `{"client_name":"Codex","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],
				"redirect_uris":["http://127.0.0.1:PORT/callback"]}`,
			redirectURI: "http://127.0.0.1:PORT/callback", registrations: 1, scope: everyScope,
			atAuthorize: sendsResource, atToken: sendsResource, atRefresh: without("resource"),
		},
		{
			client: "mcp-remote: scopes that we do not have, consent each time",
			registration: `{"client_name":"MCP CLI Proxy","client_uri":"https://github.com/geelen/mcp-remote","software_id":"2e6dc280-f3c3-4e01-99a7-8181dbd1d23d",
				"software_version":"0.15.1","scope":"read offline_access","application_type":"native","token_endpoint_auth_method":"none",
				"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"redirect_uris":["http://localhost:7148/oauth/callback"]}`,
			redirectURI: "http://localhost:7148/oauth/callback", registrations: 1, scope: "read offline_access",
			atAuthorize: then(sendsResource, set("prompt", "consent")), atToken: sendsResource, atRefresh: set("scope", "read offline_access"),
		},
		{
			client: "MCP Inspector",
			registration: `{"client_name":"MCP Inspector","client_uri":"https://github.com/modelcontextprotocol/inspector","scope":"read offline_access",
				"application_type":"native","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],
				"redirect_uris":["http://127.0.0.1:6276/oauth/callback"]}`,
			redirectURI: "http://127.0.0.1:6276/oauth/callback", registrations: 1, scope: "read offline_access",
			atAuthorize: sendsResource, atToken: sendsResource, atRefresh: set("scope", "read offline_access"),
		},
		{
			client:       "TypeScript SDK v1: nothing but a redirect URI, no state",
			registration: `{"client_name":"my agent","redirect_uris":["http://localhost:PORT/callback"]}`,
			redirectURI:  "http://localhost:PORT/callback", registrations: 1,
			atAuthorize: then(sendsResource, without("state")), atToken: sendsResource, confidential: true,
		},
		{
			client: "OpenCode: registers at each login",
			registration: `{"client_name":"OpenCode","client_uri":"https://opencode.ai","token_endpoint_auth_method":"none",
				"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"redirect_uris":["http://127.0.0.1:19876/mcp/oauth/callback"]}`,
			redirectURI: "http://127.0.0.1:19876/mcp/oauth/callback", registrations: 1, scope: challenged, atAuthorize: sendsResource, atToken: sendsResource,
		},
	}
}

// quirkClient is a quirk that has started once, and so has a port.
type quirkClient struct {
	quirk
	*oauthClient
	secret string
}

// launch starts the client: it picks a port and registers.
func (q quirk) launch(s *server, port string) *quirkClient {
	s.t.Helper()
	c := &quirkClient{quirk: q, oauthClient: &oauthClient{s: s, redirectURI: strings.ReplaceAll(q.redirectURI, "PORT", port), verifier: strings.Repeat("v", 43)}}
	for range q.registrations {
		a := s.postJSON("/oauth/register", strings.ReplaceAll(q.registration, "PORT", port))
		if a.StatusCode != http.StatusCreated || strings.Contains(a.body, "null") {
			s.t.Fatalf("registration: %d %s", a.StatusCode, a.body)
		}
		registered := a.json(s.t)
		c.id, _ = registered["client_id"].(string)
		c.secret, _ = registered["client_secret"].(string)
	}
	if (c.secret != "") != q.confidential {
		s.t.Fatalf("a secret was given: %v, want %v", c.secret != "", q.confidential)
	}
	return c
}

// login connects through the browser of the person.
func (c *quirkClient) login() tokens {
	c.s.t.Helper()
	answer := c.allow(func(request, _ url.Values) {
		request.Del("scope")
		if c.scope != "" {
			request.Set("scope", c.scope)
		}
		if c.atAuthorize != nil {
			c.atAuthorize(request, c.s.url+"/mcp")
		}
	})
	return c.ask(c.redemption(answer.Get("code"))).tokens(c.s.t)
}

// ask sends a token request in the client's own manner.
func (c *quirkClient) ask(form url.Values) answer {
	c.s.t.Helper()
	if c.atToken != nil {
		c.atToken(form, c.s.url+"/mcp")
	}
	if c.atRefresh != nil && form.Get("grant_type") == store.GrantRefresh {
		c.atRefresh(form, c.s.url+"/mcp")
	}
	if !c.confidential {
		return c.oauthClient.token(form)
	}
	form.Del("client_id")
	r, err := http.NewRequestWithContext(c.s.t.Context(), http.MethodPost, c.s.url+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		c.s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", formEncoded)
	r.SetBasicAuth(c.id, c.secret)
	return c.s.do(http.DefaultClient, r)
}

func (c *quirkClient) rotate(token string) answer {
	c.s.t.Helper()
	return c.ask(url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {token}})
}

// TestClientsAsTheyAre leads each client that registers dynamically through a
// week: it connects, its processes refresh at once, it comes back the next day,
// loses an answer, and is set up once more.
func TestClientsAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, q := range quirks() {
		t.Run(q.client, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			q.launch(s, "51111") // an earlier start, on another port
			c := q.launch(s, "52222")
			first := c.login()
			claims := s.claims(first.Access)
			if claims.Audience != s.url+"/mcp" || claims.ClientID != c.id || first.Refresh == "" {
				t.Fatalf("audience %q, client %q, refresh token %v", claims.Audience, claims.ClientID, first.Refresh != "")
			}

			alive := func() bool {
				state, err := s.store.ConnectionState(t.Context(), claims.ConnectionID)
				if err != nil {
					t.Fatal(err)
				}
				return state.Live
			}
			successors := map[string]bool{}
			var tk tokens
			for _, a := range race(8, func() answer { return c.rotate(first.Refresh) }) {
				tk = a.tokens(t)
				successors[tk.Refresh] = true
				if got := s.claims(tk.Access); got.ConnectionID != claims.ConnectionID || len(got.Scopes) != len(claims.Scopes) {
					t.Errorf("refreshed to connection %s with %v, want %s with %v", got.ConnectionID, got.Scopes, claims.ConnectionID, claims.Scopes)
				}
			}
			if len(successors) != 1 {
				t.Fatalf("eight refreshes at once made %d chains, want 1", len(successors))
			}

			s.clock.advance(24 * time.Hour)
			verifier := accesstoken.NewVerifier(s.url, []string{s.url + "/mcp"}, s.keys)
			if _, err := verifier.Verify(tk.Access, s.clock.Now()); !errors.Is(err, accesstoken.ErrExpired) {
				t.Errorf("the access token of yesterday: %v, want that it has expired", err)
			}
			lost := c.rotate(tk.Refresh).tokens(t) // and never arrives

			s.clock.advance(2 * time.Hour) // until the access token has expired, and an hour
			again := c.rotate(tk.Refresh).tokens(t)
			if again.Refresh != lost.Refresh {
				t.Error("after a lost answer the token begins a second chain")
			}
			s.claims(c.rotate(again.Refresh).tokens(t).Access)
			if !alive() || s.published.count() != 0 {
				t.Fatal("the connection was revoked")
			}

			other := q.launch(s, "53333")
			if (other.id == c.id) == q.confidential {
				t.Errorf("registered again: the same client is %v, want %v", other.id == c.id, !q.confidential)
			}
			s.claims(other.login().Access)
			if superseded := !alive(); superseded != (q.redirectURI == claudeRedirect) {
				t.Errorf("connected again: the first connection ended is %v", superseded)
			}
		})
	}
}
