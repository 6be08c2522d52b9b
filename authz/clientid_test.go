package authz_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/secret"
)

// Documents of real clients, and of one that is made up.
const (
	claudeDocument     = "https://claude.ai/oauth/mcp-oauth-client-metadata"
	claudeCodeDocument = "https://claude.ai/oauth/claude-code-client-metadata"
	chatGPTDocument    = "https://chatgpt.com/oauth/client.json"
	chatGPTKeys        = "https://chatgpt.com/oauth/jwks.json"
	chatGPTRedirect    = "https://chatgpt.com/connector_platform_oauth_redirect"
	vscodeDocument     = "https://vscode.dev/oauth/client-metadata.json"
	toolDocument       = "https://tool.example/client.json"
)

var realDocuments = map[string]string{
	claudeDocument:     `{"client_id":"` + claudeDocument + `","client_name":"Claude","client_uri":"https://claude.ai","redirect_uris":["https://claude.ai/api/mcp/auth_callback","https://claude.com/api/mcp/auth_callback"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}`,
	claudeCodeDocument: `{"client_id":"` + claudeCodeDocument + `","client_name":"Claude Code","client_uri":"https://claude.ai","redirect_uris":["http://localhost/callback","http://127.0.0.1/callback"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}`,
	chatGPTDocument:    `{"client_id":"` + chatGPTDocument + `","client_name":"ChatGPT","redirect_uris":["` + chatGPTRedirect + `"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["none","private_key_jwt"],"token_endpoint_auth_signing_alg":"RS256","jwks_uri":"` + chatGPTKeys + `"}`,
	vscodeDocument:     `{"client_id":"` + vscodeDocument + `","client_name":"Visual Studio Code","client_uri":"https://code.visualstudio.com","application_type":"native","grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"response_types":["code"],"redirect_uris":["http://127.0.0.1:33418/","https://vscode.dev/redirect","https://insiders.vscode.dev/redirect","http://127.0.0.1/"],"token_endpoint_auth_method":"none"}`,
}

// documentClient returns the client that is described at id.
func (s *server) documentClient(id, redirectURI string) *oauthClient {
	return &oauthClient{s: s, id: id, redirectURI: redirectURI, verifier: rand.Text() + rand.Text()}
}

// document is a plain document for the client at id.
func document(id string, redirectURIs ...string) string {
	return `{"client_id":"` + id + `","client_name":"Tool","redirect_uris":["` + strings.Join(redirectURIs, `","`) + `"]}`
}

// signer is a key of a client.
type signer struct {
	t         testing.TB
	id        string // key id; empty for none
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

func newSigner(t testing.TB, id string, algorithm jose.SignatureAlgorithm) *signer {
	t.Helper()
	k := &signer{t: t, id: id, algorithm: algorithm}
	var err error
	switch algorithm {
	case jose.ES256:
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keySet returns the public halves as a JWK set.
func keySet(t testing.TB, keys ...*signer) string {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id})
	}
	encoded, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// sign returns a JWT with claims.
func (k *signer) sign(claims any) string {
	k.t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if k.id != "" {
		options = options.WithHeader("kid", k.id)
	}
	var key any = k.private
	if private, ok := key.(*ed25519.PrivateKey); ok {
		key = *private
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: k.algorithm, Key: key}, options)
	if err != nil {
		k.t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		k.t.Fatal(err)
	}
	return token
}

// assertionClaims are good claims of a client.
func (s *server) assertionClaims(id string) map[string]any {
	now := s.clock.Now()
	return map[string]any{
		"iss": id, "sub": id, "aud": s.url + "/oauth/token", "jti": uuid.NewString(),
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
}

// asserted adds an assertion to a form.
func asserted(form url.Values, assertion string) url.Values {
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return form
}

// TestRealClientsConnectByTheirDocument walks the clients of today through
// authorize, consent, token and refresh, and looks at how the consent page
// speaks of them.
func TestRealClientsConnectByTheirDocument(t *testing.T) {
	t.Parallel()
	key := newSigner(t, "k1", jose.RS256)
	tests := []struct {
		client, id, redirectURI string
		withKey                 bool
		name, identity          string
		verified                bool
	}{
		{"claude.ai", claudeDocument, claudeRedirect, false, "Claude", "catalogue:claude", true},
		{"Claude Code", claudeCodeDocument, "http://localhost:58135/callback", false, "Claude Code", "catalogue:claude-code", false},
		{"Claude Code, the version that sent an address", claudeCodeDocument, "http://127.0.0.1:40001/callback", false, "Claude Code", "catalogue:claude-code", false},
		{"ChatGPT, as a public client", chatGPTDocument, chatGPTRedirect, false, "ChatGPT", "catalogue:chatgpt", true},
		{"ChatGPT, with its key", chatGPTDocument, chatGPTRedirect, true, "ChatGPT", "catalogue:chatgpt", true},
		{"VS Code by its site", vscodeDocument, "https://vscode.dev/redirect", false, "Visual Studio Code", "catalogue:vscode", true},
		{"VS Code when its port is taken", vscodeDocument, "http://127.0.0.1:51000/", false, "Visual Studio Code", "catalogue:vscode", false},
	}
	for _, tt := range tests {
		t.Run(tt.client, func(t *testing.T) {
			t.Parallel()
			w := newWeb(t)
			for id, body := range realDocuments {
				w.json(id, body, "Cache-Control", "max-age=3600")
			}
			w.json(chatGPTKeys, keySet(t, key))
			s := startWith(t, w.transport)
			c := s.documentClient(tt.id, tt.redirectURI)
			request := c.request()
			request.Set("resource", s.url+"/mcp")
			request.Set("scope", "incidents:read offline_access")
			page, _ := c.consentPage(request)
			doc := page.page(t)
			if got := doc.Find(".client-name").Text(); got != tt.name {
				t.Errorf("the consent page says %q, want %q", got, tt.name)
			}
			says := doc.Find(".asker").Text()
			if got := strings.Contains(says, "We know this client"); got != tt.verified {
				t.Errorf("verified is %v, want %v: %q", got, tt.verified, says)
			}
			if local := strings.HasPrefix(tt.redirectURI, "http://"); local && !strings.Contains(says, "It says it is "+tt.name+", on your computer") {
				t.Errorf("a client on this computer is spoken of as %q", says)
			}
			location, err := s.post(s.browser, "/oauth/consent", form(t, page)).Location()
			if err != nil || !strings.HasPrefix(location.String(), tt.redirectURI+"?") {
				t.Fatalf("consent leads to %v, %v", location, err)
			}
			authenticate := func(form url.Values) url.Values {
				if tt.withKey {
					return asserted(form, key.sign(s.assertionClaims(tt.id)))
				}
				return form
			}
			redemption := c.redemption(location.Query().Get("code"))
			redemption.Set("resource", s.url+"/mcp")
			first := c.token(authenticate(redemption)).tokens(t)
			rotate := func(refresh string) answer {
				return c.token(authenticate(url.Values{
					"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {refresh}, "resource": {s.url + "/mcp"},
				}))
			}
			chains := map[string]bool{}
			var second tokens
			for _, a := range race(8, func() answer { return rotate(first.Refresh) }) {
				second = a.tokens(t)
				chains[second.Refresh] = true
			}
			if len(chains) != 1 || chains[first.Refresh] || !s.live(second.Access) {
				t.Errorf("eight refreshes at once made %d chains, want 1, and a token that is not the old one", len(chains))
			}
			l, err := s.store.ConnectionVisibleTo(t.Context(), s.claims(second.Access).ConnectionID, "user_alice", nil, s.clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			if l.ClientIdentity != tt.identity || l.ClientVerified != tt.verified || l.ClientID != tt.id {
				t.Errorf("connection is of %q (%q), verified %v, want %q, %v", l.ClientIdentity, l.ClientID, l.ClientVerified, tt.identity, tt.verified)
			}
			s.clock.advance(24 * time.Hour)
			if tk := rotate(second.Refresh).tokens(t); !s.live(tk.Access) {
				t.Error("a day later the connection is dead")
			}
			if got := w.times(tt.id); got != 1 {
				t.Errorf("the document was fetched %d times, want once", got)
			}
		})
	}
}

// TestDocumentsOutsideTheirRules: what cannot be used is refused with a page that
// says why, nobody is redirected, and no row is left.
func TestDocumentsOutsideTheirRules(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	with := func(members string) string {
		return `{"client_id":"` + toolDocument + `","client_name":"Tool","redirect_uris":["https://tool.example/cb"]` + members + `}`
	}
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", contentType)
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(body))
		}
	}
	ok := func(body string) http.HandlerFunc { return answer(http.StatusOK, "application/json", body) }
	w.json("https://tool.example/elsewhere.json", with(""))
	key := newSigner(t, "k", jose.ES256)
	symmetric := `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"k"}]}`
	tests := []struct {
		name string
		page http.HandlerFunc
		want int
	}{
		{"not there", answer(http.StatusNotFound, "application/json", "{}"), 400},
		{"gone", answer(http.StatusGone, "application/json", "{}"), 400},
		{"a redirect to a good one", func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "https://tool.example/elsewhere.json", http.StatusFound)
		}, 400},
		{"forbidden", answer(http.StatusForbidden, "application/json", "{}"), 400},
		{"no content", answer(http.StatusNoContent, "application/json", ""), 400},
		{"created", answer(http.StatusCreated, "application/json", with("")), 400},
		{"a failing server", answer(http.StatusInternalServerError, "application/json", "{}"), 503},
		{"an overloaded server", answer(http.StatusServiceUnavailable, "application/json", "{}"), 503},
		{"a server that is asked too often", answer(http.StatusTooManyRequests, "application/json", "{}"), 503},
		{"a hang-up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503},
		{"HTML", answer(http.StatusOK, "text/html", with("")), 400},
		{"JSON that says it is text", answer(http.StatusOK, "text/plain", with("")), 400},
		{"too large", ok(with(`,"x":"` + strings.Repeat("x", 64<<10) + `"`)), 400},
		{"not JSON", ok("<html>"), 400},
		{"JSON and more", ok(with("") + "{}"), 400},
		{"a list", ok("[" + with("") + "]"), 400},
		{"another client's", ok(document("https://tool.example/other.json", "https://tool.example/cb")), 400},
		{"its own, in capitals", ok(document("https://TOOL.example/client.json", "https://tool.example/cb")), 400},
		{"no client_id", ok(`{"client_name":"Tool","redirect_uris":["https://tool.example/cb"]}`), 400},
		{"no name", ok(`{"client_id":"` + toolDocument + `","redirect_uris":["https://tool.example/cb"]}`), 400},
		{"a name that nobody sees", ok(`{"client_id":"` + toolDocument + `","client_name":"\u200b ","redirect_uris":["https://tool.example/cb"]}`), 400},
		{"a secret", ok(with(`,"client_secret":"x"`)), 400},
		{"a secret's expiry", ok(with(`,"client_secret_expires_at":0`)), 400},
		{"client_secret_basic", ok(with(`,"token_endpoint_auth_method":"client_secret_basic"`)), 400},
		{"client_secret_post", ok(with(`,"token_endpoint_auth_method":"client_secret_post"`)), 400},
		{"client_secret_jwt, or none", ok(with(`,"token_endpoint_auth_method":"client_secret_jwt","token_endpoint_auth_methods_supported":["none"]`)), 400},
		{"tls_client_auth", ok(with(`,"token_endpoint_auth_method":"tls_client_auth"`)), 400},
		{"keys that are nowhere", ok(with(`,"token_endpoint_auth_method":"private_key_jwt"`)), 400},
		{"keys over http", ok(with(`,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://tool.example/jwks.json"`)), 400},
		{"keys that are not there", ok(with(`,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://tool.example/nothing.json"`)), 400},
		{"two sets of keys", ok(with(`,"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://tool.example/jwks.json","jwks":` + keySet(t, key))), 400},
		{"a secret for a key", ok(with(`,"token_endpoint_auth_method":"private_key_jwt","jwks":` + symmetric)), 400},
		{"no redirect URI", ok(`{"client_id":"` + toolDocument + `","client_name":"Tool"}`), 400},
		{"no redirect URI that is safe", ok(document(toolDocument, "javascript:alert(1)")), 400},
		{"no code", ok(with(`,"response_types":["token"]`)), 400},
	}
	c := s.documentClient(toolDocument, "https://tool.example/cb")
	for _, tt := range tests {
		w.publish(toolDocument, tt.page)
		a := s.get("/oauth/authorize?" + c.request().Encode())
		if a.StatusCode != tt.want || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d, Location %q, want %d and a page", tt.name, a.StatusCode, a.Header.Get("Location"), tt.want)
		}
		text := a.page(t).Find("main").Text()
		if said := strings.Contains(text, "at the moment"); said != (tt.want == 503) || a.page(t).Find("h1").Length() != 1 {
			t.Errorf("%s: the page says %q", tt.name, text)
		}
		if _, err := s.store.Client(t.Context(), toolDocument); err == nil {
			t.Errorf("%s: it was kept", tt.name)
		}
		s.clock.advance(time.Minute)
	}
	if got := w.times("https://tool.example/elsewhere.json"); got != 0 {
		t.Errorf("a redirect was followed %d times", got)
	}
}

func TestAddressesThatAreNotClientIDs(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	for _, id := range []string{
		"http://tool.example/client.json", "https://tool.example", "https://tool.example/", "https://tool.example/client.json#x",
		"https://user@tool.example/client.json", "https://tool.example/a/../client.json", "https://tool.example/./client.json",
		"https://tool.example/%2e%2e/client.json", "https://tool.example:8443/client.json", "https://tool.example:443/client.json",
		"https://tool.example:/client.json", "https:///client.json", "HTTPS://tool.example/client.json", "https://tool.example/client json",
		"https://tool.example\\@evil.example/client.json", "https://tool.example/" + strings.Repeat("x", 2048), "ftp://tool.example/x",
	} {
		w.json(id, document(id, "https://tool.example/cb"))
		a := s.get("/oauth/authorize?" + s.documentClient(id, "https://tool.example/cb").request().Encode())
		if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d, want an error page", id, a.StatusCode)
		}
	}
	if len(w.asked) != 0 {
		t.Errorf("somebody was asked: %v", w.asked)
	}
}

// TestDocumentsAreLenientInForm: what is merely odd is overlooked.
func TestDocumentsAreLenientInForm(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	w.json(toolDocument, `{"client_id":"`+toolDocument+`","client_name":"Tool","logo_uri":"http://169.254.169.254/","client_uri":null,"jwks":null,
		"redirect_uris":["javascript:alert(1)","http://evil.example/cb","https://tool.example/cb","myapp://cb"],
		"grant_types":["urn:ietf:params:oauth:grant-type:device_code","authorization_code"],"unknown":{"x":[1]}}`,
		"Content-Type", "application/cimd+json; charset=utf-8")
	c := s.documentClient(toolDocument, "https://tool.example/cb")
	c.token(c.redemption(c.allow(nil).Get("code"))).tokens(t)
	for _, uri := range []string{"javascript:alert(1)", "http://evil.example/cb", "myapp://cb"} {
		request := c.request()
		request.Set("redirect_uri", uri)
		if a := s.get("/oauth/authorize?" + request.Encode()); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s, which is in the document: %d, want 400", uri, a.StatusCode)
		}
	}
}

// TestConsentSaysWhereAClientDescribesItself: whoever looks can tell a document of
// somebody else's. Of a program on this computer it proves nothing, and is not
// said.
func TestConsentSaysWhereAClientDescribesItself(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	const elsewhere, here = "https://tool.example/cb", "http://127.0.0.1/cb"
	w.json(toolDocument, document(toolDocument, elsewhere, here))
	host := strings.Split(toolDocument, "/")[2]
	for redirectURI, want := range map[string]bool{elsewhere: true, here: false} {
		c := s.documentClient(toolDocument, redirectURI)
		page, _ := c.consentPage(c.request())
		says := page.page(t).Find(".asker").Text()
		if got := strings.Contains(says, "It describes itself at "+host); got != want {
			t.Errorf("%s: the page says %q, want that it names %s: %v", redirectURI, says, host, want)
		}
	}
}

// TestDocumentsAreKeptByTheirHeadersWithinBounds: five minutes to a day.
func TestDocumentsAreKeptByTheirHeadersWithinBounds(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	c := s.documentClient(toolDocument, "https://tool.example/cb")
	for _, tt := range []struct {
		headers string
		want    time.Duration
	}{
		{"", 5 * time.Minute},
		{"no-store", 5 * time.Minute},
		{"no-cache, max-age=3600", 5 * time.Minute},
		{"max-age=0", 5 * time.Minute},
		{"max-age=-1", 5 * time.Minute},
		{"max-age=3600", time.Hour},
		{`public, Max-Age="3600"`, time.Hour},
		{"max-age=600, s-maxage=3600", time.Hour},
		{"max-age=31536000", 24 * time.Hour},
		{"max-age=99999999999999999999", 5 * time.Minute},
	} {
		w.json(toolDocument, document(toolDocument, "https://tool.example/cb"), "Cache-Control", tt.headers)
		before := w.times(toolDocument)
		c.consentPage(c.request())
		s.clock.advance(tt.want - time.Second)
		c.consentPage(c.request())
		if got := w.times(toolDocument) - before; got != 1 {
			t.Errorf("%q: fetched %d times in %v, want once", tt.headers, got, tt.want)
		}
		s.clock.advance(time.Second)
		c.consentPage(c.request())
		if got := w.times(toolDocument) - before; got != 2 {
			t.Errorf("%q: fetched %d times after %v, want twice", tt.headers, got, tt.want)
		}
		s.clock.advance(25 * time.Hour)
	}
}

// TestStaleCopies: an outage of the client's server is bridged, for long enough
// and no longer; its word that there is no such client counts at once.
func TestStaleCopies(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	w.json(toolDocument, document(toolDocument, "https://tool.example/cb"))
	w.json(claudeDocument, realDocuments[claudeDocument])
	tool, claude := s.documentClient(toolDocument, "https://tool.example/cb"), s.documentClient(claudeDocument, claudeRedirect)
	tokens := tool.connect()
	claude.consentPage(claude.request())

	w.status(toolDocument, http.StatusInternalServerError)
	w.status(claudeDocument, http.StatusForbidden)
	authorize := func(c *oauthClient) int { return s.get("/oauth/authorize?" + c.request().Encode()).StatusCode }
	s.clock.advance(7*24*time.Hour - time.Second)
	if got := authorize(tool); got != http.StatusSeeOther {
		t.Errorf("a week without the document: %d, want the stale copy", got)
	}
	s.clock.advance(time.Second)
	if got := authorize(tool); got != http.StatusServiceUnavailable {
		t.Errorf("more than a week without the document: %d, want 503", got)
	}
	if got := authorize(claude); got != http.StatusSeeOther {
		t.Errorf("a well-known client after a week: %d, want the stale copy", got)
	}
	s.clock.advance(23 * 24 * time.Hour)
	if got := authorize(claude); got != http.StatusBadRequest {
		t.Errorf("a well-known client after 30 days: %d, want 400", got)
	}

	w.json(toolDocument, document(toolDocument, "https://tool.example/cb"))
	if got := authorize(tool); got != http.StatusSeeOther {
		t.Errorf("the document is back: %d", got)
	}
	tokens = tool.connect()
	for _, status := range []int{http.StatusNotFound, http.StatusGone} {
		s.clock.advance(6 * time.Minute)
		w.status(toolDocument, status)
		if got := authorize(tool); got != http.StatusBadRequest {
			t.Errorf("%d: %d, want no stale copy", status, got)
		}
		if a := tool.refresh(tokens.Refresh); a.StatusCode != http.StatusUnauthorized || a.json(t)["error"] != "invalid_client" {
			t.Errorf("%d: refreshing answers %d %s, want 401 invalid_client", status, a.StatusCode, a.body)
		}
		w.status(toolDocument, http.StatusInternalServerError)
		if got := authorize(tool); got != http.StatusServiceUnavailable {
			t.Errorf("%d, then an outage: %d, want that the withdrawn copy stays so", status, got)
		}
		w.json(toolDocument, document(toolDocument, "https://tool.example/cb"))
		if got := authorize(tool); got != http.StatusSeeOther {
			t.Errorf("the document is back: %d", got)
		}
	}
	tokens = tool.refresh(tokens.Refresh).tokens(t)

	// What the document no longer lists is no longer good, not even for a request
	// that waits for its person.
	page, location := tool.consentPage(tool.request())
	s.clock.advance(6 * time.Minute)
	w.json(toolDocument, document(toolDocument, "https://tool.example/other"))
	if got := authorize(tool); got != http.StatusBadRequest {
		t.Errorf("a redirect URI that was taken off the list: %d, want 400", got)
	}
	if a := s.post(s.browser, "/oauth/consent", form(t, page)); a.StatusCode != http.StatusBadRequest {
		t.Errorf("consent at %s to a redirect URI that was taken off the list: %d, want 400", location, a.StatusCode)
	}
}

// TestOneFetchForAllWhoWait: a crowd at the door is one request at the client's
// server, and the first to give up takes nobody along.
func TestOneFetchForAllWhoWait(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	w.publish(toolDocument, func(rw http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(document(toolDocument, "https://tool.example/cb")))
	})
	c := s.documentClient(toolDocument, "https://tool.example/cb")
	path := s.url + "/oauth/authorize?" + c.request().Encode()
	hasty, giveUp := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(hasty, http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		if response, err := s.browser.Do(r); err == nil {
			response.Body.Close()
		}
	})
	<-arrived
	giveUp()
	for range 16 {
		all.Go(func() {
			if a := s.get(path); a.StatusCode != http.StatusSeeOther {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	close(release)
	all.Wait()
	if got := w.times(toolDocument); got != 1 {
		t.Errorf("fetched %d times, want once", got)
	}
}

// TestAuthorizeIsNoHammer: whoever names many documents of one site makes us ask
// that site a few times, not as often; other sites and well-known clients are not
// held up by it.
func TestAuthorizeIsNoHammer(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	w.json(claudeDocument, realDocuments[claudeDocument])
	w.json(toolDocument, document(toolDocument, "https://tool.example/cb"))
	last := 0
	for range 60 {
		id := "https://" + strings.ToLower(rand.Text()) + ".claude.ai/" + rand.Text()
		last = s.get("/oauth/authorize?" + s.documentClient(id, "https://tool.example/cb").request().Encode()).StatusCode
	}
	if last != http.StatusServiceUnavailable {
		t.Errorf("the 60th document of one site: %d, want 503", last)
	}
	if len(w.asked) > 30 {
		t.Errorf("one site was asked %d times", len(w.asked))
	}
	claude, tool := s.documentClient(claudeDocument, claudeRedirect), s.documentClient(toolDocument, "https://tool.example/cb")
	claude.consentPage(claude.request())
	tool.consentPage(tool.request())
}

// TestOnlyTheAuthorizationEndpointFetches: the token endpoint has the stored copy
// or nothing.
func TestOnlyTheAuthorizationEndpointFetches(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	w.json(toolDocument, document(toolDocument, "https://tool.example/cb"))
	c := s.documentClient(toolDocument, "https://tool.example/cb")
	token := s.register("http://127.0.0.1/callback").connect().Refresh // one of ours, or the client would not be looked for
	for _, path := range []string{"/oauth/token", "/oauth/revoke"} {
		a := s.post(http.DefaultClient, path, url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {token}, "token": {token}})
		if a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d %s, want 401", path, a.StatusCode, a.body)
		}
	}
	if got := w.times(toolDocument); got != 0 {
		t.Errorf("fetched %d times", got)
	}
	tokens := c.connect()
	s.clock.advance(48 * time.Hour)
	c.refresh(tokens.Refresh).tokens(t)
	if got := w.times(toolDocument); got != 1 {
		t.Errorf("fetched %d times, want once", got)
	}
}

// TestUnusedDocumentsAreForgotten, and those that somebody authorized are not.
func TestUnusedDocumentsAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	w.json(toolDocument, document(toolDocument, "https://tool.example/cb"))
	w.json(claudeDocument, realDocuments[claudeDocument])
	tool, claude := s.documentClient(toolDocument, "https://tool.example/cb"), s.documentClient(claudeDocument, claudeRedirect)
	tool.consentPage(tool.request())
	claude.connect()
	for _, at := range []struct {
		after time.Duration
		tool  bool
	}{{7*24*time.Hour - time.Minute, true}, {2 * time.Minute, false}} {
		s.clock.advance(at.after)
		if err := s.store.DeleteExpired(t.Context(), s.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.store.Client(t.Context(), toolDocument); (err == nil) != at.tool {
			t.Errorf("a document that nobody authorized, %v later: %v", at.after, err)
		}
		if _, err := s.store.Client(t.Context(), claudeDocument); err != nil {
			t.Errorf("a document with a connection: %v", err)
		}
	}
}

// keyed publishes a client that authenticates by keys alone and returns it.
func keyed(w *web, s *server, methods string, keys ...*signer) *oauthClient {
	w.json(toolDocument, `{"client_id":"`+toolDocument+`","client_name":"Tool","redirect_uris":["https://tool.example/cb"],
		"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":`+methods+`,"jwks_uri":"https://keys.example/jwks.json"}`)
	w.json("https://keys.example/jwks.json", keySet(w.t, keys...))
	return s.documentClient(toolDocument, "https://tool.example/cb")
}

func TestPrivateKeyJWTAlgorithms(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	var keys []*signer
	for _, algorithm := range []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA} {
		keys = append(keys, newSigner(t, "key for "+string(algorithm), algorithm))
	}
	keys = append(keys, newSigner(t, "", jose.ES256))
	c := keyed(w, s, `["private_key_jwt"]`, keys...)
	tokens := c.token(asserted(c.redemption(c.allow(nil).Get("code")), keys[0].sign(s.assertionClaims(c.id)))).tokens(t)
	for _, key := range keys {
		form := asserted(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}}, key.sign(s.assertionClaims(c.id)))
		if a := c.token(form); a.StatusCode != http.StatusOK {
			t.Errorf("%s, key id %q: %d %s", key.algorithm, key.id, a.StatusCode, a.body)
		}
	}
	claims := s.assertionClaims(c.id)
	claims["aud"] = []string{"https://other.example", s.url}
	revocation := asserted(url.Values{"client_id": {c.id}, "token": {tokens.Refresh}}, keys[1].sign(claims))
	if a := s.post(http.DefaultClient, "/oauth/revoke", revocation); a.StatusCode != http.StatusOK || s.live(tokens.Access) {
		t.Errorf("revocation with a key, for the issuer: %d %s", a.StatusCode, a.body)
	}
}

func TestPrivateKeyJWTRefuses(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	key, other := newSigner(t, "k", jose.ES256), newSigner(t, "k", jose.ES256)
	public, err := json.Marshal(key.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	symmetric, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: append(public, public...)}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	hs256, err := jwt.Signed(symmetric).Claims(s.assertionClaims(toolDocument)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	none := "eyJhbGciOiJub25lIiwia2lkIjoiayJ9." + strings.Split(key.sign(s.assertionClaims(toolDocument)), ".")[1] + "."
	changed := func(name string, value any) func() string {
		return func() string {
			claims := s.assertionClaims(toolDocument)
			if value == nil {
				delete(claims, name)
			} else {
				claims[name] = value
			}
			return key.sign(claims)
		}
	}
	now := s.clock.Now()
	for _, methods := range []string{`["private_key_jwt"]`, `["none","private_key_jwt"]`} {
		c := keyed(w, s, methods, key)
		s.clock.advance(time.Hour)
		now = s.clock.Now()
		code := c.allow(nil).Get("code")
		plain := s.register("https://plain.example/cb")
		tests := []struct {
			name      string
			assertion func() string
			change    func(url.Values)
			want      string
		}{
			{"another key", func() string { return other.sign(s.assertionClaims(toolDocument)) }, nil, "invalid_client"},
			{"HS256", func() string { return hs256 }, nil, "invalid_client"},
			{"alg none", func() string { return none }, nil, "invalid_client"},
			{"not a JWT", func() string { return "x" }, nil, "invalid_client"},
			{"RFC 7523 §3: another issuer", changed("iss", "https://evil.example/client.json"), nil, "invalid_client"},
			{"RFC 7523 §3: no issuer", changed("iss", nil), nil, "invalid_client"},
			{"RFC 7523 §3: another subject", changed("sub", plain.id), nil, "invalid_client"},
			{"RFC 7523 §3: no subject", changed("sub", nil), nil, "invalid_client"},
			{"RFC 7523 §3: another audience", changed("aud", "https://other.example"), nil, "invalid_client"},
			{"RFC 7523 §3: no audience", changed("aud", nil), nil, "invalid_client"},
			{"RFC 7523 §3: the resource for an audience", changed("aud", s.url+"/mcp"), nil, "invalid_client"},
			{"RFC 7523 §3: expired", changed("exp", now.Add(-2*time.Minute).Unix()), nil, "invalid_client"},
			{"RFC 7523 §3: no expiry", changed("exp", nil), nil, "invalid_client"},
			{"RFC 7523 §3: good for a year", changed("exp", now.Add(365*24*time.Hour).Unix()), nil, "invalid_client"},
			{"RFC 7523 §3: not yet", changed("nbf", now.Add(time.Hour).Unix()), nil, "invalid_client"},
			{"OIDC §9: no jti", changed("jti", nil), nil, "invalid_client"},
			{"OIDC §9: an empty jti", changed("jti", ""), nil, "invalid_client"},
			{"RFC 7521 §4.2: client_id is another", changed("jti", "fine"), func(f url.Values) { f.Set("client_id", plain.id) }, "invalid_client"},
			{"a client without keys", func() string { return key.sign(s.assertionClaims(plain.id)) }, func(f url.Values) { f.Set("client_id", plain.id) }, "invalid_client"},
			{"RFC 6749 §2.3: two ways at once", changed("jti", "two ways"), func(f url.Values) { f.Set("client_secret", "x") }, "invalid_request"},
			{"another assertion type", changed("jti", "type"), func(f url.Values) { f.Set("client_assertion_type", "saml") }, "invalid_request"},
			{"no assertion type", changed("jti", "no type"), func(f url.Values) { f.Del("client_assertion_type") }, "invalid_request"},
			{"a type without an assertion", changed("jti", "no assertion"), func(f url.Values) { f.Del("client_assertion") }, "invalid_request"},
		}
		for _, tt := range tests {
			f := asserted(c.redemption(code), tt.assertion())
			if tt.change != nil {
				tt.change(f)
			}
			a := c.token(f)
			if got := a.json(t)["error"]; got != tt.want {
				t.Errorf("%s, %s: %d %s, want %s", methods, tt.name, a.StatusCode, a.body, tt.want)
			}
		}
		without := c.token(c.redemption(code))
		if public := strings.Contains(methods, "none"); public && without.StatusCode != http.StatusOK || !public && without.json(t)["error"] != "invalid_client" {
			t.Errorf("%s: without an assertion: %d %s", methods, without.StatusCode, without.body)
		}
	}
}

// TestAnAssertionIsUsedOnce, however many present it at once; a jti of one client
// is none of another's.
func TestAnAssertionIsUsedOnce(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	key := newSigner(t, "k", jose.ES256)
	c := keyed(w, s, `["private_key_jwt"]`, key)
	tokens := c.token(asserted(c.redemption(c.allow(nil).Get("code")), key.sign(s.assertionClaims(c.id)))).tokens(t)
	claims := s.assertionClaims(c.id)
	assertion := key.sign(claims)
	good := 0
	for _, a := range race(16, func() answer {
		return c.token(asserted(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}}, assertion))
	}) {
		if a.StatusCode == http.StatusOK {
			good++
		} else if a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%d %s, want 401", a.StatusCode, a.body)
		}
	}
	if good != 1 {
		t.Errorf("one assertion was good for %d of 16 requests, want 1", good)
	}
	jti, _ := claims["jti"].(string)
	if err := s.store.UseAssertion(t.Context(), "another client", secret.Hash(jti), s.clock.Now().Add(time.Minute)); err != nil {
		t.Errorf("another client's jti: %v", err)
	}
	// It is remembered for as long as it would be good.
	s.clock.advance(6*time.Minute - time.Second)
	if err := s.store.DeleteExpired(t.Context(), s.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.store.UseAssertion(t.Context(), c.id, secret.Hash(jti), s.clock.Now()); err == nil {
		t.Error("a jti was forgotten before its assertion expired")
	}
}

// TestAnUnknownKeyIsFetchedInTheBackground: a client that has changed its keys is
// asked to come again, not thrown out; a key that is not there either way is 401.
func TestAnUnknownKeyIsFetchedInTheBackground(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	first, second, unknown := newSigner(t, "1", jose.ES256), newSigner(t, "2", jose.ES256), newSigner(t, "3", jose.ES256)
	c := keyed(w, s, `["private_key_jwt"]`, first)
	tokens := c.token(asserted(c.redemption(c.allow(nil).Get("code")), first.sign(s.assertionClaims(c.id)))).tokens(t)
	refresh := func(key *signer) answer {
		return c.token(asserted(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}}, key.sign(s.assertionClaims(c.id))))
	}
	if a := refresh(second); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a key that is not in keys of just now: %d %s, want 401", a.StatusCode, a.body)
	}
	s.clock.advance(6 * time.Minute)
	w.json("https://keys.example/jwks.json", keySet(t, first, second))
	a := refresh(second)
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.json(t)["error"] != "temporarily_unavailable" {
		t.Errorf("a new key: %d %v %s, want 503 with Retry-After", a.StatusCode, a.Header, a.body)
	}
	eventually(t, "the new key is good", func() bool { return refresh(second).StatusCode == http.StatusOK })
	if a := refresh(unknown); a.StatusCode != http.StatusUnauthorized || a.json(t)["error"] != "invalid_client" {
		t.Errorf("a key that is not in fresh keys: %d %s, want 401", a.StatusCode, a.body)
	}
	if got := w.times("https://keys.example/jwks.json"); got != 2 {
		t.Errorf("the keys were fetched %d times, want twice", got)
	}

	// An outage of the client's server is no 401 either, and no hammer.
	s.clock.advance(6 * time.Minute)
	w.status("https://keys.example/jwks.json", http.StatusInternalServerError)
	for range 5 {
		if a := refresh(unknown); a.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a new key while they cannot be fetched: %d %s, want 503", a.StatusCode, a.body)
		}
	}
	eventually(t, "the keys are asked for", func() bool { return w.times("https://keys.example/jwks.json") == 3 })
	if got := refresh(first).StatusCode; got != http.StatusOK {
		t.Errorf("a key that we have, meanwhile: %d", got)
	}
}

// TestKeysOfConnectedClientsAreKeptFresh by the sweep, since such clients do not
// come by the authorization endpoint.
func TestKeysOfConnectedClientsAreKeptFresh(t *testing.T) {
	t.Parallel()
	w := newWeb(t)
	s := startWith(t, w.transport)
	first, second := newSigner(t, "1", jose.ES256), newSigner(t, "2", jose.ES256)
	c := keyed(w, s, `["private_key_jwt"]`, first)
	sweep := func() {
		t.Helper()
		if err := s.documents.RefreshKeySets(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.consentPage(c.request())
	s.clock.advance(time.Hour)
	sweep()
	if got := w.times(toolDocument); got != 1 {
		t.Errorf("without a connection: fetched %d times, want once", got)
	}
	tokens := c.token(asserted(c.redemption(c.allow(nil).Get("code")), first.sign(s.assertionClaims(c.id)))).tokens(t)
	sweep()
	if got := w.times(toolDocument); got != 2 {
		t.Errorf("while fresh: fetched %d times, want twice", got)
	}
	s.clock.advance(time.Hour)
	w.json("https://keys.example/jwks.json", keySet(t, second))
	sweep()
	form := func(key *signer) url.Values {
		return asserted(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}}, key.sign(s.assertionClaims(c.id)))
	}
	c.token(form(second)).tokens(t)
	if a := c.token(form(first)); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a key that was taken away: %d, want 401", a.StatusCode)
	}
	w.status(toolDocument, http.StatusInternalServerError)
	s.clock.advance(time.Hour)
	sweep()
	c.token(form(second)).tokens(t)
}

// eventually waits until what happens in the background has happened.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within ten seconds: %s", what)
		case <-tick.C:
		}
	}
}
