package resource_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"scaling.cloud/mcp/resource"
)

func TestOriginsThatMayCall(t *testing.T) {
	for _, row := range []struct {
		name     string
		origin   string
		loopback bool
		allowed  bool
	}{
		{"our own", publicURL, false, true},
		{"one of the list", "https://inspector.example", false, true},
		{"one of the list, written with its port and a slash", "https://studio.example", false, true},
		{"another port of one of the list", "https://inspector.example:8443", false, false},
		{"another scheme", "http://mcp.example", false, false},
		{"a longer name", "https://mcp.example.evil.example", false, false},
		{"a page without an origin of its own (RFC 6454 §7.3)", "null", false, false},
		{"loopback, in production", "http://localhost:6274", false, false},
		{"loopback, in development", "http://localhost:6274", true, true},
		{"loopback by address", "http://127.0.0.1:1", true, true},
		{"loopback by IPv6 address", "http://[::1]:1", true, true},
		{"a name that begins like loopback", "http://localhost.evil.example", true, false},
		{"loopback as user name", "http://localhost@evil.example", true, false},
		{"another scheme on loopback", "file://localhost", true, false},
		{"a path after loopback", "http://localhost/x", true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil, func(c *resource.Config) {
				c.AllowedOrigins = []string{"https://inspector.example", "https://STUDIO.example:443/"}
				c.AllowLoopbackOrigins = row.loopback
			})
			for _, method := range []string{"POST", "GET", "DELETE", "OPTIONS"} {
				a := f.do(t, method, "/mcp", with(f.bearer(t, everything...), "Origin", row.origin), ping)
				if row.allowed == (a.StatusCode == http.StatusForbidden) {
					t.Errorf("%s: got %d, allowed is %v", method, a.StatusCode, row.allowed)
				}
				want := ""
				if row.allowed {
					want = row.origin
				}
				if got := a.Header.Get("Access-Control-Allow-Origin"); got != want {
					t.Errorf("%s: Access-Control-Allow-Origin: got %q, want %q", method, got, want)
				}
				if a.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s: credentials are allowed across origins", method)
				}
				if !strings.Contains(a.Header.Get("Vary"), "Origin") {
					t.Errorf("%s: no Vary: Origin", method)
				}
			}
		})
	}
}

// TestABrowserClientCanSignIn: the challenge is of no use to a page that may
// not read it, and a preflight carries no token.
func TestABrowserClientCanSignIn(t *testing.T) {
	f := newFixture(t, nil, func(c *resource.Config) { c.AllowLoopbackOrigins = true })
	origin := http.Header{"Origin": {"http://localhost:6274"}}

	preflight := f.do(t, "OPTIONS", "/mcp", with(with(origin,
		"Access-Control-Request-Method", "POST"), "Access-Control-Request-Headers", "authorization,mcp-protocol-version"), "")
	if preflight.StatusCode != http.StatusNoContent {
		t.Fatalf("preflight: got %d, want 204", preflight.StatusCode)
	}
	for _, name := range []string{"Authorization", "Content-Type", "Accept", "Mcp-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name", "Last-Event-ID"} {
		if !strings.Contains(preflight.Header.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("preflight does not allow %s", name)
		}
	}
	challenge := f.do(t, "POST", "/mcp", origin, ping)
	for _, name := range []string{"WWW-Authenticate", "Retry-After", "Mcp-Session-Id"} {
		if !strings.Contains(challenge.Header.Get("Access-Control-Expose-Headers"), name) {
			t.Errorf("the 401 does not expose %s", name)
		}
	}
}

func TestTwoOriginsAreRefused(t *testing.T) {
	f := newFixture(t, nil, nil)
	header := f.bearer(t, everything...)
	header["Origin"] = []string{publicURL, "https://evil.example"}
	if a := f.do(t, "POST", "/mcp", header, ping); a.StatusCode != http.StatusForbidden {
		t.Errorf("got %d, want 403", a.StatusCode)
	}
}

// TestAReboundHostNameIsRefusedOnLoopback: a page whose name was made to
// resolve to 127.0.0.1 is same-origin for its browser. A proxy on this machine
// forwards our public name, and must work.
func TestAReboundHostNameIsRefusedOnLoopback(t *testing.T) {
	f := newFixture(t, nil, nil)
	for _, row := range []struct {
		local, host string
		want        int
	}{
		{"127.0.0.1:8080", "evil.example:8080", 403},
		{"127.0.0.1:8080", "127.0.0.1:8080", 200},
		{"127.0.0.1:8080", "localhost", 200},
		{"[::1]:8080", "[::1]:8080", 200},
		{"127.0.0.1:8080", "MCP.example", 200},
		{"10.0.0.7:8080", "10.0.0.7:8080", 200},
	} {
		local, err := net.ResolveTCPAddr("tcp", row.local)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/mcp", strings.NewReader(ping))
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
		r.Host = row.host
		r.Header = f.bearer(t, everything...)
		r.Header.Set("Accept", "*/*")
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, r)
		if w.Code != row.want {
			t.Errorf("host %s at %s: got %d %s, want %d", row.host, row.local, w.Code, w.Body, row.want)
		}
	}
}

// TestRootRefusesPagesOfOtherOrigins: design §4 has it for both paths, whatever
// the page asks for.
func TestRootRefusesPagesOfOtherOrigins(t *testing.T) {
	f := newFixture(t, nil, nil)
	for _, row := range []struct {
		origin string
		want   int
	}{{"https://evil.example", 403}, {"null", 403}, {publicURL, 200}} {
		header := http.Header{"Accept": {"text/html"}, "Origin": {row.origin}}
		if a := f.do(t, "GET", "/", header, ""); a.StatusCode != row.want {
			t.Errorf("origin %s: got %d, want %d", row.origin, a.StatusCode, row.want)
		}
	}
}

func TestRootIsALandingPageForBrowsersOnly(t *testing.T) {
	f := newFixture(t, nil, nil)
	for _, row := range []struct {
		accept string
		want   int
	}{
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200},
		{"TEXT/HTML", 200},
		{"text/html;q=0.5, application/json;q=0.4", 200},
		{"application/json, text/html;q=0.5", 401},
		{"text/html, text/event-stream", 401},
		{"text/html;q=0", 401},
		{"text/html;q=x", 401},
		{"text/event-stream", 401},
		{"application/json, text/event-stream", 401},
		{"*/*", 401},
		{"", 401},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := f.do(t, method, "/", http.Header{"Accept": {row.accept}}, "")
			if a.StatusCode != row.want {
				t.Errorf("%s with Accept %q: got %d, want %d", method, row.accept, a.StatusCode, row.want)
			}
			if !strings.Contains(a.Header.Get("Vary"), "Accept") {
				t.Errorf("%s with Accept %q: no Vary: Accept", method, row.accept)
			}
		}
	}
}
