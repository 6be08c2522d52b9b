package authz_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzToken: whatever a stranger sends to the token endpoint, though they hold a
// code and a refresh token of a confidential client and credentials of their own,
// they get no token and end nobody's connection; the answer has the form of RFC
// 6749 §5.2, and it is never our fault.
//
// {code}, {refresh} and {client} in the input stand for the client's, {id} and
// {secret} for the stranger's, and {basic} for the latter in a header: they are
// other ones each time.
func FuzzToken(f *testing.F) {
	s := start(f)
	registered := func(body string) (id, secret string) {
		a := s.postJSON("/oauth/register", body).json(f)
		return a["client_id"].(string), a["client_secret"].(string)
	}
	id, secret := registered(`{"redirect_uris":["http://127.0.0.1/stranger"]}`)
	c := &oauthClient{s: s, redirectURI: "http://127.0.0.1/callback", verifier: strings.Repeat("v", 43)}
	var own string
	c.id, own = registered(`{"redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"client_secret_post"}`)
	redemption := c.redemption(c.allow(nil).Get("code"))
	redemption.Set("client_secret", own)
	held := c.token(redemption).tokens(f)
	connection := s.claims(held.Access).ConnectionID
	values := strings.NewReplacer("{code}", c.allow(nil).Get("code"), "{refresh}", held.Refresh, "{client}", c.id,
		"{id}", id, "{secret}", secret, "{basic}", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))

	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	const refresh = "grant_type=refresh_token&refresh_token={refresh}"
	for _, authorization := range []string{
		"", "Basic", "Basic ", "{basic}", "Basic !", "Basic YQ==", "Bearer x", "Basic \x00", "Basic \xff", "Bearer {refresh}",
		basic("x", "x"), basic("x", ""), basic("", "x"), basic("", ""), basic("\xff\x00", "x"), basic("%zz", "%"),
		basic(strings.Repeat("a", 5000), "x"), basic(url.QueryEscape("x "), "x"), "Basic a, Basic b", "{basic}, {basic}",
	} {
		f.Add(authorization, refresh)
	}
	const redeem = "grant_type=authorization_code&code={code}&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback&code_verifier=" +
		"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
	for _, body := range []string{
		refresh + "&client_id={client}", refresh + "&client_id={client}&client_secret=", refresh + "&client_id={client}&client_secret={secret}",
		refresh + "&client_id={id}&client_secret={secret}", refresh + "&client_id={id}&client_id={client}&client_secret={secret}",
		refresh + "&client_id={client}&scope=incidents%3Aread&resource=https%3A%2F%2Fevil.example",
		refresh + "&client_assertion=e30.e30.&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer",
		redeem + "&client_id={client}", redeem + "&client_id={id}&client_secret={secret}", redeem + "&client_id={client}&client_secret=%00",
		"", "grant_type=password&username=a&password=b", "grant_type=refresh_token&refresh_token=scl_rt_AAAA&client_id={id}",
		"grant_type=authorization_code&code={refresh}&client_id={client}", "grant_type=refresh_token&refresh_token={code}&client_id={client}",
		"grant_type=refresh_token;refresh_token={refresh}", "%zz", "grant_type=client_credentials&client_id={id}&client_secret={secret}",
	} {
		f.Add("", body)
		f.Add("{basic}", body)
	}
	f.Fuzz(func(t *testing.T, authorization, body string) {
		authorization, body = values.Replace(authorization), values.Replace(body)
		s.clock.advance(time.Second) // earns one more request
		r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(body))
		r.Header.Set("Content-Type", asForm)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		var e struct {
			Code        string `json:"error"`
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Header().Get("Content-Type") != "application/json" || e.Description == "" {
			t.Fatalf("%q, %q: %d, not JSON: %q", authorization, body, w.Code, w.Body)
		}
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%q, %q: Cache-Control is %q", authorization, body, got)
		}
		switch w.Code {
		case http.StatusBadRequest:
			switch e.Code {
			case "invalid_request", "invalid_grant", "unsupported_grant_type", "invalid_scope", "invalid_target":
			default:
				t.Errorf("%q, %q: 400 %s", authorization, body, e.Code)
			}
		case http.StatusUnauthorized:
			if e.Code != "invalid_client" || w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%q, %q: 401 %s, WWW-Authenticate %q", authorization, body, e.Code, w.Header().Get("WWW-Authenticate"))
			}
		case http.StatusRequestEntityTooLarge:
			if len(body) <= 64<<10 {
				t.Errorf("a body of %d bytes is too large", len(body))
			}
		default:
			t.Errorf("%q, %q: %d %s", authorization, body, w.Code, w.Body)
		}
		if state, err := s.store.ConnectionState(t.Context(), connection); err != nil || !state.Live {
			t.Fatalf("%q, %q: the client's connection has ended: %v", authorization, body, err)
		}
	})
}
