package authz_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/store"
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
		"code_challenge_methods_supported":               []any{"S256"},
		"response_types_supported":                       []any{"code"},
		"authorization_response_iss_parameter_supported": true,
		"token_endpoint_auth_methods_supported":          []any{"none", "client_secret_basic", "client_secret_post"},
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
	for _, path := range []string{"/oauth/token", "/oauth/register", "/oauth/revoke", "/oauth/jwks", "/.well-known/oauth-authorization-server"} {
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

// TestAuthorizeNeverRedirectsBeforeItKnowsWhere has requests whose error is for
// the person alone.
func TestAuthorizeNeverRedirectsBeforeItKnowsWhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	tests := []struct {
		name   string
		change func(url.Values)
	}{
		{"RFC 6749 §4.1.2.1: no client", func(f url.Values) { f.Del("client_id") }},
		{"RFC 6749 §4.1.2.1: unknown client", func(f url.Values) { f.Set("client_id", "nobody") }},
		{"RFC 6749 §3.1: client twice", func(f url.Values) { f.Add("client_id", "x") }},
		{"RFC 6749 §3.1: redirect URI twice", func(f url.Values) { f.Add("redirect_uri", "https://evil.example/") }},
		{"RFC 9700 §4.1: another host", func(f url.Values) { f.Set("redirect_uri", "https://evil.example/") }},
		{"RFC 9700 §4.1: trailing slash", func(f url.Values) { f.Set("redirect_uri", claudeRedirect+"/") }},
		{"RFC 9700 §4.1: capital host", func(f url.Values) { f.Set("redirect_uri", "https://CLAUDE.ai/api/mcp/auth_callback") }},
		{"RFC 9700 §4.1: explicit port", func(f url.Values) { f.Set("redirect_uri", "https://claude.ai:443/api/mcp/auth_callback") }},
		{"RFC 9700 §4.1: extra query", func(f url.Values) { f.Set("redirect_uri", claudeRedirect+"?x=1") }},
		{"RFC 9700 §4.1: path traversal", func(f url.Values) { f.Set("redirect_uri", claudeRedirect+"/../x") }},
		{"RFC 9700 §4.1: user information", func(f url.Values) { f.Set("redirect_uri", "https://x@claude.ai/api/mcp/auth_callback") }},
		{"RFC 9700 §4.1: encoded", func(f url.Values) { f.Set("redirect_uri", "https://claude.ai/api/mcp/auth%5fcallback") }},
		{"javascript", func(f url.Values) { f.Set("redirect_uri", "javascript:alert(1)") }},
		{"NUL", func(f url.Values) { f.Set("state", "a\x00b") }},
		{"RFC 6749 Appendix B: not UTF-8", func(f url.Values) { f.Set("client_id", "\xff") }},
		{"too long", func(f url.Values) { f.Set("state", strings.Repeat("x", 9<<10)) }},
	}
	for _, tt := range tests {
		f := c.request()
		tt.change(f)
		a := s.get("/oauth/authorize?" + f.Encode())
		if a.StatusCode < 400 || a.StatusCode >= 500 || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d, Location %q, want an error page", tt.name, a.StatusCode, a.Header.Get("Location"))
		}
		if a.page(t).Find("h1").Length() != 1 {
			t.Errorf("%s: not a page: %s", tt.name, a.body)
		}
	}
}

// TestAuthorizeTellsTheClient has requests whose error goes to the client.
func TestAuthorizeTellsTheClient(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	tests := []struct {
		name   string
		change func(url.Values)
		want   string
	}{
		{"RFC 6749 §3.1.1: no response type", func(f url.Values) { f.Del("response_type") }, "invalid_request"},
		{"RFC 6749 §3.1.1: implicit", func(f url.Values) { f.Set("response_type", "token") }, "unsupported_response_type"},
		{"RFC 6749 §3.1.1: hybrid", func(f url.Values) { f.Set("response_type", "code token") }, "unsupported_response_type"},
		{"RFC 7636 §4.4.1: no challenge", func(f url.Values) { f.Del("code_challenge") }, "invalid_request"},
		{"RFC 9700 §2.1.1: plain", func(f url.Values) { f.Set("code_challenge_method", "plain") }, "invalid_request"},
		{"RFC 7636 §4.3: no method means plain", func(f url.Values) { f.Del("code_challenge_method") }, "invalid_request"},
		{"RFC 7636 §4.2: challenge too short", func(f url.Values) { f.Set("code_challenge", "x") }, "invalid_request"},
		{"form_post", func(f url.Values) { f.Set("response_mode", "form_post") }, "invalid_request"},
		{"fragment", func(f url.Values) { f.Set("response_mode", "fragment") }, "invalid_request"},
		{"RFC 8707 §2: another resource", func(f url.Values) { f.Set("resource", "https://evil.example/mcp") }, "invalid_target"},
		{"RFC 8707 §2: two resources", func(f url.Values) { f["resource"] = []string{s.url, s.url + "/mcp"} }, "invalid_request"},
		{"RFC 6749 §3.1: scope twice", func(f url.Values) { f.Add("scope", "x") }, "invalid_request"},
		{"OIDC §3.1.2.6: prompt=none", func(f url.Values) { f.Set("prompt", "none") }, "consent_required"},
	}
	for _, tt := range tests {
		f := c.request()
		tt.change(f)
		a := s.get("/oauth/authorize?" + f.Encode())
		location, err := a.Location()
		if err != nil || !strings.HasPrefix(location.String(), claudeRedirect+"?") {
			t.Errorf("%s: %d %v, want a redirect to the client", tt.name, a.StatusCode, err)
			continue
		}
		got := location.Query()
		if got.Get("error") != tt.want || got.Get("state") != "s" || got.Get("iss") != s.url || got.Has("code") {
			t.Errorf("%s: answer is %v, want %s with state and iss", tt.name, got, tt.want)
		}
	}
}

func TestAuthorizeForgivesWhatClientsDo(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register("http://localhost/callback")
	tests := []struct {
		name   string
		change func(url.Values)
	}{
		{"no state", func(f url.Values) { f.Del("state") }},
		{"empty state", func(f url.Values) { f.Set("state", "") }},
		{"prompt=consent", func(f url.Values) { f.Set("prompt", "consent") }},
		{"response_mode=query", func(f url.Values) { f.Set("response_mode", "query") }},
		{"unknown scopes", func(f url.Values) { f.Set("scope", "read openid offline_access") }},
		{"no scope", func(f url.Values) { f.Del("scope") }},
		{"resource with a slash and capitals", func(f url.Values) { f.Set("resource", strings.ToUpper(s.url[:7])+s.url[7:]+"/mcp/") }},
		{"resource is the origin", func(f url.Values) { f.Set("resource", s.url) }},
		{"another loopback port", func(f url.Values) { f.Set("redirect_uri", "http://localhost:58135/callback") }},
		{"no redirect URI, one registered", func(f url.Values) { f.Del("redirect_uri") }},
		{"unknown parameter twice", func(f url.Values) { f["x"] = []string{"1", "2"} }},
	}
	for _, tt := range tests {
		f := c.request()
		tt.change(f)
		page, _ := c.consentPage(f)
		if page.StatusCode != http.StatusOK {
			t.Errorf("%s: consent page is %d", tt.name, page.StatusCode)
			continue
		}
		a := s.post(s.browser, "/oauth/consent", form(t, page))
		location, err := a.Location()
		if err != nil {
			t.Errorf("%s: %d %s", tt.name, a.StatusCode, a.body)
			continue
		}
		got := location.Query()
		if got.Has("state") != (f.Get("state") != "") || got.Get("iss") != s.url || got.Get("code") == "" {
			t.Errorf("%s: answer is %v", tt.name, got)
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

func TestConsentSaysWhoAsksAndWhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register("https://stranger.example/cb")
	page, _ := c.consentPage(c.request())
	text := page.page(t).Find("body").Text()
	for _, want := range []string{"Test client", "stranger.example", "nverified", "alice@acme.example", "Acme", "Globex", "See incidents and their timelines"} {
		if !strings.Contains(text, want) {
			t.Errorf("the consent page does not say %q", want)
		}
	}
	boxes := map[string]bool{}
	page.page(t).Find("input[name=scope]").Each(func(_ int, box *goquery.Selection) {
		_, boxes[box.AttrOr("value", "")] = box.Attr("checked")
	})
	want := map[string]bool{
		store.ScopeIncidentsRead: true, store.ScopeSchedulesRead: true, store.ScopeIncidentsWrite: true,
		store.ScopeIncidentsPublish: false, store.ScopeOfflineAccess: true,
	}
	if diff := cmp.Diff(want, boxes); diff != "" {
		t.Errorf("ticked scopes (-want +got):\n%s", diff)
	}
	csp := page.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "form-action 'self' https://stranger.example;") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy is %q", csp)
	}
}

func TestDenyTellsTheClientAndMakesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, _ := c.consentPage(c.request())
	posted := form(t, page)
	posted.Set("action", "deny")
	location, err := s.post(s.browser, "/oauth/consent", posted).Location()
	if err != nil {
		t.Fatal(err)
	}
	if got := location.Query(); got.Get("error") != "access_denied" || got.Get("state") != "s" || got.Get("iss") != s.url || got.Has("code") {
		t.Errorf("answer is %v, want access_denied with state and iss", got)
	}
	posted.Set("action", "allow")
	if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusNotFound {
		t.Errorf("Allow after Deny: %d, want 404", a.StatusCode)
	}
}

func TestConsentFormComesBackWithWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	for name, change := range map[string]func(url.Values){
		"nothing ticked":              func(f url.Values) { f.Del("scope") },
		"only offline access":         func(f url.Values) { f["scope"] = []string{store.ScopeOfflineAccess} },
		"a scope that was not asked":  func(f url.Values) { f["scope"] = []string{"admin"} },
		"no organization":             func(f url.Values) { f.Del("org_id") },
		"somebody else's":             func(f url.Values) { f.Set("org_id", "org_other") },
		"an organization that is SQL": func(f url.Values) { f.Set("org_id", "' OR 1=1 --") },
	} {
		page, _ := c.consentPage(c.request())
		posted := form(t, page)
		change(posted)
		a := s.post(s.browser, "/oauth/consent", posted)
		if a.StatusCode != http.StatusUnprocessableEntity || a.page(t).Find("input[name=request]").Length() != 1 {
			t.Errorf("%s: %d, want the form again", name, a.StatusCode)
		}
	}
}

// TestConsentIsBoundToBrowserAndPerson is the confused deputy of the MCP security
// practices, and its relatives.
func TestConsentIsBoundToBrowserAndPerson(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, location := c.consentPage(c.request())
	posted := form(t, page)

	victim := newBrowser(t)
	if a := s.post(victim, "/oauth/consent", posted); a.StatusCode != http.StatusNotFound {
		t.Errorf("posted by another browser: %d, want 404", a.StatusCode)
	}
	mine := s.browser
	s.browser = victim
	if a := s.get(location); a.StatusCode != http.StatusNotFound {
		t.Errorf("opened in another browser: %d, want 404", a.StatusCode)
	}
	s.browser = mine

	s.people.mu.Lock()
	s.people.signedIn = "user_bob"
	s.people.mu.Unlock()
	if _, _, err := s.people.Sync(t.Context(), "user_bob"); err != nil {
		t.Fatal(err)
	}
	if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusNotFound {
		t.Errorf("posted by another person than looked at it: %d, want 404", a.StatusCode)
	}

	s.people.mu.Lock()
	s.people.signedIn = ""
	s.people.mu.Unlock()
	if a := s.get(location); !strings.HasPrefix(a.Header.Get("Location"), "/sign-in?return_to=") {
		t.Errorf("signed out: %d, Location %q, want the sign-in", a.StatusCode, a.Header.Get("Location"))
	}

	cross, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/oauth/consent", strings.NewReader(posted.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	cross.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	cross.Header.Set("Origin", "https://evil.example")
	if a := s.do(s.browser, cross); a.StatusCode != http.StatusForbidden {
		t.Errorf("posted by another site: %d, want 403", a.StatusCode)
	}
}

func TestAllowPressedTwiceMakesOneConnection(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, _ := c.consentPage(c.request())
	posted := form(t, page)
	codes := 0
	for _, a := range race(8, func() answer { return s.post(s.browser, "/oauth/consent", posted) }) {
		switch a.StatusCode {
		case http.StatusSeeOther:
			codes++
		case http.StatusNotFound:
		default:
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
	if codes != 1 {
		t.Errorf("%d codes were issued, want 1", codes)
	}
}

func TestConsentWithoutClerkOrForTheBanned(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, location := c.consentPage(c.request())
	posted := form(t, page)
	s.people.mu.Lock()
	s.people.away = errors.New("clerk is away")
	s.people.mu.Unlock()
	for name, a := range map[string]answer{"page": s.get(location), "Allow": s.post(s.browser, "/oauth/consent", posted)} {
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("Clerk away, %s: %d, want 503 with Retry-After", name, a.StatusCode)
		}
	}
	s.people.mu.Lock()
	s.people.away, s.people.banned = nil, true
	s.people.mu.Unlock()
	for name, a := range map[string]answer{"page": s.get(location), "Allow": s.post(s.browser, "/oauth/consent", posted)} {
		if a.StatusCode != http.StatusForbidden {
			t.Errorf("banned, %s: %d, want 403", name, a.StatusCode)
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

func TestPersonWhomClerkDoesNotKnowIsTurnedAway(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	_, location := c.consentPage(c.request())
	s.people.mu.Lock()
	s.people.away = fmt.Errorf("at Clerk: %w", store.ErrNotFound)
	s.people.mu.Unlock()
	if a := s.get(location); a.StatusCode != http.StatusForbidden {
		t.Errorf("%d, want 403: trying again does not help", a.StatusCode)
	}
}

func TestNoOrganizationIsExplained(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.people.memberships = nil
	c := s.register(claudeRedirect)
	page, _ := c.consentPage(c.request())
	doc := page.page(t)
	if doc.Find("button[value=allow]:not([disabled])").Length() != 0 || doc.Find("button[value=deny]").Length() != 1 {
		t.Error("somebody without an organization can press Allow, or cannot press Deny")
	}
}

func TestPromptLoginSignsInAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	f := c.request()
	f.Set("prompt", "login")
	a := s.get("/oauth/authorize?" + f.Encode())
	location, err := a.Location()
	if err != nil || location.Path != "/sign-in" || location.Query().Get("prompt") != "login" {
		t.Errorf("Location is %v, want the sign-in with prompt=login", location)
	}
}

func TestTwoTabsDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, d := s.register(claudeRedirect), s.register("https://other.example/cb")
	first, _ := c.consentPage(c.request())
	second, _ := d.consentPage(d.request())
	for name, page := range map[string]answer{"first": first, "second": second} {
		if a := s.post(s.browser, "/oauth/consent", form(t, page)); a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s tab: %d", name, a.StatusCode)
		}
	}
}

func TestClientNamesCannotDisguiseThemselves(t *testing.T) {
	t.Parallel()
	s := start(t)
	body, err := json.Marshal(map[string]any{
		"client_name":   "Cla\u200bu\u1160de\u202e\u2800 <b>Desk</b>\u3164\n\ntop\u2066 Ｃ" + strings.Repeat("x", 100),
		"redirect_uris": []string{"https://evil.example/cb"}, "token_endpoint_auth_method": "none",
	})
	if err != nil {
		t.Fatal(err)
	}
	id := s.postJSON("/oauth/register", string(body)).json(t)["client_id"].(string)
	c := &oauthClient{s: s, id: id, redirectURI: "https://evil.example/cb", verifier: strings.Repeat("v", 43)}
	page, _ := c.consentPage(c.request())
	text := page.page(t).Find("body").Text()
	if strings.ContainsAny(text, "\u200b\u202e\u2066\u1160\u3164\u2800") {
		t.Error("invisible characters are on the page")
	}
	if !strings.Contains(text, "Claude <b>Desk</b> top C") || strings.Contains(text, strings.Repeat("x", 65)) {
		t.Errorf("the name is not shown as plain, short text: %q", text)
	}
}
