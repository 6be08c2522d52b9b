package authz

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestLoopbackPortsAreFreeAndNothingElseIs is RFC 8252 §7.3, by row.
func TestLoopbackPortsAreFreeAndNothingElseIs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		registered, requested string
		want                  bool
	}{
		{"http://localhost/callback", "http://localhost:58135/callback", true},
		{"http://localhost:1/callback", "http://localhost:2/callback", true},
		{"http://localhost:1/callback", "http://localhost/callback", true},
		{"http://127.0.0.1/", "http://127.0.0.1:33418/", true},
		{"http://[::1]/cb", "http://[::1]:9/cb", true},
		{"http://127.0.0.1/cb?a=1", "http://127.0.0.1:9/cb?a=1", true},
		{"http://localhost/callback", "http://localhost:9/other", false},
		{"http://localhost/callback", "http://localhost:9/callback/", false},
		{"http://localhost/callback", "http://localhost:9/callback?x=1", false},
		{"http://localhost/callback", "http://localhost:9/callback#x", false},
		{"http://localhost/callback", "http://127.0.0.1:9/callback", false},
		{"http://127.0.0.1/cb", "http://localhost:9/cb", false},
		{"http://localhost/callback", "https://localhost:9/callback", false},
		{"https://localhost/callback", "http://localhost:9/callback", false},
		{"https://localhost/callback", "https://localhost:9/callback", false},
		{"http://localhost/callback", "http://user:pw@localhost:9/callback", false},
		{"http://localhost/callback", "http://localhost:9@evil.example/callback", false},
		{"http://localhost/callback", "http://localhost.evil.example:9/callback", false},
		{"http://localhost/callback", "HTTP://localhost:9/callback", false},
		{"http://localhost/callback", "http://LOCALHOST:9/callback", false},
		{"https://a.example/cb", "https://a.example:444/cb", false},
		{"https://a.example/cb", "https://a.example/cb", true},
		{"cursor://x/cb", "cursor://x/cb", true},
		{"cursor://x/cb", "cursor://x:1/cb", false},
	}
	for _, tt := range tests {
		if got := matchRedirectURI([]string{"https://first.example/", tt.registered}, tt.requested); got != tt.want {
			t.Errorf("registered %s, requested %s: %v, want %v", tt.registered, tt.requested, got, tt.want)
		}
	}
}

func TestParametersAreAddedToTheQueryThatIsThere(t *testing.T) {
	t.Parallel()
	parameters := url.Values{"code": {"a b"}, "state": {"x&y"}}
	for uri, want := range map[string]string{
		"https://a.example/cb":     "https://a.example/cb?code=a+b&state=x%26y",
		"https://a.example/cb?q=1": "https://a.example/cb?q=1&code=a+b&state=x%26y",
		"https://a.example/cb?":    "https://a.example/cb?code=a+b&state=x%26y",
		"com.example.app:/cb":      "com.example.app:/cb?code=a+b&state=x%26y",
	} {
		if got := withParameters(uri, parameters); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

// FuzzRequestedURI: of whatever a request names as its redirect URI, what matches
// has a scheme that is allowed, no fragment and no user information, and is what
// was registered, byte for byte or but for a loopback port; of whatever it names
// as its resource, what is known is one of our two identifiers, and the rest is
// invalid_target (RFC 8707 §2).
func FuzzRequestedURI(f *testing.F) {
	const origin = "https://mcp.scaling.cloud"
	for _, seed := range []string{
		"http://localhost:1/callback", "https://a.example/cb", "http://user@localhost/callback", "javascript:alert(1)",
		"http://[::1]:1/callback", "http://localhost:1:2/callback", "http://localhost\\@evil.example/callback", "http://local%68ost/callback",
		"", origin, origin + "/", origin + "/mcp", origin + "/mcp/", "HTTPS://MCP.scaling.cloud/mcp", origin + "/MCP", origin + "//mcp",
		origin + ":443/mcp", origin + "/mcp?", origin + "/mcp#", origin + "/%6dcp", origin + "/./mcp", "https://x@mcp.scaling.cloud/mcp",
		"http://mcp.scaling.cloud/mcp", "https:mcp.scaling.cloud/mcp", "https://evil.example/mcp", "//mcp.scaling.cloud/mcp", "%zz", "\x00",
	} {
		f.Add(seed)
	}
	registered := []string{"http://localhost/callback", "http://[::1]:8/callback", "https://a.example/cb", "cursor://x/cb"}
	resource := newProtectedResource(origin)
	f.Fuzz(func(t *testing.T, text string) {
		// By itself, and where an attacker would put it: behind what is known.
		for _, known := range []string{"", origin, origin + "/mcp", "http://localhost", "http://localhost:", "http://localhost/callback", "https://a.example/cb"} {
			checkResource(t, resource, origin, known+text)
			checkMatch(t, registered, known+text)
		}
	})
}

// checkMatch fails where requested passes for a redirect URI that was not
// registered.
func checkMatch(t *testing.T, registered []string, requested string) {
	if !matchRedirectURI(registered, requested) {
		return
	}
	u, err := url.Parse(requested)
	if err != nil {
		t.Fatalf("%q matches and does not parse", requested)
	}
	switch u.Scheme + "://" + u.Hostname() + u.Path {
	case "http://localhost/callback", "http://::1/callback", "https://a.example/cb", "cursor://x/cb":
	default:
		t.Errorf("%q matches", requested)
	}
	if u.User != nil || strings.Contains(requested, "#") || u.RawQuery != "" {
		t.Errorf("%q matches with more than a port", requested)
	}
	if checkRedirectURI(requested) != "" {
		t.Errorf("%q matches and could not be registered", requested)
	}
	if portless := strings.Replace(requested, u.Host, strings.TrimSuffix(u.Host, ":"+u.Port()), 1); !slices.Contains(registered, requested) &&
		!(loopback(u) && (portless == "http://localhost/callback" || portless == "http://[::1]/callback")) {
		t.Errorf("%q matches and is not what was registered", requested)
	}
}

// checkResource fails where sent passes for a resource that it does not name: what
// is taken differs from what is meant by case of scheme and host and by one slash,
// and by nothing else.
func checkResource(t *testing.T, resource protectedResource, origin, sent string) {
	got, err := resource.canonical(sent)
	if err != nil {
		if e := asError(err); e.Code != codeInvalidTarget || got != "" {
			t.Errorf("%q: %q, %v", sent, got, err)
		}
		return
	}
	if got != origin && got != origin+"/mcp" {
		t.Errorf("%q: %q", sent, got)
	}
	sentHost, sentPath := cutPath(sent)
	gotHost, gotPath := cutPath(got)
	if sent != "" && (!strings.EqualFold(sentHost, gotHost) || strings.TrimSuffix(sentPath, "/") != gotPath) {
		t.Errorf("%q passes for %q", sent, got)
	}
}

// cutPath cuts a URL after its host.
func cutPath(u string) (origin, path string) {
	scheme, rest, _ := strings.Cut(u, "://")
	host, path, found := strings.Cut(rest, "/")
	if found {
		path = "/" + path
	}
	return scheme + "://" + host, path
}
