package clerkdev_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
)

const (
	clientID      = "client_dev"
	clientSecret  = "secret & needs=escaping"
	secretKey     = "sk_test_dev"
	webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	redirectURI   = "http://localhost:8080/sign-in/callback"
)

// start runs a development Clerk until the end of the test.
func start(t *testing.T, change func(*clerkdev.Config)) *clerkdev.Server {
	t.Helper()
	c := clerkdev.Config{
		Listen:       "127.0.0.1:0",
		ClientID:     clientID,
		ClientSecret: clientSecret,
		SecretKey:    secretKey,
		RedirectURIs: []string{redirectURI},
	}
	if change != nil {
		change(&c)
	}
	s, err := clerkdev.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

// clock is a time that tests move by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// do sends a control command and returns status and body.
func do(t *testing.T, s *clerkdev.Server, action, body string) (int, string) {
	t.Helper()
	response, err := http.Post(s.URL()+"/dev/"+action, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func mustDo(t *testing.T, s *clerkdev.Server, action, body string) {
	t.Helper()
	if status, text := do(t, s, action, body); status != http.StatusOK {
		t.Fatalf("/dev/%s %s: got %d %s, want 200", action, body, status, text)
	}
}

func TestStartRefusesUnsafeOrIncompleteConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*clerkdev.Config)
		want   string
	}{
		"all addresses":       {func(c *clerkdev.Config) { c.Listen = ":0" }, "loopback"},
		"all IPv4 addresses":  {func(c *clerkdev.Config) { c.Listen = "0.0.0.0:0" }, "loopback"},
		"another address":     {func(c *clerkdev.Config) { c.Listen = "192.0.2.1:8081" }, "use 127.0.0.1:8081"},
		"not an address":      {func(c *clerkdev.Config) { c.Listen = "localhost" }, "listen address"},
		"issuer with a slash": {func(c *clerkdev.Config) { c.PublicURL = "http://127.0.0.1:8081/" }, "trailing slash"},
		"issuer with a path":  {func(c *clerkdev.Config) { c.PublicURL = "http://127.0.0.1:8081/clerk" }, "without a path"},
		"no client secret":    {func(c *clerkdev.Config) { c.ClientSecret = "" }, "ClientSecret"},
		"no secret key":       {func(c *clerkdev.Config) { c.SecretKey = "" }, "SecretKey"},
		"no redirect URI":     {func(c *clerkdev.Config) { c.RedirectURIs = nil }, "RedirectURIs"},
		"raw webhook secret":  {func(c *clerkdev.Config) { c.WebhookURL, c.WebhookSecret = "http://127.0.0.1:1/", "x" }, "whsec_"},
	} {
		t.Run(name, func(t *testing.T) {
			c := clerkdev.Config{Listen: "127.0.0.1:0", ClientID: "a", ClientSecret: "b", SecretKey: "c", RedirectURIs: []string{"http://localhost/"}}
			test.change(&c)
			s, err := clerkdev.Start(t.Context(), c)
			if err == nil {
				s.Close()
				t.Fatal("got no error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want it to mention %q", err, test.want)
			}
		})
	}
}

func TestStopsWithContextAndFreesTheAddress(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := clerkdev.Config{Listen: "127.0.0.1:0", ClientID: "a", ClientSecret: "b", SecretKey: "c", RedirectURIs: []string{"http://localhost/"}}
	s, err := clerkdev.Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.Listen = strings.TrimPrefix(s.URL(), "http://")
	again, err := clerkdev.Start(t.Context(), c)
	if err != nil {
		t.Fatalf("the address is still taken: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPagesOfTheWebCannotReachIt(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	post := func(change func(*http.Request)) int {
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+"/dev/ban", strings.NewReader(`{"user":"bob@acme.example"}`))
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if got := post(func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); got != http.StatusForbidden {
		t.Errorf("cross-site post: got %d, want 403", got)
	}
	if got := post(func(r *http.Request) { r.Host = "rebound.example:8081" }); got != http.StatusMisdirectedRequest {
		t.Errorf("rebound name: got %d, want 421", got)
	}
	if got := post(func(r *http.Request) { r.Host = "localhost:8081" }); got != http.StatusOK {
		t.Errorf("localhost: got %d, want 200", got)
	}
}
