package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/store"
)

// push pushes an authorization request, as a public client does.
func (c *oauthClient) push(request url.Values) answer {
	c.s.t.Helper()
	return c.s.post(http.DefaultClient, "/oauth/par", request)
}

// requestURI pushes a good request and returns the URI that stands for it.
func (c *oauthClient) requestURI(request url.Values) string {
	c.s.t.Helper()
	a := c.push(request)
	if a.StatusCode != http.StatusCreated {
		c.s.t.Fatalf("push: %d %s", a.StatusCode, a.body)
	}
	uri, _ := a.json(c.s.t)["request_uri"].(string)
	return uri
}

// comes opens the authorization endpoint with a request URI.
func (c *oauthClient) comes(requestURI string, more ...string) answer {
	c.s.t.Helper()
	f := url.Values{"client_id": {c.id}, "request_uri": {requestURI}}
	for i := 0; i < len(more); i += 2 {
		f.Set(more[i], more[i+1])
	}
	return c.s.get("/oauth/authorize?" + f.Encode())
}

// TestPushedRequestIsTheWholeRequest is RFC 9126 §4 to its end: beside a request
// URI no other parameter counts.
func TestPushedRequestIsTheWholeRequest(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	request := c.request()
	request.Set("scope", store.ScopeIncidentsRead)
	pushed := c.push(request)
	got := pushed.json(t)
	uri, _ := got["request_uri"].(string)
	if pushed.StatusCode != http.StatusCreated || pushed.Header.Get("Cache-Control") != "no-store" || got["expires_in"] != 90.0 ||
		!strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || len(uri) < len("urn:ietf:params:oauth:request_uri:")+43 {
		t.Fatalf("push: %d %v %s", pushed.StatusCode, pushed.Header, pushed.body)
	}
	a := c.comes(uri, "redirect_uri", "https://evil.example/", "state", "other", "scope", "incidents:publish",
		"code_challenge", challenge("other"), "prompt", "none", "response_type", "token", "request", "x")
	location := a.Header.Get("Location")
	if !strings.HasPrefix(location, "/oauth/consent?") {
		t.Fatalf("authorize: %d, Location %q, want the consent page", a.StatusCode, location)
	}
	answer, err := s.post(s.browser, "/oauth/consent", form(t, s.get(location))).Location()
	if err != nil || !strings.HasPrefix(answer.String(), claudeRedirect+"?") || answer.Query().Get("state") != "s" || answer.Query().Get("iss") != s.url {
		t.Fatalf("answer is %v, %v", answer, err)
	}
	tokens := c.token(c.redemption(answer.Query().Get("code"))).tokens(t)
	if want := store.ScopeIncidentsRead + " " + store.ScopeOfflineAccess; tokens.Scope != want {
		t.Errorf("scope is %q, want %q", tokens.Scope, want)
	}
}

func TestRequestURIIsGoodForOneUseByItsClientForAMinuteAndAHalf(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, other := s.register(claudeRedirect), s.register("https://other.example/cb")
	uri := c.requestURI(c.request())
	before := s.rows()
	for name, a := range map[string]answer{
		"another client":  other.comes(uri),
		"no client":       s.get("/oauth/authorize?" + url.Values{"request_uri": {uri}}.Encode()),
		"two clients":     s.get("/oauth/authorize?" + url.Values{"request_uri": {uri}, "client_id": {c.id, other.id}}.Encode()),
		"unknown client":  s.get("/oauth/authorize?" + url.Values{"request_uri": {uri}, "client_id": {"nobody"}}.Encode()),
		"another URI":     c.comes(uri[:len(uri)-1] + "_"),
		"with a redirect": other.comes(uri, "redirect_uri", "https://other.example/cb"),
	} {
		if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || a.page(t).Find("h1").Length() != 1 {
			t.Errorf("%s: %d, Location %q, want an error page", name, a.StatusCode, a.Header.Get("Location"))
		}
	}
	if after := s.rows(); after != before {
		t.Errorf("requests that were refused changed %d rows", after-before)
	}
	// None of that spent it. Of eight browsers that come with it, one goes on.
	went := 0
	for _, a := range race(8, func() answer { return c.comes(uri) }) {
		switch {
		case strings.HasPrefix(a.Header.Get("Location"), "/oauth/consent?"):
			went++
		case a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "":
			t.Errorf("used twice: %d, Location %q, want an error page", a.StatusCode, a.Header.Get("Location"))
		}
	}
	if went != 1 {
		t.Errorf("%d browsers went on, want 1", went)
	}
	late := c.requestURI(c.request())
	s.clock.advance(store.PushedRequestLifetime - time.Second)
	intime := c.requestURI(c.request())
	s.clock.advance(time.Second)
	if a := c.comes(late); a.StatusCode != http.StatusBadRequest {
		t.Errorf("expired: %d, want an error page", a.StatusCode)
	}
	if a := c.comes(intime); a.StatusCode != http.StatusSeeOther {
		t.Errorf("in time: %d, want the consent page", a.StatusCode)
	}
}

// TestPushRefusesWhatAuthorizeRefuses is RFC 9126 §2.3: the same checks, told to
// the client at once.
func TestPushRefusesWhatAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	confidential := s.postJSON("/oauth/register", `{"redirect_uris":["https://a.example/cb"]}`).json(t)["client_id"].(string)
	before := s.rows()
	set := func(name, value string) func(url.Values) { return func(f url.Values) { f.Set(name, value) } }
	for _, tt := range append(refusals(s),
		refusal{"RFC 6749 §5.2: no client", func(f url.Values) { f.Del("client_id") }, "invalid_client", false},
		refusal{"RFC 6749 §5.2: unknown client", set("client_id", "nobody"), "invalid_client", false},
		refusal{"RFC 6749 §5.2: no secret", set("client_id", confidential), "invalid_client", false},
		refusal{"RFC 6749 §3.2: client twice", func(f url.Values) { f.Add("client_id", c.id) }, "invalid_request", false},
		refusal{"RFC 9126 §2.1: request_uri of our own", set("request_uri", c.requestURIForm()), "invalid_request", false},
		refusal{"RFC 9126 §2.1: request_uri", set("request_uri", "https://evil.example/request.jwt"), "invalid_request", false},
	) {
		f := c.request()
		tt.change(f)
		a := c.push(f)
		got := a.json(t)
		if got["error"] != tt.want || a.StatusCode < 400 || a.StatusCode >= 500 || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want %s", tt.name, a.StatusCode, a.body, tt.want)
		}
		if unknown := tt.want == "invalid_client"; unknown != (a.StatusCode == http.StatusUnauthorized) {
			t.Errorf("%s: %d, want 401 for a client that is not known, and for no other", tt.name, a.StatusCode)
		}
	}
	if a := s.postJSON("/oauth/par", `{"client_id":"`+c.id+`"}`); a.json(t)["error"] != "invalid_request" {
		t.Errorf("JSON: %d %s, want invalid_request", a.StatusCode, a.body)
	}
	if a := s.get("/oauth/par?" + c.request().Encode()); a.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d, want 405", a.StatusCode)
	}
	if after := s.rows(); after != before {
		t.Errorf("%d rows were stored by requests that were refused", after-before)
	}
}

// requestURIForm is what a request URI looks like.
func (c *oauthClient) requestURIForm() string {
	return "urn:ietf:params:oauth:request_uri:" + challenge(c.verifier)
}

// TestConfidentialClientPushesWithItsSecret: a stranger cannot push in a
// confidential client's name, and its secret is not kept.
func TestConfidentialClientPushesWithItsSecret(t *testing.T) {
	t.Parallel()
	s := start(t)
	registered := s.postJSON("/oauth/register", `{"redirect_uris":["https://a.example/cb"]}`).json(t)
	c := &oauthClient{s: s, id: registered["client_id"].(string), redirectURI: "https://a.example/cb", verifier: strings.Repeat("v", 43)}
	push := func(secret string, change func(url.Values)) answer {
		f := c.request()
		change(f)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/oauth/par", strings.NewReader(f.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(c.id, secret)
		return s.do(http.DefaultClient, r)
	}
	secret := registered["client_secret"].(string)
	if a := push(secret+"x", func(url.Values) {}); a.StatusCode != http.StatusUnauthorized || a.json(t)["error"] != "invalid_client" {
		t.Errorf("another secret: %d %s, want 401 invalid_client", a.StatusCode, a.body)
	}
	if a := push(secret, func(f url.Values) { f.Set("client_id", s.register(claudeRedirect).id) }); a.json(t)["error"] != "invalid_request" {
		t.Errorf("another client in the body: %d %s, want invalid_request", a.StatusCode, a.body)
	}
	for name, change := range map[string]func(url.Values){
		"client_id in the body": func(url.Values) {},
		"in the header alone":   func(f url.Values) { f.Del("client_id") },
	} {
		a := push(secret, change)
		uri, _ := a.json(t)["request_uri"].(string)
		if a := c.comes(uri); !strings.HasPrefix(a.Header.Get("Location"), "/oauth/consent?") {
			t.Errorf("%s: %d, Location %q, want the consent page", name, a.StatusCode, a.Header.Get("Location"))
		}
	}

	byPost := s.postJSON("/oauth/register", `{"redirect_uris":["https://b.example/cb"],"token_endpoint_auth_method":"client_secret_post"}`).json(t)
	d := &oauthClient{s: s, id: byPost["client_id"].(string), redirectURI: "https://b.example/cb", verifier: strings.Repeat("v", 43)}
	f := d.request()
	f.Set("client_secret", byPost["client_secret"].(string))
	uri := d.requestURI(f)
	var kept string
	if err := s.store.Pool().QueryRow(t.Context(), `SELECT string_agg(p::text, ' ') FROM pushed_requests p`).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(kept, "secret") || strings.Contains(kept, strings.TrimPrefix(uri, "urn:ietf:params:oauth:request_uri:")) || !strings.Contains(kept, d.id) {
		t.Errorf("the request is kept as %s, want it without the secret and under a hash", kept)
	}
}

// TestPushedRequestIsCheckedAgain: a client may change while its request waits.
func TestPushedRequestIsCheckedAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	uri := c.requestURI(c.request())
	if _, err := s.store.Pool().Exec(t.Context(), `UPDATE oauth_clients SET redirect_uris = '{https://other.example/}' WHERE id = $1`, c.id); err != nil {
		t.Fatal(err)
	}
	if a := c.comes(uri); a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" {
		t.Errorf("the redirect URI is the client's no more: %d, Location %q, want an error page", a.StatusCode, a.Header.Get("Location"))
	}
}
