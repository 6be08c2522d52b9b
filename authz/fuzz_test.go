package authz

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"scaling.cloud/mcp/authz/clientdoc"
	"scaling.cloud/mcp/store"
)

// checkGood fails where a client has what none may have, however it came by it.
func checkGood(t *testing.T, redirectURIs, grantTypes []string) {
	t.Helper()
	if len(redirectURIs) == 0 || len(redirectURIs) > maxRedirectURIs {
		t.Errorf("%d redirect URIs", len(redirectURIs))
	}
	for _, uri := range redirectURIs {
		u, err := url.Parse(uri)
		if err != nil {
			t.Errorf("%q does not parse", uri)
			continue
		}
		if u.User != nil || strings.Contains(uri, "#") || len(uri) > maxRedirectURI {
			t.Errorf("%q is good", uri)
		}
		switch {
		case u.Scheme == "https" && u.Hostname() != "", u.Scheme == "http" && loopback(u),
			strings.Contains(u.Scheme, "."), slices.Contains(privateSchemes, u.Scheme):
		default:
			t.Errorf("%q is good, with its scheme", uri)
		}
		if !matchRedirectURI(redirectURIs, uri) {
			t.Errorf("%q does not match itself", uri)
		}
	}
	if !slices.Contains(grantTypes, store.GrantCode) || slices.ContainsFunc(grantTypes, func(g string) bool { return g != store.GrantCode && g != store.GrantRefresh }) {
		t.Errorf("grant types are %v", grantTypes)
	}
}

// FuzzClientMetadata: whatever a client says of itself, in a registration or in a
// document at an address, what is accepted is safe, and is its own.
func FuzzClientMetadata(f *testing.F) {
	const id = "https://tool.example/client.json"
	for _, body := range []string{
		`{"redirect_uris":["https://a.example/cb"]}`,
		`{"redirect_uris":["http://localhost:1/cb","cursor://x/cb","com.example:/cb"],"token_endpoint_auth_method":"none","client_name":"x"}`,
		`{"redirect_uris":["javascript:alert(1)"]}`, `{"redirect_uris":null,"grant_types":null}`, `{"REDIRECT_URIS":["https://a/b"],"redirect_uris":[]}`,
		`{"redirect_uris":["https://a.example/cb"],"grant_types":["authorization_code","x"],"response_types":["code","token"],"scope":""}`, `[]`, `null`,
		`{"client_id":"` + id + `","client_name":"Tool","redirect_uris":["https://tool.example/cb","javascript:x"]}`,
		`{"client_id":"` + id + `","client_name":"Tool","redirect_uris":["http://localhost/cb"],"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["none"],"jwks_uri":"https://tool.example/jwks.json"}`,
		`{"client_id":"` + id + `","client_name":"Tool","redirect_uris":["http://localhost/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}`,
		`{"client_id":"` + id + `","client_name":"Tool","redirect_uris":["https://tool.example/cb"],"client_secret":"x"}`,
		`{"client_id":"https://tool.example/other.json"}`, `{"client_id":null}`,
	} {
		f.Add(id, body)
	}
	for _, address := range []string{
		"https://a.example:8443/x", "https://[::1]/x", "https://a@b/x", "https://a/%2e%2e/x", "https://a/x#", "http://a/x", "https://a\\@b/x", "https://a/x?y",
	} {
		f.Add(address, `{"client_id":"`+address+`","client_name":"Tool","redirect_uris":["https://a/cb"]}`)
	}
	f.Fuzz(func(t *testing.T, address, body string) {
		checkRegistration(t, body)
		if checkAddress(t, address) {
			checkDocument(t, address, body)
		}
	})
}

// checkRegistration fails where a registration is accepted that should not be.
func checkRegistration(t *testing.T, body string) {
	r := httptest.NewRequest(http.MethodPost, "/oauth/register", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	var reg registration
	if decodeJSON(r, &reg) != nil || reg.validate() != nil {
		return
	}
	checkGood(t, reg.RedirectURIs, reg.GrantTypes)
	if !slices.Contains([]string{store.AuthMethodNone, store.AuthMethodBasic, store.AuthMethodPost}, reg.TokenEndpointAuthMethod) {
		t.Errorf("authentication method %q", reg.TokenEndpointAuthMethod)
	}
	encoded, err := json.Marshal(reg)
	if err != nil {
		t.Fatal(err)
	}
	var again registration
	if err := json.Unmarshal(encoded, &again); err != nil {
		t.Fatal(err)
	}
	if err := again.validate(); err != nil {
		t.Errorf("what was accepted is refused the second time: %v", err)
	}
	if string(again.hash()) != string(reg.hash()) {
		t.Errorf("the same registration is another")
	}
}

// checkAddress reports whether address may be a client's id. It fails where that
// cannot be fetched as it is written, or is written in a way that other programs
// read otherwise.
func checkAddress(t *testing.T, address string) bool {
	if clientdoc.CheckURL(address) != "" {
		return false
	}
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatalf("%q is good and cannot be asked for: %v", address, err)
	}
	u := request.URL
	if u.Scheme != "https" || u.User != nil || u.Port() != "" || u.Hostname() == "" || u.Fragment != "" || len(address) > 2048 || len(u.Path) < 2 {
		t.Errorf("%q is good", address)
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			t.Errorf("%q is good, with a dot segment", address)
		}
	}
	return true
}

// checkDocument fails where the document at address is accepted that should not
// be.
func checkDocument(t *testing.T, address, body string) {
	d, err := parseDocument(address, []byte(body))
	if err != nil {
		if text := err.Error(); !strings.HasPrefix(text, "it ") {
			t.Errorf("refused without a phrase for people: %s", text)
		}
		return
	}
	checkGood(t, d.RedirectURIs, d.GrantTypes)
	if d.ClientID != address || displayName(d.ClientName) == unnamed {
		t.Errorf("client %q, called %q", d.ClientID, d.ClientName)
	}
	switch d.TokenEndpointAuthMethod {
	case store.AuthMethodNone, store.AuthMethodPrivateKeyJWT:
	default:
		t.Errorf("authentication method %q", d.TokenEndpointAuthMethod)
	}
	if keySet, err := parseKeySet(d.JWKS); err == nil && strings.Contains(string(keySet), `"d":`) {
		t.Errorf("a private key is kept: %s", keySet)
	}
}
