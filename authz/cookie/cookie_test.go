package cookie_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/authz/cookie"
)

// visit has a browser that already holds cookies ask, and keeps what it gets.
func visit(t *testing.T, browser http.CookieJar, at string, do func(http.ResponseWriter, *http.Request)) []*http.Cookie {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, at, nil)
	for _, c := range browser.Cookies(u) {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	do(w, r)
	browser.SetCookies(u, w.Result().Cookies())
	return w.Result().Cookies()
}

func newBrowser(t *testing.T) http.CookieJar {
	t.Helper()
	browser, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return browser
}

func TestCookiesAreLockedToTheOriginAsFarAsItsSchemeAllows(t *testing.T) {
	t.Parallel()
	for origin, secure := range map[string]bool{"https://mcp.example": true, "http://localhost:8080": false} {
		set := visit(t, newBrowser(t), origin+"/", func(w http.ResponseWriter, _ *http.Request) {
			cookie.NewJar(origin).Set(w, "session", "v", time.Hour)
		})[0]
		if set.Secure != secure || strings.HasPrefix(set.Name, "__Host-") != secure {
			t.Errorf("%s: cookie is %v", origin, set)
		}
		if !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Path != "/" || set.Domain != "" || set.MaxAge != 3600 {
			t.Errorf("%s: cookie is %v", origin, set)
		}
	}
}

func TestTripBelongsToOneBrowser(t *testing.T) {
	t.Parallel()
	const origin = "http://localhost:8080"
	jar := cookie.NewJar(origin)
	mine, other := newBrowser(t), newBrowser(t)
	var secret string
	visit(t, mine, origin, func(w http.ResponseWriter, r *http.Request) {
		secret = jar.Begin(w, r, "authorize", "abcdefghijkl", time.Minute)
	})
	visit(t, mine, origin, func(w http.ResponseWriter, r *http.Request) {
		if got := jar.Browser(r, "authorize", "abcdefghijkl"); got != secret || len(got) < 43 {
			t.Errorf("my browser has %q, want %q", got, secret)
		}
		if got := jar.Browser(r, "authorize", "x"); got != "" {
			t.Errorf("for another trip my browser has %q", got)
		}
		jar.End(w, "authorize", "abcdefghijkl")
	})
	for name, browser := range map[string]http.CookieJar{"another browser": other, "mine, afterwards": mine} {
		visit(t, browser, origin, func(_ http.ResponseWriter, r *http.Request) {
			if got := jar.Browser(r, "authorize", "abcdefghijkl"); got != "" {
				t.Errorf("%s has %q", name, got)
			}
		})
	}
}

func TestTripsThatNobodyEndsDoNotPileUp(t *testing.T) {
	t.Parallel()
	const origin = "http://localhost:8080"
	jar, browser := cookie.NewJar(origin), newBrowser(t)
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	visit(t, browser, origin, func(w http.ResponseWriter, _ *http.Request) { jar.Set(w, "session", "v", time.Hour) })
	for i := range 50 {
		id := fmt.Sprintf("%08d", i)
		visit(t, browser, origin, func(w http.ResponseWriter, r *http.Request) { jar.Begin(w, r, "signin", id, time.Minute) })
		visit(t, browser, origin, func(_ http.ResponseWriter, r *http.Request) {
			if jar.Browser(r, "signin", id) == "" {
				t.Fatalf("trip %d has no cookie", i)
			}
			if jar.Value(r, "session") != "v" {
				t.Fatal("the session went with the trips")
			}
		})
		if n := len(browser.Cookies(u)); n > 10 {
			t.Fatalf("after %d trips the browser has %d cookies", i+1, n)
		}
	}
}
