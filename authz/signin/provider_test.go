package signin_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
)

// tamperer is an OpenID provider in front of the development Clerk. It hands
// out Clerk's answers, but the ID tokens it signs itself, so that they can say
// something else. Its fields are set before it is used.
type tamperer struct {
	t      *testing.T
	url    string
	key    *rsa.PrivateKey
	claims func(map[string]any)           // changes what the ID token says
	answer func(string, map[string]any)   // changes the answer of a path
	sign   func(*tamperer, []byte) string // signs the ID token; nil: as Clerk does
	away   atomic.Bool
	dev    *httputil.ReverseProxy
}

const tampererKeyID = "ins_tampered"

func newTamperer(t *testing.T) *tamperer {
	t.Helper()
	p := &tamperer{t: t, key: newKey(t)}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// forwardTo makes dev the Clerk behind p.
func (p *tamperer) forwardTo(dev *clerkdev.Server) {
	target, err := url.Parse(dev.URL())
	if err != nil {
		p.t.Fatal(err)
	}
	p.dev = &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: p.change,
	}
}

func (p *tamperer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.away.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	p.dev.ServeHTTP(w, r)
}

// change rewrites an answer of the development Clerk.
func (p *tamperer) change(response *http.Response) error {
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	path := response.Request.URL.Path
	switch path {
	case "/.well-known/openid-configuration":
		answer["issuer"] = p.url
		answer["token_endpoint"] = p.url + "/oauth/token"
		answer["jwks_uri"] = p.url + "/.well-known/jwks.json"
	case "/.well-known/jwks.json":
		answer["keys"] = []any{jose.JSONWebKey{Key: p.key.Public(), KeyID: tampererKeyID, Algorithm: "RS256", Use: "sig"}}
	case "/oauth/token":
		if raw, ok := answer["id_token"].(string); ok {
			answer["id_token"] = p.resign(raw)
		}
	}
	if p.answer != nil {
		p.answer(path, answer)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	response.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

func (p *tamperer) resign(raw string) string {
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		p.t.Error(err)
		return ""
	}
	var claims map[string]any
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		p.t.Error(err)
		return ""
	}
	claims["iss"] = p.url
	if p.claims != nil {
		p.claims(claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	if p.sign != nil {
		return p.sign(p, payload)
	}
	return signed(p.t, jose.RS256, p.key, payload)
}

func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, payload []byte) string {
	return signedAs(t, alg, key, tampererKeyID, payload)
}

func signedAs(t *testing.T, alg jose.SignatureAlgorithm, key any, keyID string, payload []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", keyID))
	if err != nil {
		t.Error(err)
		return ""
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		t.Error(err)
		return ""
	}
	compact, err := signature.CompactSerialize()
	if err != nil {
		t.Error(err)
	}
	return compact
}

func TestProviderThatLiesIsNotBelieved(t *testing.T) {
	t.Parallel()
	other := newKey(t)
	set := func(name string, value any) func(map[string]any) {
		return func(claims map[string]any) { claims[name] = value }
	}
	for name, test := range map[string]struct {
		claims func(map[string]any)
		answer func(string, map[string]any)
		sign   func(*tamperer, []byte) string
		admits bool
	}{
		"the truth":                                   {admits: true},
		"OIDC Core §3.1.3.7(2): another issuer":       {claims: set("iss", "https://clerk.evil.example")},
		"OIDC Core §3.1.3.7(2): issuer with a slash":  {claims: func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }},
		"OIDC Core §3.1.3.7(3): another audience":     {claims: set("aud", "client_other")},
		"OIDC Core §3.1.3.7(3): an audience too many": {claims: set("aud", []string{"client_dev", "client_other"})},
		"OIDC Core §3.1.3.7(3): no audience":          {claims: func(c map[string]any) { delete(c, "aud") }},
		"OIDC Core §3.1.3.7(9): expired":              {claims: set("exp", time.Now().Add(-time.Minute).Unix())},
		"OIDC Core §3.1.3.7(11): nonce dropped":       {claims: func(c map[string]any) { delete(c, "nonce") }},
		"OIDC Core §3.1.3.7(11): another nonce":       {claims: set("nonce", "of-another-attempt")},
		"sub is an organization":                      {claims: set("sub", clerkdev.AcmeID)},
		"sub is a path":                               {claims: set("sub", clerkdev.AliceID+"/../x")},
		"sub is empty":                                {claims: set("sub", "")},
		"OIDC Core §3.1.3.7(6): signed by another key": {
			sign: func(p *tamperer, payload []byte) string { return signed(p.t, jose.RS256, other, payload) }},
		"OIDC Core §3.1.3.7(7): another algorithm": {
			sign: func(p *tamperer, payload []byte) string { return signed(p.t, jose.PS256, p.key, payload) }},
		"RFC 8725 §2.1: HMAC with the public key": {
			sign: func(p *tamperer, payload []byte) string {
				return signed(p.t, jose.HS256, x509.MarshalPKCS1PublicKey(&p.key.PublicKey), payload)
			}},
		"RFC 8725 §2.1: no signature": {
			sign: func(_ *tamperer, payload []byte) string {
				b64 := base64.RawURLEncoding.EncodeToString
				return b64([]byte(`{"alg":"none"}`)) + "." + b64(payload) + "."
			}},
		"no ID token": {answer: func(path string, answer map[string]any) {
			if path == "/oauth/token" {
				delete(answer, "id_token")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := newTamperer(t)
			provider.claims, provider.answer, provider.sign = test.claims, test.answer, test.sign
			w := newWorld(t, options{provider: provider})
			b := w.browser()
			got := b.choose(b.open("/sign-in"), "alice@acme.example", false)
			if test.admits {
				if got.signedIn() != "alice@acme.example" {
					t.Errorf("got %d %s, want alice signed in", got.status, got.title())
				}
				return
			}
			if got.status != http.StatusBadGateway || b.open("/x").signedIn() != "" {
				t.Errorf("got %d %s, want 502 and nobody signed in", got.status, got.title())
			}
		})
	}
}

// TestKeysThatChangeAfterDiscovery: what counts is what Clerk's key set has now
// under the key's id, and not who sends it.
func TestKeysThatChangeAfterDiscovery(t *testing.T) {
	t.Parallel()
	other := newKey(t)
	const otherKeyID = "ins_other"
	var swapped, rotated atomic.Bool
	provider := newTamperer(t)
	provider.answer = func(path string, answer map[string]any) {
		if path != "/.well-known/jwks.json" {
			return
		}
		set := []any{jose.JSONWebKey{Key: provider.key.Public(), KeyID: tampererKeyID, Algorithm: "RS256", Use: "sig"}}
		if swapped.Load() { // the key set is a stranger's, the tokens are not
			set = []any{jose.JSONWebKey{Key: other.Public(), KeyID: otherKeyID, Algorithm: "RS256", Use: "sig"}}
		}
		if rotated.Load() { // as Clerk does it
			set = append(set, jose.JSONWebKey{Key: other.Public(), KeyID: otherKeyID, Algorithm: "RS256", Use: "sig"})
		}
		answer["keys"] = set
	}
	type signer struct {
		key *rsa.PrivateKey
		id  string
	}
	var by atomic.Value
	by.Store(signer{provider.key, tampererKeyID})
	provider.sign = func(p *tamperer, payload []byte) string {
		with := by.Load().(signer)
		return signedAs(p.t, jose.RS256, with.key, with.id, payload)
	}
	w := newWorld(t, options{provider: provider})
	if got := w.browser().signIn("alice@acme.example"); got.signedIn() != "alice@acme.example" {
		t.Fatalf("before: %d %s", got.status, got.title())
	}
	refused := func(what string) {
		t.Helper()
		b := w.browser()
		got := b.choose(b.open("/sign-in"), "alice@acme.example", false)
		if got.status != http.StatusBadGateway || b.open("/x").signedIn() != "" {
			t.Errorf("%s: got %d %s, want 502 and nobody signed in", what, got.status, got.title())
		}
	}
	by.Store(signer{other, tampererKeyID})
	refused("another key under the id of the known one")
	by.Store(signer{other, otherKeyID})
	refused("another key under an id that is not in the set")
	rotated.Store(true)
	if got := w.browser().signIn("bob@acme.example"); got.signedIn() != "bob@acme.example" {
		t.Errorf("a key that Clerk has added: %d %s, want bob signed in", got.status, got.title())
	}
	rotated.Store(false)
	swapped.Store(true)
	by.Store(signer{provider.key, "ins_unknown"})
	refused("a key set that has no such key any more")
}

func TestDiscoveryIsLazyRetriedAndExact(t *testing.T) {
	t.Parallel()
	provider := newTamperer(t)
	lies := atomic.Bool{}
	provider.answer = func(path string, answer map[string]any) {
		if path == "/.well-known/openid-configuration" && lies.Load() {
			answer["issuer"] = "https://clerk.evil.example"
		}
	}
	provider.away.Store(true)
	b := newWorld(t, options{provider: provider}).browser() // starts although Clerk is away

	if got := b.open("/sign-in"); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("away: got %d, want 503 with Retry-After", got.status)
	}
	provider.away.Store(false)
	lies.Store(true)
	if got := b.open("/sign-in"); got.status != http.StatusServiceUnavailable {
		t.Errorf("another issuer: got %d, want 503", got.status)
	}
	lies.Store(false)
	b.signIn("alice@acme.example")
	provider.away.Store(true)
	if got := b.stay(b.url + "/sign-in"); got.status != http.StatusSeeOther {
		t.Errorf("away once it is known: got %d, want a redirect to Clerk", got.status)
	}
	got := b.choose(b.open("/sign-in?prompt=login"), "alice@acme.example", false)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("token endpoint away: got %d, want 503 with Retry-After", got.status)
	}
}

func TestCallbackRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for name, test := range map[string]struct {
		change func(url.Values)
		status int
	}{
		"RFC 6749 §3.1: state twice":       {func(q url.Values) { q.Add("state", "x") }, http.StatusBadRequest},
		"no state":                         {func(q url.Values) { q.Del("state") }, http.StatusBadRequest},
		"state of nobody":                  {func(q url.Values) { q.Set("state", "x") }, http.StatusBadRequest},
		"state changed after 8 characters": {func(q url.Values) { q.Set("state", q.Get("state")+"x") }, http.StatusBadRequest},
		"no code":                          {func(q url.Values) { q.Del("code") }, http.StatusBadGateway},
		"a made-up code":                   {func(q url.Values) { q.Set("code", "x") }, http.StatusBadGateway},
		"RFC 9207 §2.4: another issuer":    {func(q url.Values) { q.Set("iss", "https://clerk.evil.example") }, http.StatusBadGateway},
		"an error of Clerk's":              {func(q url.Values) { q.Set("error", "server_error") }, http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.browser()
			at := b.choose(b.open("/sign-in"), "alice@acme.example", true)
			callback, err := url.Parse(at.header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			q := callback.Query()
			test.change(q)
			callback.RawQuery = q.Encode()
			got := b.open(callback.String())
			if got.status != test.status || b.open("/x").signedIn() != "" {
				t.Errorf("got %d %s, want %d and nobody signed in", got.status, got.title(), test.status)
			}
		})
	}
}
