package resource_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/resource"
	"scaling.cloud/mcp/store"
)

const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

// parameters returns the parameters of the one Bearer challenge of an answer,
// as the SDK's client reads them.
func parameters(t *testing.T, a answer) map[string]string {
	t.Helper()
	challenges, err := oauthex.ParseWWWAuthenticate(a.Header.Values("WWW-Authenticate"))
	if err != nil {
		t.Fatalf("WWW-Authenticate %q: %v", a.Header.Values("WWW-Authenticate"), err)
	}
	if len(challenges) != 1 || challenges[0].Scheme != "bearer" {
		t.Fatalf("challenges: got %v, want one of scheme bearer", challenges)
	}
	return challenges[0].Params
}

// TestEveryRouteByMethodAndToken is the table of what each URL answers to each
// method, without a token, with one, and with one whose connection is revoked.
func TestEveryRouteByMethodAndToken(t *testing.T) {
	revoked := uuid.MustParse("01940000-0000-7000-8000-00000000dead")
	f := newFixture(t, nil, func(c *resource.Config) {
		c.Liveness = liveness(func(id uuid.UUID, _ int) error {
			if id == revoked {
				return store.ErrNotFound
			}
			return nil
		})
	})
	dead := claims(everything...)
	dead.ConnectionID = revoked
	states := []http.Header{nil, f.bearer(t, everything...), {"Authorization": {"Bearer " + f.sign(t, dead)}}}

	const prm = "/.well-known/oauth-protected-resource"
	for _, row := range []struct {
		path, method string
		want         [3]int // no token, live, revoked
	}{
		{"/mcp", "POST", [3]int{401, 200, 401}},
		{"/mcp", "GET", [3]int{401, 405, 401}},
		{"/mcp", "HEAD", [3]int{401, 405, 401}},
		{"/mcp", "DELETE", [3]int{401, 405, 401}},
		{"/mcp", "PUT", [3]int{401, 405, 401}},
		{"/mcp", "PATCH", [3]int{401, 405, 401}},
		{"/mcp", "TRACE", [3]int{401, 405, 401}},
		{"/mcp", "PROPFIND", [3]int{401, 405, 401}},
		{"/mcp", "OPTIONS", [3]int{204, 204, 204}},
		{"/", "POST", [3]int{401, 200, 401}},
		{"/", "GET", [3]int{401, 405, 401}},
		{"/", "HEAD", [3]int{401, 405, 401}},
		{"/", "DELETE", [3]int{401, 405, 401}},
		{"/", "PUT", [3]int{401, 405, 401}},
		{"/", "PATCH", [3]int{401, 405, 401}},
		{"/", "TRACE", [3]int{401, 405, 401}},
		{"/", "OPTIONS", [3]int{204, 204, 204}},
		{prm, "GET", [3]int{200, 200, 200}},
		{prm, "HEAD", [3]int{200, 200, 200}},
		{prm, "OPTIONS", [3]int{204, 204, 204}},
		{prm, "POST", [3]int{405, 405, 405}},
		{prm + "/", "GET", [3]int{200, 200, 200}},
		{prm + "/mcp", "GET", [3]int{200, 200, 200}},
		{prm + "/mcp", "HEAD", [3]int{200, 200, 200}},
		{prm + "/mcp", "OPTIONS", [3]int{204, 204, 204}},
		{prm + "/mcp", "DELETE", [3]int{405, 405, 405}},
		{prm + "/mcp/", "GET", [3]int{200, 200, 200}},
		{prm + "/other", "GET", [3]int{404, 404, 404}},
		{"/mcp/", "POST", [3]int{404, 404, 404}},
		{"/other", "POST", [3]int{404, 404, 404}},
	} {
		for i, header := range states {
			body := ""
			if row.method == "POST" {
				body = ping
			}
			a := f.do(t, row.method, row.path, header, body)
			if a.StatusCode != row.want[i] {
				t.Errorf("%s %s, token state %d: got %d %s, want %d", row.method, row.path, i, a.StatusCode, a.body, row.want[i])
			}
			if a.StatusCode == http.StatusUnauthorized {
				metadata := publicURL + prm + strings.TrimSuffix(row.path, "/")
				if got := parameters(t, a)["resource_metadata"]; got != metadata {
					t.Errorf("%s %s: resource_metadata: got %q, want %q", row.method, row.path, got, metadata)
				}
			}
			if a.StatusCode == http.StatusMethodNotAllowed && a.Header.Get("Allow") == "" {
				t.Errorf("%s %s: 405 without Allow (RFC 9110 §15.5.6)", row.method, row.path)
			}
			if endpoint := row.path == "/" || row.path == "/mcp"; endpoint && a.StatusCode == http.StatusMethodNotAllowed && a.Header.Get("Allow") != "POST, OPTIONS" {
				t.Errorf("%s %s: Allow: got %q, want what works", row.method, row.path, a.Header.Get("Allow"))
			}
			if a.StatusCode >= 400 && row.path == "/mcp" && row.method != "HEAD" && !json.Valid([]byte(a.body)) {
				t.Errorf("%s %s: body is not JSON: %q", row.method, row.path, a.body)
			}
		}
	}
}

func TestRefusalsOfTheGate(t *testing.T) {
	live := claims(everything...)
	f := newFixture(t, nil, func(c *resource.Config) {
		c.Liveness = liveness(func(_ uuid.UUID, epoch int) error {
			switch epoch {
			case live.Epoch:
				return nil
			case 99:
				return errors.New("postgres://user:secret@host is down")
			default:
				return store.ErrNotFound
			}
		})
	})
	sign := func(change func(*accesstoken.Claims)) string {
		c := live
		change(&c)
		return f.sign(t, c)
	}
	good := sign(func(*accesstoken.Claims) {})
	other := newFixture(t, nil, nil)

	for _, row := range []struct {
		name   string
		path   string
		header http.Header
		status int
		code   string
	}{
		{"RFC 6750 §3.1: no credentials, no error code", "/mcp", nil, 401, ""},
		{"RFC 6750 §3.1: a scheme that we do not have", "/mcp", http.Header{"Authorization": {"Basic YTpi"}}, 401, ""},
		{"RFC 6750 §3.1: an empty header", "/mcp", http.Header{"Authorization": {""}}, 401, ""},
		{"RFC 9110 §11.1: the scheme in any case", "/mcp", http.Header{"Authorization": {"bEARER " + good}}, 200, ""},
		{"RFC 9110 §11.4: more than one space", "/mcp", http.Header{"Authorization": {"Bearer   " + good}}, 200, ""},
		{"RFC 6750 §2.1: no token after the scheme", "/mcp", http.Header{"Authorization": {"Bearer"}}, 400, "invalid_request"},
		{"RFC 6750 §2.1: two words", "/mcp", http.Header{"Authorization": {"Bearer a b"}}, 400, "invalid_request"},
		{"RFC 6750 §2.1: a character outside token68", "/mcp", http.Header{"Authorization": {`Bearer a"b`}}, 400, "invalid_request"},
		{"RFC 6750 §2.1: padding alone", "/mcp", http.Header{"Authorization": {"Bearer =="}}, 400, "invalid_request"},
		{"RFC 6750 §2.1: a tab", "/mcp", http.Header{"Authorization": {"Bearer\t" + good}}, 401, ""},
		{"RFC 6750 §2: two headers", "/mcp", http.Header{"Authorization": {"Bearer " + good, "Bearer " + good}}, 400, "invalid_request"},
		{"MCP: a token in the query string alone", "/mcp?access_token=" + good, nil, 400, "invalid_request"},
		{"RFC 6750 §2: a token in both places", "/mcp?access_token=" + good, http.Header{"Authorization": {"Bearer " + good}}, 400, "invalid_request"},
		{"RFC 6750 §2.3: the name escaped", "/mcp?acc%65ss_token=" + good, nil, 400, "invalid_request"},
		{"a query of another kind", "/mcp?a=b", http.Header{"Authorization": {"Bearer " + good}}, 200, ""},
		{"not a JWT", "/mcp", http.Header{"Authorization": {"Bearer abc"}}, 401, "invalid_token"},
		{"signed by somebody else", "/mcp", other.bearer(t, everything...), 401, "invalid_token"},
		{"expired", "/mcp", http.Header{"Authorization": {"Bearer " + sign(func(c *accesstoken.Claims) { c.ExpiresAt = now })}}, 401, "invalid_token"},
		{"of another issuer", "/mcp", http.Header{"Authorization": {"Bearer " + sign(func(c *accesstoken.Claims) { c.Issuer = "https://evil.example" })}}, 401, "invalid_token"},
		{"for another resource", "/mcp", http.Header{"Authorization": {"Bearer " + sign(func(c *accesstoken.Claims) { c.Audience = "https://other.example/mcp" })}}, 401, "invalid_token"},
		{"for the origin, used at /mcp", "/mcp", http.Header{"Authorization": {"Bearer " + sign(func(c *accesstoken.Claims) { c.Audience = publicURL })}}, 200, ""},
		{"for /mcp, used at the origin", "/", http.Header{"Authorization": {"Bearer " + good}}, 200, ""},
		{"revoked", "/mcp", http.Header{"Authorization": {"Bearer " + sign(func(c *accesstoken.Claims) { c.Epoch = 0 })}}, 401, "invalid_token"},
		{"nobody can say whether it lives", "/mcp", http.Header{"Authorization": {"Bearer " + sign(func(c *accesstoken.Claims) { c.Epoch = 99 })}}, 503, "temporarily_unavailable"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := f.do(t, "POST", row.path, row.header, ping)
			if a.StatusCode != row.status {
				t.Fatalf("status: got %d %s, want %d", a.StatusCode, a.body, row.status)
			}
			if row.status == 200 {
				return
			}
			var body struct {
				Error       string `json:"error"`
				Description string `json:"error_description"`
			}
			if err := json.Unmarshal([]byte(a.body), &body); err != nil {
				t.Fatalf("body %q: %v", a.body, err)
			}
			if body.Error != row.code {
				t.Errorf("error of the body: got %q, want %q", body.Error, row.code)
			}
			if row.status == 503 {
				if a.Header.Get("WWW-Authenticate") != "" || a.Header.Get("Retry-After") == "" {
					t.Errorf("an outage: got %v, want Retry-After and no challenge", a.Header)
				}
				if strings.Contains(a.body, "secret") {
					t.Errorf("the cause reached the client: %s", a.body)
				}
				return
			}
			p := parameters(t, a)
			if p["error"] != row.code {
				t.Errorf("error of the challenge: got %q, want %q", p["error"], row.code)
			}
			if p["error_description"] != "" != (row.code != "") {
				t.Errorf("error_description: got %q", p["error_description"])
			}
			if got, want := p["scope"], strings.Join(store.ResourceScopes(), " "); got != want {
				t.Errorf("scope: got %q, want %q", got, want)
			}
		})
	}
	if strings.Contains(f.log.String(), good) {
		t.Error("a token reached the log")
	}
	if !strings.Contains(f.log.String(), "is down") {
		t.Error("the cause of the outage did not reach the log")
	}
}

// TestLivenessIsAskedOncePerRequest: its price is the price of every call.
func TestLivenessIsAskedOncePerRequest(t *testing.T) {
	asked := 0
	f := newFixture(t, nil, func(c *resource.Config) {
		c.Liveness = liveness(func(uuid.UUID, int) error { asked++; return nil })
	})
	f.do(t, "POST", "/mcp", f.bearer(t, everything...), `[`+ping+`,{"jsonrpc":"2.0","id":2,"method":"tools/list"}]`)
	if asked != 1 {
		t.Errorf("liveness was asked %d times, want 1", asked)
	}
	if !slices.Equal(f.used, []uuid.UUID{claims().ConnectionID}) {
		t.Errorf("usage: got %v, want the connection once", f.used)
	}
	methods := 0
	for _, note := range f.notes {
		switch note.Key {
		case "rpc_method":
			methods++
		case "method":
			t.Errorf("a field of the log line is called like that of the HTTP method: %v", note)
		}
	}
	if methods != 1 {
		t.Errorf("rpc_method: noted %d times, want once", methods)
	}
	if f.noted("user") != "user_alice" || f.noted("org") != "org_acme" || f.noted("client") != "client_claude" {
		t.Errorf("annotations: got %v", f.notes)
	}
}

// TestARefusedRequestIsNoUse: the connections page shows when a connection was
// last used, and somebody who only tries has not used it.
func TestARefusedRequestIsNoUse(t *testing.T) {
	f := newFixture(t, nil, func(c *resource.Config) {
		c.Liveness = liveness(func(uuid.UUID, int) error { return store.ErrNotFound })
	})
	f.do(t, "POST", "/mcp", f.bearer(t, everything...), ping)
	if len(f.used) != 0 {
		t.Errorf("usage: got %v, want none", f.used)
	}
}
