package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMetadataIsOneDocumentEverywhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := s.get("/.well-known/oauth-authorization-server")
	got := first.json(t)
	if got["issuer"] != s.url {
		t.Errorf("issuer is %v, want %s", got["issuer"], s.url)
	}
	for name, want := range map[string]any{
		"pushed_authorization_request_endpoint":            s.url + "/oauth/par",
		"require_pushed_authorization_requests":            false,
		"request_uri_parameter_supported":                  false,
		"code_challenge_methods_supported":                 []any{"S256"},
		"response_types_supported":                         []any{"code"},
		"authorization_response_iss_parameter_supported":   true,
		"token_endpoint_auth_methods_supported":            []any{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []any{"ES256", "RS256", "PS256", "EdDSA"},
		"client_id_metadata_document_supported":            true,
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, path := range []string{
		"/.well-known/oauth-authorization-server/", "/.well-known/oauth-authorization-server/mcp", "/.well-known/openid-configuration",
	} {
		a := s.get(path)
		if a.body != first.body || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d, %v", path, a.StatusCode, a.Header)
		}
	}
	if keys := s.get("/oauth/jwks"); strings.Contains(keys.body, `"d"`) || !strings.Contains(keys.body, `"kid"`) {
		t.Errorf("the key set is not public keys: %s", keys.body)
	}
}

// TestEveryEndpointAnswersInItsOwnForm: programs get JSON whatever they do wrong.
func TestEveryEndpointAnswersInItsOwnForm(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/oauth/token", "/oauth/register", "/oauth/revoke", "/oauth/par", "/oauth/jwks", "/.well-known/oauth-authorization-server"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPost} {
			r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader("{"))
			if err != nil {
				t.Fatal(err)
			}
			a := s.do(http.DefaultClient, r)
			if a.StatusCode >= 500 {
				t.Errorf("%s %s: %d", method, path, a.StatusCode)
			}
			if method == http.MethodOptions {
				if a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Methods") == "" {
					t.Errorf("%s %s: %d, want an answer to the preflight", method, path, a.StatusCode)
				}
				continue
			}
			a.json(t)
			if a.StatusCode == http.StatusMethodNotAllowed && a.Header.Get("Allow") == "" {
				t.Errorf("%s %s: 405 without Allow", method, path)
			}
		}
	}
}

// otherRedirectURIs are what an attacker, or a careless client, makes of a
// registered https redirect URI (RFC 9700 §4.1).
func otherRedirectURIs() map[string]string {
	return map[string]string{
		"another host":           "https://evil.example/",
		"trailing slash":         claudeRedirect + "/",
		"capital scheme":         "HTTPS://claude.ai/api/mcp/auth_callback",
		"capital host":           "https://CLAUDE.ai/api/mcp/auth_callback",
		"capital path":           "https://claude.ai/api/mcp/AUTH_callback",
		"explicit port":          "https://claude.ai:443/api/mcp/auth_callback",
		"another port":           "https://claude.ai:8443/api/mcp/auth_callback",
		"http":                   "http://claude.ai/api/mcp/auth_callback",
		"extra query":            claudeRedirect + "?x=1",
		"empty query":            claudeRedirect + "?",
		"parent directory":       claudeRedirect + "/../x",
		"same directory":         "https://claude.ai/api/./mcp/auth_callback",
		"encoded traversal":      claudeRedirect + "/%2e%2e/x",
		"user information":       "https://x@claude.ai/api/mcp/auth_callback",
		"host as user":           "https://claude.ai@evil.example/api/mcp/auth_callback",
		"look-alike letter":      "https://\u0441laude.ai/api/mcp/auth_callback",
		"look-alike in punycode": "https://xn--laude-2of.ai/api/mcp/auth_callback",
		"host with a final dot":  "https://claude.ai./api/mcp/auth_callback",
		"longer host":            "https://claude.ai.evil.example/api/mcp/auth_callback",
		"backslash":              "https://claude.ai\\@evil.example/api/mcp/auth_callback",
		"fragment":               claudeRedirect + "#x",
		"empty fragment":         claudeRedirect + "#",
		"encoded letter":         "https://claude.ai/api/mcp/auth%5fcallback",
		"encoded slash":          "https://claude.ai/api%2fmcp/auth_callback",
		"2 KB":                   claudeRedirect + strings.Repeat("x", 2048),
		"space in front":         " " + claudeRedirect,
		"line break behind":      claudeRedirect + "\r\nSet-Cookie: x=y",
		"no scheme":              "//claude.ai/api/mcp/auth_callback",
		"javascript":             "javascript:alert(1)",
		"javascript, disguised":  "javascript://claude.ai/api/mcp/auth_callback%0aalert(1)",
		"data":                   "data:text/html,<script>alert(1)</script>",
		"file":                   "file:///etc/passwd",
		"vbscript":               "vbscript:x",
		"blob":                   "blob:https://claude.ai/1",
		"about":                  "about:blank",
		"http without slashes":   "http:claude.ai/api/mcp/auth_callback",
		"loopback":               "http://127.0.0.1/api/mcp/auth_callback",
	}
}

// rows counts everything that a request could leave behind.
func (s *server) rows() (n int) {
	s.t.Helper()
	err := s.store.Pool().QueryRow(s.t.Context(), `
		SELECT (SELECT count(*) FROM authorization_requests) + (SELECT count(*) FROM pushed_requests)
		     + (SELECT count(*) FROM authorization_codes) + (SELECT count(*) FROM connections)
		     + (SELECT count(*) FROM sign_in_attempts) + (SELECT count(*) FROM oauth_clients)`).Scan(&n)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// refusal is an authorization request that is wrong in one way.
type refusal struct {
	name   string
	change func(url.Values)
	want   string // the error code
	page   bool   // the person is told, and nobody redirected; else the client is
}

// refusals are the checks of RFC 6749 §4.1.2.1 and its relatives, in the order
// in which they are made.
func refusals(s *server) []refusal {
	set := func(name, value string) func(url.Values) { return func(f url.Values) { f.Set(name, value) } }
	add := func(name, value string) func(url.Values) { return func(f url.Values) { f.Add(name, value) } }
	del := func(name string) func(url.Values) { return func(f url.Values) { f.Del(name) } }
	list := []refusal{
		{"RFC 6749 §3.1: redirect URI twice", add("redirect_uri", "https://evil.example/"), "invalid_request", true},
		{"RFC 6749 §3.1: the same redirect URI twice", add("redirect_uri", claudeRedirect), "invalid_request", true},
		{"RFC 6749 Appendix B: NUL", set("state", "a\x00b"), "invalid_request", true},
		{"RFC 6749 Appendix B: not UTF-8", set("scope", "\xff"), "invalid_request", true},
		{"too long", set("state", strings.Repeat("x", 9<<10)), "invalid_request", true},

		{"RFC 6749 §3.1: scope twice", add("scope", "x"), "invalid_request", false},
		{"RFC 6749 §3.1: response type twice", add("response_type", "code"), "invalid_request", false},
		{"RFC 6749 §3.1: challenge twice", add("code_challenge", challenge("another")), "invalid_request", false},
		{"OIDC §3.1.2.6: request object", set("request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported", false},
		{"RFC 6749 §3.1.1: no response type", del("response_type"), "invalid_request", false},
		{"RFC 6749 §3.1.1: implicit", set("response_type", "token"), "unsupported_response_type", false},
		{"RFC 6749 §3.1.1: ID token", set("response_type", "id_token"), "unsupported_response_type", false},
		{"RFC 6749 §3.1.1: hybrid", set("response_type", "code token"), "unsupported_response_type", false},
		{"RFC 6749 §3.1.1: in capitals", set("response_type", "CODE"), "unsupported_response_type", false},
		{"response mode fragment", set("response_mode", "fragment"), "invalid_request", false},
		{"response mode form_post", set("response_mode", "form_post"), "invalid_request", false},
		{"response mode unknown", set("response_mode", "query.jwt"), "invalid_request", false},
		{"RFC 7636 §4.4.1: no PKCE", func(f url.Values) { f.Del("code_challenge"); f.Del("code_challenge_method") }, "invalid_request", false},
		{"RFC 7636 §4.4.1: no challenge", del("code_challenge"), "invalid_request", false},
		{"RFC 9700 §2.1.1: plain", set("code_challenge_method", "plain"), "invalid_request", false},
		{"RFC 7636 §4.3: no method means plain", del("code_challenge_method"), "invalid_request", false},
		{"RFC 7636 §4.3: method in lower case", set("code_challenge_method", "s256"), "invalid_request", false},
		{"RFC 7636 §4.2: challenge too short", set("code_challenge", challenge("x")[:42]), "invalid_request", false},
		{"RFC 7636 §4.2: challenge too long", set("code_challenge", challenge("x")+"A"), "invalid_request", false},
		{"RFC 7636 §4.2: challenge with padding", set("code_challenge", challenge("x")[:42]+"="), "invalid_request", false},
		{"RFC 7636 §4.2: line break behind the challenge", set("code_challenge", challenge("x")+"\n"), "invalid_request", false},
		{"RFC 8707 §2: another resource", set("resource", "https://evil.example/mcp"), "invalid_target", false},
		{"RFC 8707 §2: a path below ours", set("resource", s.url+"/mcp/x"), "invalid_target", false},
		{"RFC 8707 §2: fragment", set("resource", s.url+"/mcp#x"), "invalid_target", false},
		{"RFC 8707 §2: query", set("resource", s.url+"/mcp?x"), "invalid_target", false},
		{"RFC 8707 §2: two slashes", set("resource", s.url+"/mcp//"), "invalid_target", false},
		{"RFC 8707 §2: two resources", func(f url.Values) { f["resource"] = []string{s.url, s.url + "/mcp"} }, "invalid_request", false},
		{"OIDC §3.1.2.1: none and another prompt", set("prompt", "none login"), "invalid_request", false},
		{"OIDC §3.1.2.6: prompt=none", set("prompt", "none"), "consent_required", false},
	}
	for name, uri := range otherRedirectURIs() {
		list = append(list, refusal{"redirect URI: " + name, set("redirect_uri", uri), "invalid_request", true})
	}
	return list
}

// isRefused fails the test unless an answer of the authorization endpoint is
// what a refusal wants.
func (s *server) isRefused(tt refusal, a answer, state string) {
	s.t.Helper()
	location := a.Header.Get("Location")
	if tt.page {
		if a.StatusCode < 400 || a.StatusCode >= 500 || location != "" || a.page(s.t).Find("h1").Length() != 1 {
			s.t.Errorf("%s: %d, Location %q, want an error page", tt.name, a.StatusCode, location)
		}
		return
	}
	u, err := url.Parse(location)
	if err != nil || a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, claudeRedirect+"?") {
		s.t.Errorf("%s: %d, Location %q, want a redirect to the client", tt.name, a.StatusCode, location)
		return
	}
	got := u.Query()
	if got.Get("error") != tt.want || got.Get("state") != state || got.Get("iss") != s.url || got.Has("code") {
		s.t.Errorf("%s: answer is %v, want %s with state and iss", tt.name, got, tt.want)
	}
}

// TestAuthorizeRefuses goes through what can be wrong, and where it is told.
func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	before := s.rows()
	set := func(name, value string) func(url.Values) { return func(f url.Values) { f.Set(name, value) } }
	for _, tt := range append(refusals(s),
		refusal{"RFC 6749 §4.1.2.1: no client", func(f url.Values) { f.Del("client_id") }, "invalid_request", true},
		refusal{"RFC 6749 §4.1.2.1: empty client", set("client_id", ""), "invalid_request", true},
		refusal{"RFC 6749 §4.1.2.1: unknown client", set("client_id", "nobody"), "invalid_client", true},
		refusal{"RFC 6749 Appendix B: client not UTF-8", set("client_id", "\xff"), "invalid_request", true},
		refusal{"RFC 6749 §3.1: client twice", func(f url.Values) { f.Add("client_id", c.id) }, "invalid_request", true},
		refusal{"OIDC §3.1.2.6: a request_uri of the client's", set("request_uri", "https://evil.example/request.jwt"), "request_uri_not_supported", false},
		refusal{"RFC 6749 §3.1: request_uri twice", func(f url.Values) { f["request_uri"] = []string{"urn:ietf:params:oauth:request_uri:x", "y"} }, "invalid_request", false},
	) {
		const state = "a state&with=everything+in %it, \u00e9"
		f := c.request()
		f.Set("state", state)
		tt.change(f)
		s.isRefused(tt, s.get("/oauth/authorize?"+f.Encode()), state)
		s.isRefused(tt, s.post(s.browser, "/oauth/authorize", f), state)
	}
	if after := s.rows(); after != before {
		t.Errorf("%d rows were stored by requests that were refused", after-before)
	}
}

func TestStateSentTwiceIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	f := c.request()
	f.Add("state", "other")
	location, err := s.get("/oauth/authorize?" + f.Encode()).Location()
	if err != nil {
		t.Fatal(err)
	}
	if got := location.Query(); got.Get("error") != "invalid_request" || got.Has("state") {
		t.Errorf("answer is %v, want invalid_request without a state", got)
	}
}

// TestStateComesBackByteForByte is RFC 6749 §4.1.2: "the exact value".
func TestStateComesBackByteForByte(t *testing.T) {
	t.Parallel()
	s := start(t)
	for redirectURI, local := range map[string]bool{"https://a.example/cb?tenant=1": false, "http://127.0.0.1/cb": true} {
		c := s.register(redirectURI)
		for name, state := range map[string]string{
			"absent": "", "one character": "x", "2 KB": strings.Repeat("s", 2048), "unicode": "\u65e5\u672c \U0001f600",
			"reserved": "a&b=c+d e%20f#g?h/i;j", "JSON": `{"nonce":"a/b+c=="}`, "spaces around": " x ", "line break": "a\r\nb",
		} {
			for _, action := range []string{"allow", "deny"} {
				f := c.request()
				f.Set("state", state)
				page, _ := c.consentPage(f)
				posted := form(t, page)
				posted.Set("action", action)
				location, err := s.post(s.browser, "/oauth/consent", posted).Location()
				if err != nil {
					t.Errorf("%s, %s: %v", name, action, err)
					continue
				}
				got := location.Query()
				if got.Get("state") != state || got.Has("state") != (state != "") || got.Get("iss") != s.url {
					t.Errorf("%s, %s: answer is %v, want the state as it was, and iss", name, action, got)
				}
				if !local && got.Get("tenant") != "1" {
					t.Errorf("%s: the redirect URI lost its query: %s", name, location)
				}
			}
		}
	}
}

func TestAuthorizeForgivesWhatClientsDo(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register("http://localhost/callback")
	set := func(name, value string) func(url.Values) { return func(f url.Values) { f.Set(name, value) } }
	for name, change := range map[string]func(url.Values){
		"prompt=consent":                  set("prompt", "consent"),
		"prompt=create":                   set("prompt", "create"),
		"a prompt that nobody knows":      set("prompt", "x y"),
		"empty prompt":                    set("prompt", ""),
		"response_mode=query":             set("response_mode", "query"),
		"unknown scopes":                  set("scope", "read openid offline_access"),
		"scopes twice in one parameter":   set("scope", "incidents:read  incidents:read"),
		"scopes that are no scope tokens": set("scope", "\"incidents:read\" \\ \u00e9"),
		"no scope":                        func(f url.Values) { f.Del("scope") },
		"empty scope":                     set("scope", ""),
		"no resource":                     func(f url.Values) { f.Del("resource") },
		"another loopback port":           set("redirect_uri", "http://localhost:58135/callback"),
		"no redirect URI, one registered": func(f url.Values) { f.Del("redirect_uri") },
		"what OpenID Connect clients add": func(f url.Values) {
			f.Set("nonce", "n")
			f.Set("max_age", "0")
			f.Set("ui_locales", "de")
			f.Set("login_hint", "x@y.example")
			f.Set("display", "popup")
		},
		"unknown parameter twice":            func(f url.Values) { f["x"] = []string{"1", "2"} },
		"a parameter once empty, once not":   func(f url.Values) { f.Add("scope", "") },
		"request and request_uri, but empty": func(f url.Values) { f.Set("request", ""); f.Set("request_uri", "") },
	} {
		f := c.request()
		change(f)
		for method, a := range map[string]answer{"GET": s.get("/oauth/authorize?" + f.Encode()), "POST": s.post(s.browser, "/oauth/authorize", f)} {
			location := a.Header.Get("Location")
			if !strings.HasPrefix(location, "/oauth/consent?") {
				t.Errorf("%s %s: %d, Location %q, want the consent page", method, name, a.StatusCode, location)
				continue
			}
			answer, err := s.post(s.browser, "/oauth/consent", form(t, s.get(location))).Location()
			if err != nil || answer.Query().Get("code") == "" || answer.Query().Get("iss") != s.url {
				t.Errorf("%s %s: answer is %v, %v", method, name, answer, err)
			}
		}
	}
}

// TestResourceIsOneOfTwo is RFC 8707 §2 as design §9 has it: what is forgiven in
// the request is not in the token.
func TestResourceIsOneOfTwo(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	upper := strings.ToUpper(s.url[:7]) + strings.ToUpper(s.url[7:])
	for sent, want := range map[string]string{
		"": s.url + "/mcp", s.url + "/mcp": s.url + "/mcp", s.url + "/mcp/": s.url + "/mcp", upper + "/mcp": s.url + "/mcp",
		s.url: s.url, s.url + "/": s.url, upper: s.url,
	} {
		answer := c.allow(func(request, _ url.Values) { request.Set("resource", sent) })
		if got := s.claims(c.token(c.redemption(answer.Get("code"))).tokens(t).Access).Audience; got != want {
			t.Errorf("resource %q: the token is for %s, want %s", sent, got, want)
		}
	}
}

// TestErrorsGoUnseenOnlyWhereThatIsSafe: an error that no person caused is not a
// way to bounce people off our domain (RFC 9700 §4.11.2).
func TestErrorsGoUnseenOnlyWhereThatIsSafe(t *testing.T) {
	t.Parallel()
	s := start(t)
	for redirectURI, redirects := range map[string]bool{
		claudeRedirect:                true,
		"http://127.0.0.1/callback":   true,
		"https://stranger.example/cb": false,
		"com.stranger.app:/cb":        false,
	} {
		c := s.register(redirectURI)
		f := c.request()
		f.Set("prompt", "none")
		a := s.get("/oauth/authorize?" + f.Encode())
		if got := a.Header.Get("Location") != ""; got != redirects {
			t.Errorf("%s: redirected is %v, want %v", redirectURI, got, redirects)
		}
		if redirects {
			continue
		}
		href := a.page(t).Find("a[rel]").AttrOr("href", "")
		if !strings.HasPrefix(href, redirectURI+"?") || !strings.Contains(href, "error=consent_required") {
			t.Errorf("%s: Continue leads to %q", redirectURI, href)
		}
	}
}

func TestDamagedQueryIsNotReadInPart(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	for _, damage := range []string{"&resource=https://evil.example/mcp;x", "&resource=%zz", "&client_id=evil;"} {
		if a := s.get("/oauth/authorize?" + c.request().Encode() + damage); a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d, Location %q, want an error page", damage, a.StatusCode, a.Header.Get("Location"))
		}
	}
}
