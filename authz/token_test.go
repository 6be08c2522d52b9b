package authz_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/store"
)

func TestTokensSayWhatWasGranted(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	response := c.allow(func(_, consent url.Values) {
		consent["scope"] = []string{store.ScopeIncidentsRead, store.ScopeOfflineAccess}
		consent["org_id"] = []string{globex.ID}
	})
	tk := c.token(c.redemption(response.Get("code"))).tokens(t)
	if want := "incidents:read offline_access"; tk.Scope != want {
		t.Errorf("scope is %q, want %q", tk.Scope, want)
	}
	if tk.Type != "Bearer" || tk.Expires != 3600 {
		t.Errorf("token_type %q, expires_in %d, want Bearer, 3600", tk.Type, tk.Expires)
	}
	got := s.claims(tk.Access)
	if got.Subject != "user_alice" || got.OrgID != globex.ID || got.ClientID != c.id || got.Audience != s.url+"/mcp" {
		t.Errorf("claims are %+v", got)
	}
	if diff := cmp.Diff([]string{store.ScopeIncidentsRead}, got.Scopes); diff != "" {
		t.Errorf("scopes of the access token (-want +got):\n%s", diff)
	}
}

func TestNoRefreshTokenWithoutOfflineAccess(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	response := c.allow(func(_, consent url.Values) { consent["scope"] = []string{store.ScopeIncidentsRead} })
	if tk := c.token(c.redemption(response.Get("code"))).tokens(t); tk.Refresh != "" {
		t.Error("a refresh token was issued that the person did not grant")
	}
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	code := c.allow(nil).Get("code")
	s.clock.advance(time.Minute)
	if got := c.token(c.redemption(code)).json(t)["error"]; got != "invalid_grant" {
		t.Errorf("error is %v, want invalid_grant", got)
	}
}

func TestCodeReplayedByItsClientRevokes(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	code := c.allow(nil).Get("code")
	tk := c.token(c.redemption(code)).tokens(t)
	if got := c.token(c.redemption(code)).json(t)["error"]; got != "invalid_grant" {
		t.Errorf("error is %v, want invalid_grant", got)
	}
	if s.live(tk.Access) {
		t.Error("the connection lives on after its code was replayed (RFC 6749 §4.1.2)")
	}
	if got := c.refresh(tk.Refresh).json(t)["error"]; got != "invalid_grant" {
		t.Errorf("refresh after the replay: error is %v, want invalid_grant", got)
	}
	if s.published.count() != 1 {
		t.Errorf("%d revocations published, want 1", s.published.count())
	}
}

func TestCodeRedeemedOnceUnderRace(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	code := c.allow(nil).Get("code")
	answers := race(32, func() answer { return c.token(c.redemption(code)) })
	good := 0
	for _, a := range answers {
		switch {
		case a.StatusCode == http.StatusOK:
			good++
		case a.StatusCode != http.StatusBadRequest || a.json(t)["error"] != "invalid_grant":
			t.Errorf("%d %s, want 200 or invalid_grant", a.StatusCode, a.body)
		}
	}
	if good != 1 {
		t.Errorf("%d redemptions succeeded, want 1", good)
	}
}

func TestParallelRefreshesGetOneChain(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	tk := c.connect()
	for round := range 3 {
		answers := race(32, func() answer { return c.refresh(tk.Refresh) })
		successors := map[string]bool{}
		for _, a := range answers {
			got := a.tokens(t)
			successors[got.Refresh] = true
			s.claims(got.Access)
		}
		if len(successors) != 1 {
			t.Fatalf("round %d: %d different successors, want 1", round, len(successors))
		}
		for successor := range successors {
			tk.Refresh = successor
		}
	}
	if s.published.count() != 0 {
		t.Error("parallel refreshes revoked the connection")
	}
}

// race runs f in n goroutines at once and returns all answers.
func race(n int, f func() answer) []answer {
	answers := make([]answer, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			<-begin
			answers[i] = f()
		})
	}
	close(begin)
	wg.Wait()
	return answers
}

// TestRefreshReplay walks the rule of design §8: a used token is answered with
// the chain's unused one within two minutes of its use, or while its successor
// is unused for at most the lifetime of an access token and an hour; later reuse
// revokes.
func TestRefreshReplay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		used  int           // how many more times the chain moves on
		after time.Duration // since the first use
		alive bool
	}{
		{"lost answer, at once", 0, time.Second, true},
		{"lost answer, when the access token has expired", 0, 2 * time.Hour, true},
		{"lost answer, too late", 0, 2*time.Hour + time.Second, false},
		{"two processes, within the window", 3, 120 * time.Second, true},
		{"successor used, after the window", 1, 121 * time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c := s.register(claudeRedirect)
			first := c.connect()
			last := c.refresh(first.Refresh).tokens(t)
			for range tt.used {
				last = c.refresh(last.Refresh).tokens(t)
			}
			s.clock.advance(tt.after)
			a := c.refresh(first.Refresh)
			if !tt.alive {
				if got := a.json(t)["error"]; got != "invalid_grant" {
					t.Fatalf("error is %v, want invalid_grant", got)
				}
				if got := c.refresh(last.Refresh).json(t)["error"]; got != "invalid_grant" {
					t.Errorf("the chain's last token still works (%v)", got)
				}
				if s.published.count() != 1 {
					t.Errorf("%d revocations were published, want 1", s.published.count())
				}
				return
			}
			if got := a.tokens(t).Refresh; got != last.Refresh {
				t.Error("the answer is not the chain's unused token")
			}
		})
	}
}

func TestClientWithoutTheRefreshGrantIsNotOfferedOne(t *testing.T) {
	t.Parallel()
	s := start(t)
	other := s.register(claudeRedirect).connect().Refresh
	id := s.postJSON("/oauth/register", `{"client_name":"x","redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"none","grant_types":["authorization_code"]}`).json(t)["client_id"].(string)
	c := &oauthClient{s: s, id: id, redirectURI: "https://a.example/cb", verifier: strings.Repeat("v", 43)}
	page, _ := c.consentPage(c.request())
	if page.page(t).Find(`input[value=offline_access]`).Length() != 0 {
		t.Error("staying connected is offered to a client that cannot")
	}
	if tk := c.connect(); tk.Refresh != "" {
		t.Error("a refresh token was issued")
	}
	if got := c.refresh(other).json(t)["error"]; got != "unauthorized_client" {
		t.Errorf("refresh: error is %v, want unauthorized_client", got)
	}
}

func TestRefreshNarrowsTheAccessTokenOnly(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	tk := c.connect()
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {tk.Refresh}, "scope": {"incidents:read incidents:publish"}}
	narrow := c.token(form).tokens(t)
	if got := s.claims(narrow.Access).Scopes; !slices.Equal(got, []string{store.ScopeIncidentsRead}) {
		t.Errorf("scopes are %v, want incidents:read: publish was not granted", got)
	}
	if got := s.claims(c.refresh(narrow.Refresh).tokens(t).Access).Scopes; len(got) != 3 {
		t.Errorf("scopes afterwards are %v, want all three granted ones", got)
	}
}

// TestRefreshForgivesScopesThatClientsRepeat: mcp-remote and the Inspector send
// at each refresh what they first asked for, known to us or not.
func TestRefreshForgivesScopesThatClientsRepeat(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	tk := c.connect()
	refresh := func(scope string) answer {
		return c.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {tk.Refresh}, "scope": {scope}})
	}
	for _, scope := range []string{"read offline_access", "openid email", "mcp", "offline_access", " ", strings.Join(store.ResourceScopes(), " ")} {
		tk = refresh(scope).tokens(t)
		if got := s.claims(tk.Access).Scopes; len(got) != 3 {
			t.Errorf("scope=%q: the access token has %v, want all three that were granted", scope, got)
		}
		if !strings.HasSuffix(tk.Scope, store.ScopeOfflineAccess) {
			t.Errorf("scope=%q: the answer says %q", scope, tk.Scope)
		}
	}
	if got := refresh(store.ScopeIncidentsPublish).json(t)["error"]; got != "invalid_scope" {
		t.Errorf("a scope that was not granted: error is %v, want invalid_scope", got)
	}
	s.clock.advance(24 * time.Hour)
	refresh("").tokens(t) // the token was not spent on the refusal
}

func TestRefreshEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	idle := c.connect()
	s.clock.advance(720 * time.Hour)
	if got := c.refresh(idle.Refresh).json(t)["error"]; got != "invalid_grant" {
		t.Errorf("after 30 idle days: error is %v, want invalid_grant", got)
	}
	busy := c.connect()
	for range 6 {
		s.clock.advance(700 * time.Hour)
		busy = c.refresh(busy.Refresh).tokens(t)
	}
	s.clock.advance(120*time.Hour - 30*time.Minute)
	busy = c.refresh(busy.Refresh).tokens(t)
	if want := 1800; busy.Expires != want {
		t.Errorf("expires_in is %d, want %d: a token does not outlive its connection", busy.Expires, want)
	}
	s.clock.advance(30 * time.Minute)
	if got := c.refresh(busy.Refresh).json(t)["error"]; got != "invalid_grant" {
		t.Errorf("after 180 days: error is %v, want invalid_grant", got)
	}
}

func TestNewConsentSupersedesTheOldOnlyWhereOneAddressIsOneInstall(t *testing.T) {
	t.Parallel()
	for redirectURI, superseded := range map[string]bool{
		claudeRedirect:                                 true,
		"https://vscode.dev/redirect":                  false, // forwards to any computer
		"http://127.0.0.1/callback":                    false,
		"cursor://anysphere.cursor-mcp/oauth/callback": false,
	} {
		s := start(t)
		c := s.register(redirectURI)
		first := c.connect()
		c.connect()
		if got := !s.live(first.Access); got != superseded {
			t.Errorf("%s: superseded is %v, want %v", redirectURI, got, superseded)
		}
		if got := s.published.count() == 1; got != superseded {
			t.Errorf("%s: %d revocations were published", redirectURI, s.published.count())
		}
	}
}

func TestRevocationEndsTheConnectionByEitherToken(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	stranger := s.register("https://stranger.example/callback")
	revokedBefore := 0
	for name, pick := range map[string]func(tokens) string{
		"access token":  func(tk tokens) string { return tk.Access },
		"refresh token": func(tk tokens) string { return tk.Refresh },
	} {
		tk := c.connect()
		for _, token := range []string{pick(tk), "unknown"} {
			if a := s.post(http.DefaultClient, "/oauth/revoke", url.Values{"token": {token}, "client_id": {stranger.id}}); a.StatusCode != http.StatusOK {
				t.Errorf("%s: a stranger's revocation answers %d, want 200 (RFC 7009 §2.2)", name, a.StatusCode)
			}
		}
		if !s.live(tk.Access) {
			t.Fatalf("%s: a stranger revoked the connection", name)
		}
		if a := s.post(http.DefaultClient, "/oauth/revoke", url.Values{"token": {pick(tk)}, "client_id": {c.id}}); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s, want 200", name, a.StatusCode, a.body)
		}
		if s.live(tk.Access) {
			t.Errorf("%s: the connection lives on", name)
		}
		// The second client of the loop supersedes nothing: the first is dead.
		if revokedBefore++; s.published.count() != revokedBefore {
			t.Errorf("%s: %d revocations were published, want %d", name, s.published.count(), revokedBefore)
		}
		if got := c.refresh(tk.Refresh).json(t)["error"]; got != "invalid_grant" {
			t.Errorf("%s: refresh afterwards: error is %v, want invalid_grant", name, got)
		}
	}
}

func TestAnOutageIsNeverTheClientsFault(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	tk := c.connect()
	code := c.allow(nil).Get("code")
	page, location := c.consentPage(c.request())
	posted := form(t, page)
	s.store.Pool().Close()
	for name, a := range map[string]answer{
		"authorize": s.get("/oauth/authorize?" + c.request().Encode()),
		"consent":   s.get(location),
		"Allow":     s.post(s.browser, "/oauth/consent", posted),
	} {
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.page(t).Find("h1").Length() != 1 {
			t.Errorf("%s: %d, Retry-After %q, want a page with 503", name, a.StatusCode, a.Header.Get("Retry-After"))
		}
	}
	for name, a := range map[string]answer{
		"refresh":  c.refresh(tk.Refresh),
		"code":     c.token(c.redemption(code)),
		"revoke":   s.post(http.DefaultClient, "/oauth/revoke", url.Values{"token": {tk.Refresh}, "client_id": {c.id}}),
		"register": s.postJSON("/oauth/register", `{"redirect_uris":["https://a.example/cb"]}`),
	} {
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q, want 503 with Retry-After: a 4xx makes clients throw their tokens away", name, a.StatusCode, a.Header.Get("Retry-After"))
		}
		if got := a.json(t)["error"]; got != "temporarily_unavailable" {
			t.Errorf("%s: error is %v, want temporarily_unavailable", name, got)
		}
	}
}
