package resource

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"testing"
)

// token68 is the form of credentials in RFC 9110 §11.2.
var token68 = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// FuzzBearer: what is taken for an access token has the one form that it may have
// and stood in the header; anything else is refused in words of ours.
func FuzzBearer(f *testing.F) {
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "Bearer x", "bearer  x ", "BEARER a.b-c_d~e+f/g==", "Bearer =", "Bearer a=b", "Bearer a b", "Bearer\tx",
		"Bearer x, Bearer y", "Basic YQ==", "Bearer \x00", "Bearer \xff", "Bearerx", " Bearer x", "Bearer ä",
	} {
		f.Add(seed, "")
		f.Add(seed, "access_token=x")
		f.Add(seed, "%61ccess_token&x;y")
	}
	f.Fuzz(func(t *testing.T, authorization, query string) {
		r := &http.Request{Header: http.Header{"Authorization": {authorization}}, URL: &url.URL{RawQuery: query}}
		token, err := bearerToken(r)
		if err != nil {
			if e, ok := errors.AsType[*refusal](err); !ok || token != "" || e.description == "" || e.status != 400 && e.status != 401 {
				t.Errorf("%q: refused with %#v and %q", authorization, err, token)
			}
			return
		}
		if !token68.MatchString(token) {
			t.Errorf("%q: %q is taken for a token", authorization, token)
		}
		if len(authorization) < len("Bearer ")+len(token) {
			t.Errorf("%q: %q is not in it", authorization, token)
		}
		if r.URL.Query().Has("access_token") {
			t.Errorf("taken with an access token in the query %q", query)
		}
		r.Header.Add("Authorization", authorization)
		if _, err := bearerToken(r); err == nil {
			t.Errorf("%q twice: taken", authorization)
		}
	})
}
