package resource_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// token68 is the form of credentials in RFC 9110 §11.2.
var token68 = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// FuzzGate: no header gets past the gate but one that carries a token of ours, and
// every refusal is one that clients can read; no Accept header gets a stranger
// anything but the challenge or the landing page, which is for browsers. {token}
// in the Authorization header stands for a good token.
func FuzzGate(f *testing.F) {
	s := newFixture(f, nil, nil)
	good := s.sign(f, claims(everything...))
	for _, authorization := range []string{
		"", "Bearer", "Bearer ", "Bearer x", "bearer  {token} ", "BEARER {token}", "BEARER a.b-c_d~e+f/g==", "Bearer =", "Bearer a=b", "Bearer a b",
		"Bearer\tx", "Bearer {token}, Bearer {token}", "Basic YQ==", "Bearer \x00", "Bearer \xff", "Bearerx", " Bearer {token}", "Bearer ä", "{token}",
		"Bearer {token}x", "Bearer {token}=", "Bearer eyJhbGciOiJub25lIn0.e30.",
	} {
		f.Add(authorization, "", "*/*")
		f.Add(authorization, "access_token={token}", "text/html")
		f.Add(authorization, "%61ccess_token&x;y", "application/json, text/event-stream")
	}
	for _, accept := range []string{
		"", "text/html,application/xhtml+xml,*/*;q=0.8", "TEXT/HTML", "text/html;q=0", "text/html;q=0.5, application/json", "text/html;q=NaN", "text/html;q=-1",
		"text/html, text/event-stream;q=0", "text/html;text/event-stream", "text/html;q=1;q=0", ";,;", "text/html;q=0.1,application/json;q=0.1",
	} {
		f.Add("", "", accept)
	}
	f.Fuzz(func(t *testing.T, authorization, query, accept string) {
		authorization = strings.ReplaceAll(authorization, "{token}", good)
		query = strings.ReplaceAll(query, "{token}", good)
		ask := func(method string, authorization ...string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "/", strings.NewReader(ping))
			r.URL.RawQuery = query
			r.Header = http.Header{"Authorization": authorization, "Accept": {accept}, "Content-Type": {"application/json"}}
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, r)
			return w
		}

		scheme, rest, _ := strings.Cut(authorization, " ")
		rest = strings.Trim(rest, " ")
		values, _ := url.ParseQuery(query) // what can be read of it
		want := http.StatusUnauthorized
		switch {
		case values.Has("access_token"):
			want = http.StatusBadRequest
		case !strings.EqualFold(scheme, "Bearer"):
		case !token68.MatchString(rest):
			want = http.StatusBadRequest
		case rest == good: // whatever comes then is about the message
			want = http.StatusOK
		}
		w := ask("POST", authorization)
		if passed := w.Code != http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == ""; passed != (want == http.StatusOK) || !passed && w.Code != want {
			t.Errorf("%q, query %q: got %d, want %d", authorization, query, w.Code, want)
		}
		if want != http.StatusOK {
			checkChallenge(t, w)
		}
		if w := ask("POST", authorization, authorization); w.Code != http.StatusBadRequest {
			t.Errorf("%q twice: got %d, want 400", authorization, w.Code)
		}

		w = ask("GET", authorization)
		landing := w.Body.String() == "landing"
		ranges := strings.Split(strings.ToLower(accept), ",")
		if landing && (!strings.Contains(strings.ToLower(accept), "html") ||
			slices.ContainsFunc(ranges, func(r string) bool {
				mediaType, _, _ := strings.Cut(r, ";")
				return strings.TrimSpace(mediaType) == "text/event-stream"
			})) {
			t.Errorf("Accept %q: got the landing page", accept)
		}
		switch {
		case landing && w.Code == http.StatusOK, want == http.StatusOK && w.Code == http.StatusMethodNotAllowed:
		case w.Code != want:
			t.Errorf("GET with %q, Accept %q: got %d, want %d", authorization, accept, w.Code, want)
		default:
			checkChallenge(t, w)
		}
		slices.Reverse(ranges)
		accept = strings.Join(ranges, ",")
		if w := ask("GET", authorization); (w.Body.String() == "landing") != landing {
			t.Errorf("Accept %q: the order of its parts decides", accept)
		}
	})
}

// checkChallenge fails where a client could not read a refusal: the challenge of
// RFC 6750 §3 with the metadata URL of RFC 9728 §5.1, and the same words as JSON.
func checkChallenge(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	challenges, err := oauthex.ParseWWWAuthenticate(w.Header().Values("WWW-Authenticate"))
	if err != nil || len(challenges) != 1 || challenges[0].Params["resource_metadata"] != publicURL+"/.well-known/oauth-protected-resource" {
		t.Errorf("%d with challenges %v, %v", w.Code, challenges, err)
	}
	var body struct {
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Description == "" {
		t.Errorf("%d with body %q", w.Code, w.Body)
	}
}
