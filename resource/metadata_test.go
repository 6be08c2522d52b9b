package resource_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"scaling.cloud/mcp/store"
)

// TestMetadataNamesTheResourceThatWasCalled (RFC 9728 §3.3): clients compare
// the two byte for byte.
func TestMetadataNamesTheResourceThatWasCalled(t *testing.T) {
	f := newFixture(t, nil, nil)
	const path = "/.well-known/oauth-protected-resource"
	for url, resource := range map[string]string{
		path:           publicURL,
		path + "/":     publicURL,
		path + "/mcp":  publicURL + "/mcp",
		path + "/mcp/": publicURL + "/mcp",
	} {
		a := f.do(t, "GET", url, http.Header{"Origin": {"https://anybody.example"}}, "")
		var got oauthex.ProtectedResourceMetadata
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatalf("%s: %q: %v", url, a.body, err)
		}
		if got.Resource != resource {
			t.Errorf("%s: resource: got %q, want %q", url, got.Resource, resource)
		}
		if !slices.Equal(got.AuthorizationServers, []string{publicURL}) {
			t.Errorf("%s: authorization_servers: got %q", url, got.AuthorizationServers)
		}
		if !slices.Equal(got.ScopesSupported, store.ResourceScopes()) {
			t.Errorf("%s: scopes_supported: got %q", url, got.ScopesSupported)
		}
		if !slices.Equal(got.BearerMethodsSupported, []string{"header"}) {
			t.Errorf("%s: bearer_methods_supported: got %q", url, got.BearerMethodsSupported)
		}
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": "*",
			"Content-Type":                "application/json",
			"Cache-Control":               "public, max-age=300",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s: got %q, want %q", url, name, got, want)
			}
		}
	}
}
