package authz_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestRegistrationAcceptsClientsAsTheyAre has the bodies that real clients send.
func TestRegistrationAcceptsClientsAsTheyAre(t *testing.T) {
	t.Parallel()
	s := start(t)
	tests := []struct{ client, body, authMethod string }{
		{"Cursor: three kinds of redirect URI at once", `{"client_name":"Cursor","token_endpoint_auth_method":"none","redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","https://www.cursor.com/agents/mcp/oauth/callback","http://localhost:8787/callback"]}`, "none"},
		{"VS Code: grant types that we do not have, native with https", `{"client_name":"Visual Studio Code","application_type":"native","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"response_types":["code"],"redirect_uris":["https://insiders.vscode.dev/redirect","https://vscode.dev/redirect","http://127.0.0.1/","http://127.0.0.1:33418/"]}`, "none"},
		{"Gemini CLI: empty scope", `{"client_name":"Gemini CLI MCP Client","scope":"","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"redirect_uris":["http://localhost:7777/oauth/callback"]}`, "none"},
		{"mcp-remote", `{"client_name":"MCP CLI Proxy","client_uri":"https://github.com/geelen/mcp-remote","software_id":"x","software_version":"0.15.1","scope":"read offline_access","application_type":"native","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"redirect_uris":["http://localhost:7148/oauth/callback"]}`, "none"},
		{"TypeScript SDK v1: nothing but the redirect URI", `{"redirect_uris":["http://localhost:1234/callback"]}`, "client_secret_basic"},
		{"unknown members, odd client_uri", `{"redirect_uris":["https://a.example/cb"],"client_uri":"javascript:alert(1)","jwks_uri":"http://169.254.169.254/","contacts":["x"],"logo_uri":"http://127.0.0.1/"}`, "client_secret_basic"},
	}
	for _, tt := range tests {
		a := s.postJSON("/oauth/register", tt.body)
		if a.StatusCode != http.StatusCreated {
			t.Errorf("%s: %d %s, want 201", tt.client, a.StatusCode, a.body)
			continue
		}
		if strings.Contains(a.body, "null") || strings.Contains(a.body, "javascript:") {
			t.Errorf("%s: the answer has a null or a script: %s", tt.client, a.body)
		}
		got := a.json(t)
		if got["token_endpoint_auth_method"] != tt.authMethod {
			t.Errorf("%s: token_endpoint_auth_method is %v, want %s", tt.client, got["token_endpoint_auth_method"], tt.authMethod)
		}
		_, hasSecret := got["client_secret"]
		if _, says := got["client_secret_expires_at"]; hasSecret != says || hasSecret == (tt.authMethod == "none") {
			t.Errorf("%s: secret %v, its expiry %v", tt.client, hasSecret, says)
		}
		var sent struct {
			RedirectURIs []string `json:"redirect_uris"`
		}
		if err := json.Unmarshal([]byte(tt.body), &sent); err != nil {
			t.Fatal(err)
		}
		var echoed []string
		for _, uri := range got["redirect_uris"].([]any) {
			echoed = append(echoed, uri.(string))
		}
		if !slices.Equal(echoed, sent.RedirectURIs) {
			t.Errorf("%s: redirect_uris are %v, want them as sent", tt.client, echoed)
		}
	}
}

func TestRegistrationRefuses(t *testing.T) {
	t.Parallel()
	s := start(t)
	uris := func(uri string) string { return `{"redirect_uris":["` + uri + `"]}` }
	tests := []struct{ name, body, want string }{
		{"javascript", uris("javascript:alert(1)"), "invalid_redirect_uri"},
		{"javascript in capitals", uris("JavaScript:alert(1)"), "invalid_redirect_uri"},
		{"data", uris("data:text/html,x"), "invalid_redirect_uri"},
		{"file", uris("file:///etc/passwd"), "invalid_redirect_uri"},
		{"vbscript", uris("vbscript:x"), "invalid_redirect_uri"},
		{"blob", uris("blob:https://a.example/1"), "invalid_redirect_uri"},
		{"http to another host", uris("http://a.example/cb"), "invalid_redirect_uri"},
		{"http to a look-alike of this computer", uris("http://localhost.a.example/cb"), "invalid_redirect_uri"},
		{"user information", uris("https://user:pw@a.example/cb"), "invalid_redirect_uri"},
		{"user information that looks like a host", uris("http://localhost@a.example/cb"), "invalid_redirect_uri"},
		{"fragment", uris("https://a.example/cb#x"), "invalid_redirect_uri"},
		{"empty fragment", uris("https://a.example/cb#"), "invalid_redirect_uri"},
		{"private scheme without a dot", uris("myapp://cb"), "invalid_redirect_uri"},
		{"relative", uris("/cb"), "invalid_redirect_uri"},
		{"no host", uris("https:///cb"), "invalid_redirect_uri"},
		{"a host that ends a CSP source", uris("https://x;sandbox/cb"), "invalid_redirect_uri"},
		{"a host that begins another CSP source", uris("https://x,y/cb"), "invalid_redirect_uri"},
		{"a host that is every CSP source", uris("https://*/cb"), "invalid_redirect_uri"},
		{"a code of its own", uris("https://a.example/cb?code=mine"), "invalid_redirect_uri"},
		{"an issuer of its own", uris("https://a.example/cb?x=1&iss=mine"), "invalid_redirect_uri"},
		{"a query that cannot be read", uris("https://a.example/cb?a;b"), "invalid_redirect_uri"},
		{"backslash", uris(`https://a.example\\@b.example/cb`), "invalid_redirect_uri"},
		{"space", uris("https://a.example/c b"), "invalid_redirect_uri"},
		{"not ASCII", uris("https://ä.example/cb"), "invalid_redirect_uri"},
		{"too long", uris("https://a.example/" + strings.Repeat("x", 2048)), "invalid_redirect_uri"},
		{"too many", `{"redirect_uris":[` + strings.TrimSuffix(strings.Repeat(`"https://a.example/cb",`, 11), ",") + `]}`, "invalid_redirect_uri"},
		{"none", `{"client_name":"x"}`, "invalid_redirect_uri"},
		{"unknown auth method", `{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"tls_client_auth"}`, "invalid_client_metadata"},
		{"implicit only", `{"redirect_uris":["https://a.example/cb"],"response_types":["token"]}`, "invalid_client_metadata"},
		{"no code grant", `{"redirect_uris":["https://a.example/cb"],"grant_types":["client_credentials"]}`, "invalid_client_metadata"},
		{"long name", `{"redirect_uris":["https://a.example/cb"],"client_name":"` + strings.Repeat("x", 256) + `"}`, "invalid_client_metadata"},
		{"NUL in the name", `{"redirect_uris":["https://a.example/cb"],"client_name":"a\u0000b"}`, "invalid_client_metadata"},
		{"wrong type", `{"redirect_uris":"https://a.example/cb"}`, "invalid_client_metadata"},
		{"not JSON", `redirect_uris=x`, "invalid_client_metadata"},
		{"too large", `{"client_name":"` + strings.Repeat("x", 70<<10) + `"}`, "invalid_client_metadata"},
	}
	for _, tt := range tests {
		a := s.postJSON("/oauth/register", tt.body)
		if got := a.json(t)["error"]; got != tt.want {
			t.Errorf("%s: error is %v (%d), want %s", tt.name, got, a.StatusCode, tt.want)
		}
	}
}

func TestIdenticalPublicRegistrationsAreOneClient(t *testing.T) {
	t.Parallel()
	s := start(t)
	register := func(body string) string { return s.postJSON("/oauth/register", body).json(t)["client_id"].(string) }
	first := register(`{"client_name":"Claude Code","token_endpoint_auth_method":"none","redirect_uris":["http://localhost:51234/callback","https://a.example/cb"]}`)
	again := register(`{"redirect_uris":["https://a.example/cb","http://localhost:49999/callback"],"token_endpoint_auth_method":"none","client_name":"Claude Code"}`)
	if first != again {
		t.Errorf("the same client on another port got another id: %s, %s", first, again)
	}
	for name, body := range map[string]string{
		"another name":  `{"client_name":"Claude","token_endpoint_auth_method":"none","redirect_uris":["http://localhost:51234/callback","https://a.example/cb"]}`,
		"another path":  `{"client_name":"Claude Code","token_endpoint_auth_method":"none","redirect_uris":["http://localhost:51234/callback2","https://a.example/cb"]}`,
		"a secret":      `{"client_name":"Claude Code","redirect_uris":["http://localhost:51234/callback","https://a.example/cb"]}`,
		"another https": `{"client_name":"Claude Code","token_endpoint_auth_method":"none","redirect_uris":["http://localhost:51234/callback","https://a.example:8443/cb"]}`,
	} {
		if register(body) == first {
			t.Errorf("%s: got the other client's id", name)
		}
	}
	ids := map[string]bool{}
	for _, a := range race(16, func() answer {
		return s.postJSON("/oauth/register", `{"token_endpoint_auth_method":"none","redirect_uris":["https://race.example/cb"]}`)
	}) {
		ids[a.json(t)["client_id"].(string)] = true
	}
	if len(ids) != 1 {
		t.Errorf("16 identical registrations at once made %d clients, want 1", len(ids))
	}
}
