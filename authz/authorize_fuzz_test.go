package authz_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

// FuzzAuthorize: whatever stands in the query, the authorization endpoint neither
// fails nor leads anywhere but to our own pages and the registered redirect URI.
// {known} and {stranger} in the query stand for clients, whose ids are other ones
// each time.
func FuzzAuthorize(f *testing.F) {
	s := start(f)
	known, stranger := s.register(claudeRedirect), s.register("https://stranger.example/cb?tenant=1")
	ids := strings.NewReplacer("{known}", known.id, "{stranger}", stranger.id)
	known.id, stranger.id = "{known}", "{stranger}"
	known.verifier, stranger.verifier = "v", "v"
	for _, c := range []*oauthClient{known, stranger} {
		for _, more := range []string{
			"", "&prompt=none", "&prompt=login", "&response_mode=fragment", "&redirect_uri=https%3A%2F%2Fevil.example%2F", "&state=a%0d%0ab",
			"&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Ax", "&request=e30", "&resource=https%3A%2F%2Fevil.example", "&%zz", ";", "&scope=%ff",
		} {
			f.Add(named(c.request()) + more)
		}
		without := c.request()
		without.Del("redirect_uri")
		f.Add(named(without))
	}
	f.Add("")
	f.Add("client_id={known}&redirect_uri=" + url.QueryEscape(claudeRedirect+"/../x"))
	f.Fuzz(func(t *testing.T, query string) {
		query = ids.Replace(query)
		s.clock.advance(10 * time.Millisecond) // earns one more request for the network
		r := &http.Request{Method: http.MethodGet, Host: "mcp.example", RemoteAddr: "192.0.2.1:1", URL: &url.URL{Path: "/oauth/authorize", RawQuery: query}, Header: http.Header{}, Body: http.NoBody}
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r.WithContext(t.Context()))
		if w.Code >= 500 {
			t.Fatalf("%q: %d %s", query, w.Code, w.Body)
		}
		ours := func(target string) bool {
			return strings.HasPrefix(target, "/oauth/consent?request=") || strings.HasPrefix(target, "/sign-in?prompt=login&return_to=%2Foauth%2Fconsent%3F")
		}
		if location := w.Header().Get("Location"); location != "" && !ours(location) && !strings.HasPrefix(location, claudeRedirect+"?error=") {
			t.Errorf("%q: redirects to %q", query, location)
		}
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%q: Content-Type is %q", query, w.Header().Get("Content-Type"))
		}
		page, err := goquery.NewDocumentFromReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		page.Find("main .actions a, script").Each(func(_ int, e *goquery.Selection) {
			if href := e.AttrOr("href", ""); href != "/settings/connections" && !strings.HasPrefix(href, "https://stranger.example/cb?tenant=1&error=") {
				t.Errorf("%q: the page leads to %q", query, href)
			}
		})
	})
}

// named encodes a request in which the id of the client is a placeholder.
func named(request url.Values) string {
	return strings.NewReplacer("%7B", "{", "%7D", "}").Replace(request.Encode())
}
