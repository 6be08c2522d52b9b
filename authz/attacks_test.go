package authz_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// send is a request by hand.
func (s *server) send(method, path, contentType, body string, change func(*http.Request)) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	if change != nil {
		change(r)
	}
	return s.do(http.DefaultClient, r)
}

// state is what an attack must leave as it was.
type state struct{ Connections, Revoked, CodesUsed, RefreshTokens, RefreshTokensUsed, Published int }

func (s *server) state() state {
	s.t.Helper()
	got := state{Published: s.published.count()}
	err := s.store.Pool().QueryRow(s.t.Context(), `SELECT
		(SELECT count(*) FROM connections), (SELECT count(revoked_at) FROM connections), (SELECT count(used_at) FROM authorization_codes),
		(SELECT count(*) FROM refresh_tokens), (SELECT count(used_at) FROM refresh_tokens)`).
		Scan(&got.Connections, &got.Revoked, &got.CodesUsed, &got.RefreshTokens, &got.RefreshTokensUsed)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// TestAttacksAreRefusedAndChangeNothing is the checklist of what is tried at the
// endpoints that programs call. Whatever is tried, it is answered with the one
// error code of its RFC, nobody's connection is revoked, nothing is spent, and
// afterwards the victims' own codes and tokens work. What is tried at the
// authorization endpoint and at registration is with their tests.
func TestAttacksAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	victim, stranger := s.register(claudeRedirect), s.register("https://stranger.example/callback")
	used := victim.connect().Refresh
	next := victim.refresh(used).tokens(t).Refresh
	s.clock.advance(10 * time.Minute) // the victim's own reuse would now be a theft
	tk := victim.refresh(next).tokens(t)
	basic, basicSecret, _ := s.confidential("client_secret_basic", "https://a.example/cb")
	post, postSecret, _ := s.confidential("client_secret_post", "https://a.example/cb")
	// Another install: to connect the same one again would supersede the first.
	waiting := s.register("http://127.0.0.1/callback")
	code, basicCode, postCode := waiting.allow(nil).Get("code"), basic.allow(nil).Get("code"), post.allow(nil).Get("code")

	redeem := func(change func(url.Values)) func() answer {
		return func() answer {
			form := waiting.redemption(code)
			change(form)
			return waiting.token(form)
		}
	}
	refresh := func(change func(url.Values)) func() answer {
		return func() answer {
			form := url.Values{"grant_type": {"refresh_token"}, "client_id": {victim.id}, "refresh_token": {tk.Refresh}}
			change(form)
			return victim.token(form)
		}
	}
	withBasic := func(id, secret string, change func(url.Values)) func() answer {
		return func() answer {
			form := basic.redemption(basicCode)
			form.Del("client_id")
			if change != nil {
				change(form)
			}
			return s.send("POST", "/oauth/token", formEncoded, form.Encode(), func(r *http.Request) { r.SetBasicAuth(id, secret) })
		}
	}
	withPost := func(change func(url.Values)) func() answer {
		return func() answer {
			form := post.redemption(postCode)
			change(form)
			return post.token(form)
		}
	}
	body := waiting.redemption(code).Encode()
	as := func(method, path, contentType, body string) func() answer {
		return func() answer { return s.send(method, path, contentType, body, nil) }
	}
	del := func(name string) func(url.Values) { return func(f url.Values) { f.Del(name) } }
	put := func(name, value string) func(url.Values) { return func(f url.Values) { f.Set(name, value) } }
	add := func(name, value string) func(url.Values) { return func(f url.Values) { f.Add(name, value) } }

	tests := []struct {
		name, want string
		status     int // 0: 400
		do         func() answer
	}{
		{"RFC 9700 §4.5: code injection, another client", "invalid_grant", 0, redeem(put("client_id", stranger.id))},
		{"RFC 9700 §4.5: code injection, another verifier", "invalid_grant", 0, redeem(put("code_verifier", strings.Repeat("a", 43)))},
		{"RFC 6749 §4.1.3: redirect URI differs", "invalid_grant", 0, redeem(put("redirect_uri", waiting.redirectURI+"/"))},
		{"RFC 6749 §4.1.3: another loopback port than the code went to", "invalid_grant", 0, redeem(put("redirect_uri", "http://127.0.0.1:9/callback"))},
		{"RFC 9700 §4.8.2: PKCE downgrade, no verifier", "invalid_request", 0, redeem(del("code_verifier"))},
		{"RFC 9700 §4.8.2: PKCE downgrade, wrong verifier, then none", "invalid_request", 0, func() answer {
			redeem(put("code_verifier", strings.Repeat("a", 43)))()
			return redeem(del("code_verifier"))()
		}},
		{"RFC 7636 §4.1: verifier too short", "invalid_grant", 0, redeem(put("code_verifier", "short"))},
		{"RFC 7636 §4.6: the challenge for a verifier", "invalid_grant", 0, redeem(put("code_verifier", challenge(waiting.verifier)))},
		{"RFC 6749 §4.1.3: no code", "invalid_request", 0, redeem(del("code"))},
		{"RFC 6749 §10.10: a code that is none", "invalid_grant", 0, redeem(put("code", "x"))},
		{"RFC 6749 §10.10: a code of ours with another secret", "invalid_grant", 0, redeem(put("code", code[:len(code)-4]+"AAAA"))},
		{"RFC 6749 §10.10: a refresh token for a code", "invalid_grant", 0, redeem(put("code", tk.Refresh))},

		{"RFC 9700 §4.14: another client, unused token", "invalid_grant", 0, refresh(put("client_id", stranger.id))},
		{"RFC 9700 §4.14: another client, used token", "invalid_grant", 0, func() answer { return stranger.refresh(used) }},
		{"RFC 9700 §4.14: forged MAC", "invalid_grant", 0, refresh(put("refresh_token", used[:len(used)-2]+"AA"))},
		{"RFC 9700 §4.14: the front half of a used token", "invalid_grant", 0, refresh(put("refresh_token", used[:len(used)/2]))},
		{"RFC 9700 §4.14: the back half of a used token", "invalid_grant", 0, refresh(put("refresh_token", "x."+used[len(used)/2:]))},
		{"RFC 9700 §4.14: an access token", "invalid_grant", 0, refresh(put("refresh_token", tk.Access))},
		{"RFC 9700 §4.14: not a token", "invalid_grant", 0, refresh(put("refresh_token", "x"))},
		{"RFC 6749 §6: no token", "invalid_request", 0, refresh(del("refresh_token"))},
		{"RFC 6749 §6: scope escalation", "invalid_scope", 0, refresh(put("scope", "incidents:publish"))},

		{"RFC 6749 §3.2: code twice", "invalid_request", 0, redeem(add("code", "x"))},
		{"RFC 6749 §3.2: client twice", "invalid_request", 0, redeem(add("client_id", stranger.id))},
		{"RFC 6749 §3.2: refresh token twice", "invalid_request", 0, refresh(add("refresh_token", used))},
		{"RFC 6749 §3.2: grant type twice", "invalid_request", 0, refresh(add("grant_type", "authorization_code"))},
		{"RFC 6749 §3.2: token twice at revocation", "invalid_request", 0, as("POST", "/oauth/revoke", formEncoded, "token=x&token="+tk.Refresh+"&client_id="+victim.id)},
		{"RFC 8707 §2: two resources", "invalid_request", 0, refresh(func(f url.Values) { f["resource"] = []string{s.url, s.url + "/mcp"} })},
		{"RFC 8707 §2: another resource, code", "invalid_target", 0, redeem(put("resource", "https://elsewhere.example"))},
		{"RFC 8707 §2: another resource, refresh", "invalid_target", 0, refresh(put("resource", s.url+"/other"))},
		{"NUL", "invalid_request", 0, redeem(put("redirect_uri", "https://a.example/\x00"))},
		{"RFC 6749 Appendix B: not UTF-8", "invalid_request", 0, redeem(put("client_id", "\xff"))},

		{"RFC 6749 §3.2: multipart", "invalid_request", 0, as("POST", "/oauth/token", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nrefresh_token\r\n--x--\r\n")},
		{"RFC 6749 §3.2: JSON", "invalid_request", 0, as("POST", "/oauth/token", "application/json", `{"grant_type":"refresh_token","client_id":"`+victim.id+`","refresh_token":"`+tk.Refresh+`"}`)},
		{"RFC 6749 §3.2: in the query", "invalid_request", 0, as("POST", "/oauth/token?"+body, formEncoded, "")},
		{"RFC 6749 §3.2: GET", "invalid_request", http.StatusMethodNotAllowed, as("GET", "/oauth/token?"+body, formEncoded, "")},
		{"RFC 7009 §2.1: GET", "invalid_request", http.StatusMethodNotAllowed, as("GET", "/oauth/revoke?token="+tk.Refresh+"&client_id="+victim.id, formEncoded, "")},
		{"a body of 70 KiB", "invalid_request", http.StatusRequestEntityTooLarge, as("POST", "/oauth/token", formEncoded, body+"&x="+strings.Repeat("x", 70<<10))},

		{"RFC 6749 §5.2: no grant", "invalid_request", 0, redeem(del("grant_type"))},
		{"RFC 9700 §2.4: password", "unsupported_grant_type", 0, redeem(put("grant_type", "password"))},
		{"RFC 6749 §4.4: client credentials", "unsupported_grant_type", 0, withBasic(basic.id, basicSecret, put("grant_type", "client_credentials"))},
		{"RFC 6749 §4.2: implicit", "unsupported_grant_type", 0, redeem(put("grant_type", "implicit"))},

		{"RFC 6749 §5.2: no client", "invalid_client", 401, redeem(del("client_id"))},
		{"RFC 6749 §5.2: unknown client", "invalid_client", 401, redeem(put("client_id", "scl_client_nobody"))},
		{"RFC 6749 §2.3.1: public client with a secret", "invalid_client", 401, redeem(put("client_secret", "x"))},
		{"RFC 6749 §2.3.1: basic, another secret", "invalid_client", 401, withBasic(basic.id, basicSecret+"x", nil)},
		{"RFC 6749 §2.3.1: basic, empty secret", "invalid_client", 401, withBasic(basic.id, "", nil)},
		{"RFC 6749 §2.3.1: basic, NUL for an id", "invalid_client", 401, withBasic("%00", basicSecret, nil)},
		{"RFC 6749 §2.3: basic, and the secret in the body", "invalid_client", 401, withBasic(basic.id, basicSecret, func(f url.Values) { f.Set("client_id", basic.id); f.Set("client_secret", basicSecret) })},
		{"RFC 6749 §2.3: basic, another client in the body", "invalid_request", 0, withBasic(basic.id, basicSecret, put("client_id", stranger.id))},
		{"RFC 7591 §2: registered for basic, sends post", "invalid_client", 401, func() answer {
			form := basic.redemption(basicCode)
			form.Set("client_secret", basicSecret)
			return basic.token(form)
		}},
		{"RFC 7591 §2: registered for basic, sends none", "invalid_client", 401, func() answer { return basic.token(basic.redemption(basicCode)) }},
		{"RFC 6749 §2.3.1: post, no secret", "invalid_client", 401, withPost(put("client_secret", ""))},
		{"RFC 6749 §2.3.1: post, another secret", "invalid_client", 401, withPost(put("client_secret", postSecret[:len(postSecret)-1]+"x"))},
		{"RFC 6749 §2.3.1: post, the hash of none", "invalid_client", 401, withPost(put("client_secret", " "))},
		{"RFC 7009 §2.1: revocation without a client", "invalid_client", 401, as("POST", "/oauth/revoke", formEncoded, "token="+tk.Refresh)},
	}
	before := s.state()
	for _, tt := range tests {
		a := tt.do()
		if got := a.json(t)["error"]; got != tt.want {
			t.Errorf("%s: error is %v (%d), want %s", tt.name, got, a.StatusCode, tt.want)
		}
		if want := max(tt.status, http.StatusBadRequest); a.StatusCode != want {
			t.Errorf("%s: status is %d, want %d", tt.name, a.StatusCode, want)
		}
		if challenged := a.Header.Get("WWW-Authenticate") != ""; challenged != (a.StatusCode == http.StatusUnauthorized) {
			t.Errorf("%s: WWW-Authenticate is %q with status %d (RFC 6749 §5.2)", tt.name, a.Header.Get("WWW-Authenticate"), a.StatusCode)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers are %v", tt.name, a.Header)
		}
		lower := strings.ToLower(a.body)
		if slices.ContainsFunc([]string{"sql", "pgx", "fosite", "goroutine", ".go:", "debug", "hint"}, func(detail string) bool { return strings.Contains(lower, detail) }) {
			t.Errorf("%s: the answer tells of our inside: %s", tt.name, a.body)
		}
		if diff := cmp.Diff(before, s.state()); diff != "" {
			t.Fatalf("%s: the attack changed something (-before +after):\n%s", tt.name, diff)
		}
	}

	victim.refresh(tk.Refresh).tokens(t)
	redeem(del("redirect_uri"))().tokens(t) // OAuth 2.1 has dropped it
	withBasic(basic.id, basicSecret, nil)().tokens(t)
	withPost(put("client_secret", postSecret))().tokens(t)
}

// TestStrangerCannotTellWrongFromUnknown: the answer to a token or code that
// exists is the answer to one that does not (RFC 6749 §5.2).
func TestStrangerCannotTellWrongFromUnknown(t *testing.T) {
	t.Parallel()
	s := start(t)
	victim, stranger := s.register(claudeRedirect), s.register("https://stranger.example/callback")
	tk := victim.connect()
	code := s.register("http://127.0.0.1/callback").allow(nil).Get("code")
	for name, pair := range map[string][2]answer{
		"refresh": {stranger.refresh(tk.Refresh), stranger.refresh(tk.Refresh[:len(tk.Refresh)-2] + "AA")},
		"code":    {stranger.token(stranger.redemption(code)), stranger.token(stranger.redemption(code[:len(code)-2] + "AA"))},
		"revoke": {
			s.post(http.DefaultClient, "/oauth/revoke", url.Values{"token": {tk.Refresh}, "client_id": {stranger.id}}),
			s.post(http.DefaultClient, "/oauth/revoke", url.Values{"token": {"x"}, "client_id": {stranger.id}}),
		},
	} {
		if pair[0].StatusCode != pair[1].StatusCode || pair[0].body != pair[1].body {
			t.Errorf("%s: another's is answered %d %s, none %d %s", name, pair[0].StatusCode, pair[0].body, pair[1].StatusCode, pair[1].body)
		}
	}
	if !s.live(tk.Access) || s.published.count() != 0 {
		t.Error("a stranger revoked the connection")
	}
}

// TestIssuerIsNotTakenFromTheRequest: whoever can set a header of a request that
// a cache or a proxy passes on does not become the issuer (RFC 9700 §4.13).
func TestIssuerIsNotTakenFromTheRequest(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	honest := s.get("/.well-known/oauth-authorization-server").body
	spoof := func(r *http.Request) {
		r.Host = "evil.example"
		for _, name := range []string{"X-Forwarded-Host", "X-Original-Host", "X-Forwarded-Server"} {
			r.Header.Set(name, "evil.example")
		}
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("Forwarded", "host=evil.example;proto=https")
	}
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp", "/.well-known/openid-configuration"} {
		if got := s.send("GET", path, "", "", spoof).body; got != honest {
			t.Errorf("%s: %s", path, got)
		}
	}
	code := c.allow(nil).Get("code")
	a := s.send("POST", "/oauth/token", formEncoded, c.redemption(code).Encode(), spoof)
	if got := s.claims(a.tokens(t).Access); got.Issuer != s.url || got.Audience != s.url+"/mcp" {
		t.Errorf("issuer %q, audience %q, want ours", got.Issuer, got.Audience)
	}
}

// TestRedirectsForgetTheBody: 307 and 308 would have a browser post the person's
// form once more, to the client (RFC 9700 §4.12).
func TestRedirectsForgetTheBody(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, _ := c.consentPage(c.request())
	other, _ := c.consentPage(c.request())
	allowed, denied := form(t, page), form(t, other)
	denied.Set("action", "deny")
	refused := c.request()
	refused.Set("prompt", "none")
	for name, a := range map[string]answer{
		"authorize, by POST":          s.post(s.browser, "/oauth/authorize", c.request()),
		"authorize, refused, by POST": s.post(s.browser, "/oauth/authorize", refused),
		"Allow":                       s.post(s.browser, "/oauth/consent", allowed),
		"Deny":                        s.post(s.browser, "/oauth/consent", denied),
	} {
		if a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %d, want 303", name, a.StatusCode)
		}
	}
	for name, a := range map[string]answer{"consent page": page, "error page": s.get("/oauth/authorize")} {
		h := a.Header
		if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("X-Frame-Options") != "DENY" ||
			h.Get("Referrer-Policy") != "same-origin" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers are %v", name, h)
		}
	}
}
