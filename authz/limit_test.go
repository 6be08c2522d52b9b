package authz_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/store/volatile"
)

// from sends a request as if from an address, without a connection.
func (s *server) from(address, method, target, contentType, body string) answer {
	s.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Test-From", address)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	response := w.Result()
	response.Request = r
	return answer{response, w.Body.String()}
}

const asForm = "application/x-www-form-urlencoded"

// TestStrangersAreLimitedPerNetwork is the table of what anybody may do at once,
// and of how they are refused after that.
func TestStrangersAreLimitedPerNetwork(t *testing.T) {
	t.Parallel()
	s := startLimited(t, 1, "redis://127.0.0.1:1")
	c := s.register(claudeRedirect)
	limits := &authz.Limits{
		Limiter: newLimiter(t, s), ClientAddress: clientAddress, Log: slog.New(slog.DiscardHandler),
	}
	mux := s.mux
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.Handle("GET /sign-in", limits.SignIn(ok))
	mux.Handle("POST /webhooks/clerk", limits.Webhook(ok))
	s.people.signedIn = ""
	junk := url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {"scl_rt_junk"}}.Encode()
	registration := `{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"none"}`
	for i, tt := range []struct {
		method, target, contentType, body string
		first                             int // its status while there is room
		burst                             int
		page                              bool
	}{
		{"GET", "/oauth/authorize?" + c.request().Encode(), "", "", http.StatusSeeOther, 120, true},
		{"POST", "/oauth/authorize", asForm, c.request().Encode(), http.StatusSeeOther, 120, true},
		{"GET", "/oauth/consent?request=x", "", "", http.StatusSeeOther, 240, true},
		{"POST", "/oauth/consent", asForm, "request=x", http.StatusSeeOther, 240, true},
		{"GET", "/sign-in", "", "", http.StatusNoContent, 240, true},
		{"POST", "/oauth/register", "application/json", registration, http.StatusCreated, 600, false},
		{"GET", "/oauth/register/scl_client_x", "", "", http.StatusUnauthorized, 60, false},
		{"POST", "/oauth/token", asForm, junk, http.StatusBadRequest, 60, false},
		{"POST", "/oauth/token", asForm, "grant_type=authorization_code&code=scl_ac_x&client_id=" + c.id, http.StatusBadRequest, 60, false},
		{"POST", "/oauth/token", asForm, "grant_type=authorization_code&client_id=nobody", http.StatusBadRequest, 60, false},
		{"POST", "/oauth/revoke", asForm, "token=x&client_id=" + c.id, http.StatusOK, 60, false},
		{"POST", "/oauth/introspect", asForm, "token=x&client_id=nobody&client_secret=x", http.StatusUnauthorized, 60, false},
		{"POST", "/oauth/par", asForm, c.request().Encode(), http.StatusCreated, 600, false},
		{"POST", "/webhooks/clerk", "application/json", "{}", http.StatusNoContent, 1000, false},
	} {
		name := tt.method + " " + tt.target
		here, elsewhere := fmt.Sprintf("2001:db8:0:%d::1", i), fmt.Sprintf("2001:db8:1:%d::1", i)
		send := func(address string) answer { return s.from(address, tt.method, tt.target, tt.contentType, tt.body) }
		for n := range tt.burst {
			if a := send(here); a.StatusCode != tt.first {
				t.Fatalf("%s: request %d of %d: %d %s, want %d", name, n+1, tt.burst, a.StatusCode, a.body, tt.first)
			}
		}
		a := send(strings.Replace(here, "::1", "::beef", 1)) // the same /64
		wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if a.StatusCode != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 10 {
			t.Fatalf("%s: after %d: %d, Retry-After %q, want 429 and some seconds", name, tt.burst, a.StatusCode, a.Header.Get("Retry-After"))
		}
		if tt.page {
			if text := a.page(t).Find("main").Text(); a.page(t).Find("h1").Length() != 1 || !strings.Contains(text, "Try again in 1 second.") {
				t.Errorf("%s: the page says %q, want that it can be tried again in a second", name, text)
			}
		} else {
			if got := a.json(t)["error"]; got != "temporarily_unavailable" {
				t.Errorf("%s: error is %v, want temporarily_unavailable", name, got)
			}
			if got := a.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("%s: Cache-Control is %q, want no-store", name, got)
			}
		}
		if a := send(elsewhere); a.StatusCode != tt.first {
			t.Errorf("%s: from another network: %d, want %d", name, a.StatusCode, tt.first)
		}
		s.clock.advance(time.Duration(wait) * time.Second)
		if a := send(here); a.StatusCode != tt.first {
			t.Errorf("%s: %d s later: %d, want %d", name, wait, a.StatusCode, tt.first)
		}
	}
}

func newLimiter(t testing.TB, s *server) *volatile.Limiter {
	t.Helper()
	redis, err := volatile.Open("redis://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Close() })
	return volatile.NewLimiter(redis, slog.New(slog.DiscardHandler), s.clock.Now)
}

// TestJunkThrottlesNobodyWhoHoldsAToken: a stranger floods from the address of a
// hosted client, with its public client_id, until everything that a stranger can
// use up is used up. Those whose tokens are ours notice nothing.
func TestJunkThrottlesNobodyWhoHoldsAToken(t *testing.T) {
	t.Parallel()
	for name, redisURL := range map[string]string{"Redis": storetest.Redis(t), "no Redis": "redis://127.0.0.1:1"} {
		s := startLimited(t, 1, redisURL)
		c := s.register(claudeRedirect)
		held, code := c.connect(), c.allow(nil).Get("code")
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(held.Refresh, "scl_rt_"))
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)-1] ^= 1 // names the very connection, and is forged
		forged := "scl_rt_" + base64.RawURLEncoding.EncodeToString(raw)
		refused := map[string]int{}
		for range 100 {
			for what, a := range map[string]answer{
				"refresh": c.refresh(forged),
				"code":    c.token(c.redemption(code[:len(code)-4] + "AAAA")),
				"nothing": c.token(url.Values{"grant_type": {"authorization_code"}, "client_id": {c.id}}),
				"revoke":  s.post(http.DefaultClient, "/oauth/revoke", url.Values{"client_id": {c.id}, "token": {forged}}),
			} {
				if a.StatusCode == http.StatusTooManyRequests {
					refused[what]++
				}
			}
		}
		for _, what := range []string{"refresh", "code", "nothing", "revoke"} {
			if refused[what] == 0 {
				t.Errorf("%s: the stranger was never refused at %s", name, what)
			}
		}
		held = c.refresh(held.Refresh).tokens(t)
		another := c.token(c.redemption(code)).tokens(t)
		for what, token := range map[string]string{"refresh token": held.Refresh, "access token": another.Access} {
			if a := s.post(http.DefaultClient, "/oauth/revoke", url.Values{"client_id": {c.id}, "token": {token}}); a.StatusCode != http.StatusOK {
				t.Errorf("%s: revoking by %s: %d %s", name, what, a.StatusCode, a.body)
			}
		}
		if s.live(held.Access) || s.live(another.Access) {
			t.Errorf("%s: revoked, and yet a connection lives", name)
		}
	}
}

// TestForgedTokensCostNoQuery: they are refused with the database gone.
func TestForgedTokensCostNoQuery(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	code, refresh := c.allow(nil).Get("code"), c.connect().Refresh
	s.store.Pool().Close()
	for name, a := range map[string]answer{
		"code":    c.token(c.redemption(code[:len(code)-4] + "AAAA")),
		"refresh": c.refresh(refresh[:len(refresh)-4] + "AAAA"),
	} {
		if a.StatusCode != http.StatusBadRequest || a.json(t)["error"] != "invalid_grant" {
			t.Errorf("%s: %d %s, want invalid_grant", name, a.StatusCode, a.body)
		}
	}
}

// TestConnectionIsLimitedForItselfAlone: a client that has gone wild is told to
// wait, keeps its tokens, and disturbs nobody, not even itself elsewhere.
func TestConnectionIsLimitedForItselfAlone(t *testing.T) {
	t.Parallel()
	s := startLimited(t, 1, "redis://127.0.0.1:1")
	c := s.register("http://127.0.0.1/callback")
	wild, calm := c.connect(), c.connect()
	refreshes := 0
	var a answer
	for a = c.refresh(wild.Refresh); a.StatusCode == http.StatusOK && refreshes < 200; a = c.refresh(wild.Refresh) {
		wild = a.tokens(t)
		refreshes++
	}
	if refreshes != 99 { // the code was the first
		t.Errorf("%d refreshes at once, want 99", refreshes)
	}
	if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "1" || a.json(t)["error"] != "temporarily_unavailable" {
		t.Errorf("after that: %d, Retry-After %q, %s", a.StatusCode, a.Header.Get("Retry-After"), a.body)
	}
	if got := a.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(got, "Retry-After") {
		t.Errorf("browsers may read %q, want Retry-After", got)
	}
	c.refresh(calm.Refresh).tokens(t)
	s.clock.advance(time.Second)
	c.refresh(wild.Refresh).tokens(t)
}

// TestKnownRegistrationsPassWhereNewOnesAreRefused: hosted clients register the
// same again and again.
func TestKnownRegistrationsPassWhereNewOnesAreRefused(t *testing.T) {
	t.Parallel()
	s := startLimited(t, 1, "redis://127.0.0.1:1")
	register := func(address, name, method string) answer {
		t.Helper()
		body, err := json.Marshal(map[string]any{"client_name": name, "redirect_uris": []string{claudeRedirect}, "token_endpoint_auth_method": method})
		if err != nil {
			t.Fatal(err)
		}
		return s.from(address, "POST", "/oauth/register", "application/json", string(body))
	}
	const here, elsewhere = "203.0.113.7", "203.0.113.8"
	known := register(here, "Claude", "none").json(t)["client_id"]
	for range 200 {
		if got := register(here, "Claude", "none").json(t)["client_id"]; got != known {
			t.Fatalf("registered alike, and got %v, want %v", got, known)
		}
	}
	for i := range 59 { // Claude was the first of 60
		method := []string{"none", "client_secret_basic"}[i%2]
		if a := register(here, fmt.Sprintf("App %d", i), method); a.StatusCode != http.StatusCreated {
			t.Fatalf("new client %d: %d %s", i, a.StatusCode, a.body)
		}
	}
	for _, method := range []string{"none", "client_secret_basic"} {
		a := register(here, "One more", method)
		if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "10" || a.json(t)["error"] != "temporarily_unavailable" {
			t.Errorf("a new client (%s): %d, Retry-After %q %s, want 429 for 10 s", method, a.StatusCode, a.Header.Get("Retry-After"), a.body)
		}
	}
	if a := register(here, "Claude", "none"); a.StatusCode != http.StatusCreated || a.json(t)["client_id"] != known {
		t.Errorf("a known client: %d %s, want %v", a.StatusCode, a.body, known)
	}
	if a := register(here, "Claude", "client_secret_basic"); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the same name with a secret: %d, want 429", a.StatusCode)
	}
	if a := register(elsewhere, "One more", "none"); a.StatusCode != http.StatusCreated {
		t.Errorf("a new client from elsewhere: %d %s", a.StatusCode, a.body)
	}
	s.clock.advance(10 * time.Second)
	if a := register(here, "And another", "none"); a.StatusCode != http.StatusCreated {
		t.Errorf("10 s later: %d %s", a.StatusCode, a.body)
	}
}
