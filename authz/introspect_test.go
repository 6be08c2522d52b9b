package authz_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/authz/accesstoken"
)

// gateway is a registered resource server.
type gateway struct {
	s          *server
	id, secret string
}

func (s *server) gateway() gateway {
	s.t.Helper()
	r, secret := authz.NewResourceServer("Gateway")
	r.CreatedAt = s.clock.Now()
	if err := s.store.CreateResourceServer(s.t.Context(), r); err != nil {
		s.t.Fatal(err)
	}
	return gateway{s, r.ID, secret}
}

func (s *server) introspect(form url.Values, change func(*http.Request)) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/oauth/introspect", strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	change(r)
	return s.do(http.DefaultClient, r)
}

func (g gateway) introspect(token string) answer {
	g.s.t.Helper()
	return g.s.introspect(url.Values{"token": {token}}, func(r *http.Request) { r.SetBasicAuth(g.id, g.secret) })
}

// active asks about a token, and fails the test unless the answer is a proper one.
func (g gateway) active(token string) bool {
	g.s.t.Helper()
	a := g.introspect(token)
	if a.StatusCode != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" {
		g.s.t.Errorf("introspection: %d, Cache-Control %q, want 200, no-store", a.StatusCode, a.Header.Get("Cache-Control"))
	}
	said := a.json(g.s.t)
	active, ok := said["active"].(bool)
	if !ok || !active && len(said) != 1 {
		g.s.t.Errorf("introspection: %s, want active, and nothing besides false", a.body)
	}
	return active
}

func TestIntrospectionTellsWhatALiveAccessTokenGrants(t *testing.T) {
	t.Parallel()
	s := start(t)
	g, c := s.gateway(), s.register(claudeRedirect)
	tk := c.connect()
	claims := s.claims(tk.Access)
	want := map[string]any{
		"active": true, "scope": strings.Join(claims.Scopes, " "), "client_id": c.id, "sub": "user_alice", "aud": s.url + "/mcp",
		"iss": s.url, "token_type": "Bearer", "jti": claims.ID, "org": acme.ID, "conn": claims.ConnectionID.String(),
		"iat": float64(claims.IssuedAt.Unix()), "exp": float64(claims.IssuedAt.Add(time.Hour).Unix()),
	}
	if diff := cmp.Diff(want, g.introspect(tk.Access).json(t)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	// For the protected resource under its other name.
	origin := c.token(c.redemption(c.allow(func(request, _ url.Values) { request.Set("resource", s.url) }).Get("code"))).tokens(t)
	if !g.active(origin.Access) {
		t.Error("a token for the origin is not active")
	}
}

func TestIntrospectionKnowsOfDeathAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	g, c := s.gateway(), s.register("http://127.0.0.1/callback")
	revoked, expired := c.connect(), c.connect()
	if !g.active(revoked.Access) || !g.active(expired.Access) {
		t.Fatal("a live token is not active")
	}
	s.post(http.DefaultClient, "/oauth/revoke", url.Values{"client_id": {c.id}, "token": {revoked.Access}})
	if g.active(revoked.Access) {
		t.Error("a revoked token is active")
	}
	s.clock.advance(time.Hour)
	if g.active(expired.Access) {
		t.Error("an expired token is active")
	}
}

func TestIntrospectionSaysNothingOfAnythingElse(t *testing.T) {
	t.Parallel()
	s := start(t)
	g, c := s.gateway(), s.register(claudeRedirect)
	tk := c.connect()
	for name, token := range s.forgeries(tk.Access) {
		if token == tk.Access {
			t.Fatalf("%s is no forgery", name)
		}
		if g.active(token) {
			t.Errorf("%s is active", name)
		}
		if s.verifies(token) {
			t.Errorf("%s is good at the resource server", name)
		}
	}
	for name, token := range map[string]string{"a refresh token": tk.Refresh, "a code": "scl_ac_x", "the secret itself": g.secret, "a word": "x"} {
		if g.active(token) {
			t.Errorf("%s is active", name)
		}
	}
	if !g.active(tk.Access) {
		t.Error("the good token of this test is not active")
	}
}

func TestOutageIsNeitherActiveNorInactive(t *testing.T) {
	t.Parallel()
	s := start(t)
	g := s.gateway()
	tk := s.register(claudeRedirect).connect()
	s.liveness.away.Store(true)
	a := g.introspect(tk.Access)
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.json(t)["active"] != nil {
		t.Errorf("%d, Retry-After %q, %s, want 503, Retry-After and no word on the token", a.StatusCode, a.Header.Get("Retry-After"), a.body)
	}
	s.store.Pool().Close() // now nobody knows who asks
	if a := g.introspect(tk.Access); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("without Postgres: %d, WWW-Authenticate %q, want 503 and no challenge", a.StatusCode, a.Header.Get("WWW-Authenticate"))
	}
}

func TestOnlyResourceServersIntrospect(t *testing.T) {
	t.Parallel()
	s := start(t)
	g, removed := s.gateway(), s.gateway()
	if err := s.store.DeleteResourceServer(t.Context(), removed.id); err != nil {
		t.Fatal(err)
	}
	c := s.register(claudeRedirect)
	tk := c.connect()
	registered := s.postJSON("/oauth/register", `{"client_name":"x","redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"client_secret_basic"}`).json(t)
	clientID, clientSecret := registered["client_id"].(string), registered["client_secret"].(string)

	basic := func(id, secret string) func(*http.Request, url.Values) {
		return func(r *http.Request, _ url.Values) { r.SetBasicAuth(id, secret) }
	}
	post := func(id, secret string) func(*http.Request, url.Values) {
		return func(_ *http.Request, f url.Values) { f.Set("client_id", id); f.Set("client_secret", secret) }
	}
	both := func(changes ...func(*http.Request, url.Values)) func(*http.Request, url.Values) {
		return func(r *http.Request, f url.Values) {
			for _, change := range changes {
				change(r, f)
			}
		}
	}
	escaped := strings.ReplaceAll(g.id, "_", "%5F")
	for _, row := range []struct {
		name   string
		change func(*http.Request, url.Values)
		status int
		code   any
	}{
		{"RFC 6749 §2.3.1: in the header", basic(g.id, g.secret), 200, nil},
		{"RFC 6749 §2.3.1: form-encoded in the header", basic(escaped, g.secret), 200, nil},
		{"RFC 6749 §2.3.1: in the body", post(g.id, g.secret), 200, nil},
		{"the same id in the body, too", both(basic(g.id, g.secret), func(_ *http.Request, f url.Values) { f.Set("client_id", g.id) }), 200, nil},
		{"RFC 7662 §2.1: a hint", both(basic(g.id, g.secret), func(_ *http.Request, f url.Values) { f.Set("token_type_hint", "refresh_token") }), 200, nil},

		{"nobody", both(), 401, "invalid_client"},
		{"another secret", basic(g.id, g.secret+"x"), 401, "invalid_client"},
		{"no secret", basic(g.id, ""), 401, "invalid_client"},
		{"no secret in the body", func(_ *http.Request, f url.Values) { f.Set("client_id", g.id) }, 401, "invalid_client"},
		{"an unknown id", basic("scl_server_x", g.secret), 401, "invalid_client"},
		{"one that was removed", basic(removed.id, removed.secret), 401, "invalid_client"},
		{"a broken escape", basic(g.id+"%", g.secret), 401, "invalid_client"},
		{"a registered confidential client", basic(clientID, clientSecret), 401, "invalid_client"},
		{"the same, in the body", post(clientID, clientSecret), 401, "invalid_client"},
		{"a public client", func(_ *http.Request, f url.Values) { f.Set("client_id", c.id) }, 401, "invalid_client"},
		{"a live access token as bearer", func(r *http.Request, _ url.Values) { r.Header.Set("Authorization", "Bearer "+tk.Access) }, 401, "invalid_client"},
		{"the same, with an id", both(func(r *http.Request, f url.Values) {
			r.Header.Set("Authorization", "Bearer "+tk.Access)
			f.Set("client_id", g.id)
		}), 401, "invalid_client"},

		{"RFC 6749 §2.3: credentials in both places", both(basic(g.id, g.secret), post(g.id, g.secret)), 400, "invalid_request"},
		{"one in the header, another in the body", both(basic(g.id, g.secret), func(_ *http.Request, f url.Values) { f.Set("client_id", c.id) }), 400, "invalid_request"},
		{"RFC 6749 §3.2: token twice", both(basic(g.id, g.secret), func(_ *http.Request, f url.Values) { f.Add("token", "x") }), 400, "invalid_request"},
		{"RFC 6749 §3.2: client_id twice", both(post(g.id, g.secret), func(_ *http.Request, f url.Values) { f.Add("client_id", g.id) }), 400, "invalid_request"},
		{"RFC 6749 §3.2: client_secret twice", both(post(g.id, g.secret), func(_ *http.Request, f url.Values) { f.Add("client_secret", g.secret) }), 400, "invalid_request"},
		{"RFC 7662 §2.1: no token", both(basic(g.id, g.secret), func(_ *http.Request, f url.Values) { f.Del("token") }), 400, "invalid_request"},
		{"RFC 7662 §2.1: not form-encoded", both(basic(g.id, g.secret), func(r *http.Request, _ url.Values) { r.Header.Set("Content-Type", "application/json") }), 400, "invalid_request"},
		{"RFC 7662 §2.1: GET", both(basic(g.id, g.secret), func(r *http.Request, _ url.Values) { r.Method = http.MethodGet }), 405, "invalid_request"},
		{"no preflight for browsers", func(r *http.Request, _ url.Values) { r.Method = http.MethodOptions }, 405, "invalid_request"},
	} {
		form := url.Values{"token": {tk.Access}}
		row.change(&http.Request{Header: http.Header{}}, form)
		a := s.introspect(form, func(r *http.Request) { row.change(r, url.Values{}) })
		said := a.json(t)
		if a.StatusCode != row.status || said["error"] != row.code {
			t.Errorf("%s: %d %s, want %d %v", row.name, a.StatusCode, a.body, row.status, row.code)
		}
		if challenge := a.Header.Get("WWW-Authenticate"); (row.status == 401) != strings.HasPrefix(challenge, "Basic ") {
			t.Errorf("%s: WWW-Authenticate is %q", row.name, challenge)
		}
		if row.status == 200 && said["active"] != true {
			t.Errorf("%s: %s, want an active token", row.name, a.body)
		}
		if origin := a.Header.Get("Access-Control-Allow-Origin"); origin != "" {
			t.Errorf("%s: Access-Control-Allow-Origin is %q: a browser's page has no business here", row.name, origin)
		}
		if cache := a.Header.Get("Cache-Control"); cache != "no-store" {
			t.Errorf("%s: Cache-Control is %q, want no-store", row.name, cache)
		}
	}
}

// forgeries are tokens that no verifier of ours may take for an access token (RFC
// 8725 §3, RFC 9068 §4): by who knows only what is public, and by our own key.
func (s *server) forgeries(good string) map[string]string {
	s.t.Helper()
	header, payload, signature := cut(good)
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	claims := string(text)
	sign := func(alg jose.SignatureAlgorithm, key any, kid, typ, claims string) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			s.t.Fatal(err)
		}
		signed, err := signer.Sign([]byte(claims))
		if err != nil {
			s.t.Fatal(err)
		}
		compact, err := signed.CompactSerialize()
		if err != nil {
			s.t.Fatal(err)
		}
		return compact
	}
	ours := s.keys.SigningKey()
	public, err := json.Marshal(ours.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(ours.Public().Key)
	if err != nil {
		s.t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	if !s.verifies(sign(jose.ES256, ours.Key, ours.KeyID, "at+jwt", claims)) {
		s.t.Error("the good token of this test does not verify")
	}
	return map[string]string{
		"RFC 8725 §3.1: alg none":                     encode([]byte(`{"alg":"none","typ":"at+jwt","kid":"`+ours.KeyID+`"}`)) + "." + payload + ".",
		"RFC 8725 §2.1: HS256 with our public JWK":    sign(jose.HS256, public, ours.KeyID, "at+jwt", claims),
		"RFC 8725 §2.1: HS256 with our public key":    sign(jose.HS256, der, ours.KeyID, "at+jwt", claims),
		"RFC 8725 §3.1: another key under our kid":    sign(jose.ES256, stranger, ours.KeyID, "at+jwt", claims),
		"an unknown kid":                              sign(jose.ES256, stranger, uuid.NewString(), "at+jwt", claims),
		"no kid":                                      sign(jose.ES256, ours.Key, "", "at+jwt", claims),
		"RFC 9068 §4: an ID token":                    sign(jose.ES256, ours.Key, ours.KeyID, "JWT", claims),
		"RFC 9068 §4: no type":                        sign(jose.ES256, ours.Key, ours.KeyID, "", claims),
		"RFC 9068 §4: another issuer, with our key":   sign(jose.ES256, ours.Key, ours.KeyID, "at+jwt", strings.Replace(claims, `"iss":"http://`, `"iss":"https://`, 1)),
		"RFC 9068 §4: another audience, with our key": sign(jose.ES256, ours.Key, ours.KeyID, "at+jwt", strings.Replace(claims, `"aud":"http://`, `"aud":"https://`, 1)),
		"another payload under the signature":         header + "." + encode([]byte(strings.Replace(claims, acme.ID, globex.ID, 1))) + "." + signature,
		"no signature":                                header + "." + payload + ".",
	}
}

// cut cuts a compact JWS into its three parts.
func cut(token string) (header, payload, signature string) {
	parts := strings.Split(token, ".")
	return parts[0], parts[1], parts[2]
}

// verifies reports whether the server's resource server takes a token.
func (s *server) verifies(token string) bool {
	_, err := accesstoken.NewVerifier(s.issuer, []string{s.issuer, s.issuer + "/mcp"}, s.keys).Verify(token, s.clock.Now())
	return err == nil
}
