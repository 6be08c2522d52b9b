package authz_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/store"
)

// registrationRequest sends a request to the client configuration endpoint (RFC
// 7592 §2).
func (s *server) registrationRequest(method, id, token, body string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/oauth/register/"+id, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return s.do(http.DefaultClient, r)
}

// confidential registers a client with a secret and returns it, the secret and the
// registration access token.
func (s *server) confidential(method, redirectURI string) (c *oauthClient, secret, token string) {
	s.t.Helper()
	a := s.postJSON("/oauth/register", `{"client_name":"Confidential","token_endpoint_auth_method":"`+method+`","redirect_uris":["`+redirectURI+`"]}`).json(s.t)
	id, _ := a["client_id"].(string)
	secret, _ = a["client_secret"].(string)
	token, _ = a["registration_access_token"].(string)
	if want := s.url + "/oauth/register/" + id; a["registration_client_uri"] != want || token == "" {
		s.t.Fatalf("registration_client_uri is %v, want %s; token %q", a["registration_client_uri"], want, token)
	}
	return &oauthClient{s: s, id: id, redirectURI: redirectURI, verifier: strings.Repeat("v", 43)}, secret, token
}

func withSecret(form url.Values, secret string) url.Values {
	form.Set("client_secret", secret)
	return form
}

func TestConfidentialClientsManageTheirRegistration(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, secret, token := s.confidential("client_secret_post", "https://a.example/cb")
	read := s.registrationRequest(http.MethodGet, c.id, token, "")
	got := read.json(t)
	if read.StatusCode != http.StatusOK || got["client_id"] != c.id || got["client_name"] != "Confidential" ||
		got["registration_access_token"] != token || got["registration_client_uri"] != s.url+"/oauth/register/"+c.id ||
		read.Header.Get("Cache-Control") != "no-store" || strings.Contains(read.body, "null") {
		t.Errorf("reading: %d %v %s", read.StatusCode, read.Header, read.body)
	}
	replaced := s.registrationRequest(http.MethodPut, c.id, token,
		`{"client_id":"`+c.id+`","client_secret":"`+secret+`","token_endpoint_auth_method":"client_secret_post","redirect_uris":["https://b.example/cb"],"scope":"x"}`)
	got = replaced.json(t)
	if replaced.StatusCode != http.StatusOK || got["client_name"] != nil {
		t.Errorf("replacing: %d %s, want 200 and what was left out gone", replaced.StatusCode, replaced.body)
	}
	if uris, _ := got["redirect_uris"].([]any); len(uris) != 1 || uris[0] != "https://b.example/cb" {
		t.Errorf("redirect_uris are %v", got["redirect_uris"])
	}
	if a := s.get("/oauth/authorize?" + c.request().Encode()); a.StatusCode != http.StatusBadRequest {
		t.Errorf("the redirect URI before: %d, want 400", a.StatusCode)
	}
	c.redirectURI = "https://b.example/cb"
	c.token(withSecret(c.redemption(c.allow(nil).Get("code")), secret)).tokens(t)
}

func TestReplacingARegistrationRefuses(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, _, token := s.confidential("client_secret_post", "https://a.example/cb")
	other, _, _ := s.confidential("client_secret_post", "https://b.example/cb")
	for _, tt := range []struct{ name, body, want string }{
		{"RFC 7592 §2.2: no client_id", `{"redirect_uris":["https://a.example/cb"]}`, "invalid_request"},
		{"RFC 7592 §2.2: another client_id", `{"client_id":"` + other.id + `","redirect_uris":["https://a.example/cb"]}`, "invalid_request"},
		{"RFC 7592 §2.2: another secret", `{"client_id":"` + c.id + `","client_secret":"x","redirect_uris":["https://a.example/cb"]}`, "invalid_request"},
		{"to a public client", `{"client_id":"` + c.id + `","token_endpoint_auth_method":"none","redirect_uris":["https://a.example/cb"]}`, "invalid_client_metadata"},
		{"no redirect URI", `{"client_id":"` + c.id + `"}`, "invalid_redirect_uri"},
		{"an unsafe redirect URI", `{"client_id":"` + c.id + `","redirect_uris":["javascript:alert(1)"]}`, "invalid_redirect_uri"},
		{"not JSON", `x`, "invalid_client_metadata"},
	} {
		a := s.registrationRequest(http.MethodPut, c.id, token, tt.body)
		if a.StatusCode != http.StatusBadRequest || a.json(t)["error"] != tt.want {
			t.Errorf("%s: %d %s, want %s", tt.name, a.StatusCode, a.body, tt.want)
		}
	}
	if got := s.registrationRequest(http.MethodGet, c.id, token, "").json(t); got["client_name"] != "Confidential" || got["token_endpoint_auth_method"] != "client_secret_post" {
		t.Errorf("a refused replacement changed the client: %v", got)
	}
}

// TestARegistrationOpensForItsOwnTokenAlone: and nothing tells a wrong token from
// a client that is not there.
func TestARegistrationOpensForItsOwnTokenAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, secret, token := s.confidential("client_secret_post", "https://a.example/cb")
	_, _, others := s.confidential("client_secret_post", "https://b.example/cb")
	public := s.register("https://c.example/cb")
	var seen []string
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		for name, request := range map[string][2]string{
			"no token":             {c.id, ""},
			"another token":        {c.id, token + "x"},
			"another client's":     {c.id, others},
			"the client's secret":  {c.id, secret},
			"no such client":       {"scl_client_nobody", token},
			"a client with a NUL":  {"%00", token},
			"a public client":      {public.id, token},
			"a public client's no": {public.id, ""},
		} {
			a := s.registrationRequest(method, request[0], request[1], `{"client_id":"`+c.id+`","redirect_uris":["https://evil.example/cb"]}`)
			if a.StatusCode != http.StatusUnauthorized || a.json(t)["error"] != "invalid_token" || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%s, %s: %d %q %s, want 401 with a Bearer challenge", method, name, a.StatusCode, a.Header.Get("WWW-Authenticate"), a.body)
			}
			seen = append(seen, a.body)
		}
	}
	if slices.Sort(seen); len(slices.Compact(seen)) != 1 {
		t.Errorf("refusals differ: %v", slices.Compact(seen))
	}
	if got := s.registrationRequest(http.MethodGet, c.id, token, ""); got.StatusCode != http.StatusOK {
		t.Errorf("its own: %d", got.StatusCode)
	}
	a := s.postJSON("/oauth/register", `{"token_endpoint_auth_method":"none","redirect_uris":["https://c.example/cb"]}`)
	if strings.Contains(a.body, "registration_") {
		t.Errorf("a public client got a registration access token: %s", a.body)
	}
}

func TestDeletingARegistrationEndsItsConnections(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, secret, token := s.confidential("client_secret_post", "https://a.example/cb")
	tokens := c.token(withSecret(c.redemption(c.allow(nil).Get("code")), secret)).tokens(t)
	connection := s.claims(tokens.Access).ConnectionID
	waiting, _ := c.consentPage(c.request())
	code := c.allow(nil).Get("code")
	other := s.register("https://b.example/cb").connect()

	a := s.registrationRequest(http.MethodDelete, c.id, token, "")
	if a.StatusCode != http.StatusNoContent || a.body != "" {
		t.Fatalf("deleting: %d %s, want 204", a.StatusCode, a.body)
	}
	if s.live(tokens.Access) || s.published.count() != 2 { // the live one, and the one that was not redeemed yet
		t.Errorf("the connection lives, or %d revocations were published, want 2", s.published.count())
	}
	if !s.live(other.Access) {
		t.Error("another client's connection died with it")
	}
	for name, form := range map[string]url.Values{
		"refreshing": withSecret(url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {tokens.Refresh}}, secret),
		"redeeming":  withSecret(c.redemption(code), secret),
	} {
		if got := c.token(form); got.StatusCode != http.StatusUnauthorized || got.json(t)["error"] != "invalid_client" {
			t.Errorf("%s: %d %s, want 401 invalid_client", name, got.StatusCode, got.body)
		}
	}
	if got := s.get("/oauth/authorize?" + c.request().Encode()); got.StatusCode != http.StatusBadRequest {
		t.Errorf("authorizing: %d, want an error page", got.StatusCode)
	}
	if got := s.post(s.browser, "/oauth/consent", form(t, waiting)); got.StatusCode != http.StatusBadRequest {
		t.Errorf("allowing what waited: %d, want an error page", got.StatusCode)
	}
	if got := s.registrationRequest(http.MethodGet, c.id, token, ""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("reading: %d, want 401", got.StatusCode)
	}
	// The dashboard still has it, with the reason.
	s.clock.advance(8 * 24 * time.Hour)
	if err := s.store.DeleteExpired(t.Context(), s.clock.Now()); err != nil {
		t.Fatal(err)
	}
	listed, err := s.store.ConnectionVisibleTo(t.Context(), connection, "user_alice", nil, s.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if listed.RevokeReason == nil || *listed.RevokeReason != store.RevokedByClient {
		t.Errorf("the connection was ended by %v, want client", listed.RevokeReason)
	}
}

// TestNoConsentSlipsBehindADeletion: whoever allows a client while it deletes
// itself has no live connection afterwards.
func TestNoConsentSlipsBehindADeletion(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 10 {
		c, secret, token := s.confidential("client_secret_post", "https://a.example/cb")
		page, _ := c.consentPage(c.request())
		posted := form(t, page)
		deleted := make(chan int)
		go func() { deleted <- s.registrationRequest(http.MethodDelete, c.id, token, "").StatusCode }()
		a := s.post(s.browser, "/oauth/consent", posted)
		if location, err := a.Location(); err == nil {
			if got := c.token(withSecret(c.redemption(location.Query().Get("code")), secret)); got.StatusCode == http.StatusOK {
				<-deleted
				if s.live(got.tokens(t).Access) {
					t.Error("a connection outlived its client")
				}
				continue
			}
		}
		if got := <-deleted; got != http.StatusNoContent {
			t.Errorf("deleting: %d", got)
		}
	}
}

// TestUnauthorizedRegistrationsAreForgotten a week after they were handed out
// last, and never those with a connection.
func TestUnauthorizedRegistrationsAreForgotten(t *testing.T) {
	t.Parallel()
	s := start(t)
	unused, asked, used := s.register("https://unused.example/cb"), s.register("https://asked.example/cb"), s.register("https://used.example/cb")
	used.connect()
	known := func(c *oauthClient) bool {
		_, err := s.store.Client(t.Context(), c.id)
		return err == nil
	}
	sweep := func(after time.Duration) {
		t.Helper()
		s.clock.advance(after)
		if err := s.store.DeleteExpired(t.Context(), s.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	sweep(6 * 24 * time.Hour)
	if !known(unused) {
		t.Error("forgotten before a week")
	}
	if again := s.register("https://asked.example/cb"); again.id != asked.id {
		t.Errorf("the same registration got another id")
	}
	sweep(25 * time.Hour)
	if known(unused) || !known(asked) || !known(used) {
		t.Errorf("after a week: unused %v, handed out again %v, used %v; want only the first gone", known(unused), known(asked), known(used))
	}
	if again := s.register("https://unused.example/cb"); again.id == unused.id {
		t.Error("a forgotten client came back under its id")
	}
	sweep(400 * 24 * time.Hour)
	if known(asked) || !known(used) {
		t.Errorf("after a year: handed out again %v, used %v", known(asked), known(used))
	}
}
