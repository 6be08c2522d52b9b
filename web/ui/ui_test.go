package ui_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"

	"scaling.cloud/mcp/web/ui"
)

func render(t *testing.T, c templ.Component) *goquery.Document {
	t.Helper()
	var page bytes.Buffer
	if err := c.Render(t.Context(), &page); err != nil {
		t.Fatal(err)
	}
	doc, err := goquery.NewDocumentFromReader(&page)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func text(s *goquery.Selection) string { return strings.Join(strings.Fields(s.Text()), " ") }

func TestFormActionAllowsTheRedirect(t *testing.T) {
	h := http.Header{}
	ui.SetHeaders(h, "https://claude.ai")
	if got, want := h.Get("Content-Security-Policy"), "form-action 'self' https://claude.ai;"; !strings.Contains(got, want) {
		t.Errorf("got %q, want it to hold %q", got, want)
	}
}

func TestAssetsAreKeptForAYearUnderTheirHash(t *testing.T) {
	get := func(path string, header ...string) *http.Response {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if len(header) == 2 {
			r.Header.Set(header[0], header[1])
		}
		w := httptest.NewRecorder()
		ui.Assets().ServeHTTP(w, r)
		return w.Result()
	}
	for path, contentType := range map[string]string{
		ui.StylesheetPath(): "text/css; charset=utf-8",
		ui.FaviconPath():    "image/svg+xml",
	} {
		answer := get(path)
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != contentType {
			t.Errorf("%s: got %s, %s", path, answer.Status, answer.Header.Get("Content-Type"))
		}
		if got, want := answer.Header.Get("Cache-Control"), "public, max-age=31536000, immutable"; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		if again := get(path, "If-None-Match", answer.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: got %s, want 304", path, again.Status)
		}
	}
	// Of another release: served, and not kept.
	answer := get("/assets/0123456789abcdef/app.css")
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("another hash: got %s, %q", answer.Status, answer.Header.Get("Cache-Control"))
	}
	if answer := get("/assets/../ui.go"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("another file: got %s, want 404", answer.Status)
	}
}

func TestAgoSaysItLikeAPerson(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		-time.Second:               "just now", // clocks differ
		0:                          "just now",
		59 * time.Second:           "just now",
		time.Minute:                "1 minute ago",
		59 * time.Minute:           "59 minutes ago",
		time.Hour:                  "1 hour ago",
		23 * time.Hour:             "23 hours ago",
		24 * time.Hour:             "yesterday",
		47 * time.Hour:             "yesterday",
		48 * time.Hour:             "2 days ago",
		29 * 24 * time.Hour:        "29 days ago",
		30 * 24 * time.Hour:        "23 Oct 2026",
		365 * 24 * time.Hour:       "22 Nov 2025",
		30*24*time.Hour - 1:        "29 days ago",
		24*time.Hour - 1:           "23 hours ago",
		2*time.Minute - 1:          "1 minute ago",
		60*time.Minute - 1:         "59 minutes ago",
		2*24*time.Hour - 1:         "yesterday",
		72*time.Hour + time.Hour:   "3 days ago",
		600 * time.Millisecond:     "just now",
		90 * time.Second:           "1 minute ago",
		119*time.Minute + 59*1e9:   "1 hour ago",
		120 * time.Minute:          "2 hours ago",
		26*time.Hour + 4*time.Hour: "yesterday",
	} {
		if got := ui.Ago(now.Add(-ago), now); got != want {
			t.Errorf("%s: got %q, want %q", ago, got, want)
		}
	}
}

func TestRedirectPlaceIsWhatAPersonRecognizes(t *testing.T) {
	for _, test := range []struct {
		uri, host string
		local     bool
	}{
		{"https://claude.ai/api/mcp/auth_callback", "claude.ai", false},
		{"https://tools.example.org:8443/cb", "tools.example.org:8443", false},
		{"http://localhost:53124/callback", "localhost", true},
		{"http://LOCALHOST/callback", "LOCALHOST", true},
		{"http://127.0.0.1:33418/", "127.0.0.1", true},
		{"http://[::1]:1/", "::1", true},
		{"https://localhost/cb", "localhost", true},
		{"cursor://anysphere.cursor-mcp/oauth/callback", "cursor://", true},
		{"com.example.app:/cb", "com.example.app://", true},
		{"https://localhost.evil.example/", "localhost.evil.example", false},
		{"https://127.0.0.1.evil.example/", "127.0.0.1.evil.example", false},
	} {
		host, local := ui.RedirectPlace(test.uri)
		if host != test.host || local != test.local {
			t.Errorf("%s: got %q, %v, want %q, %v", test.uri, host, local, test.host, test.local)
		}
	}
}
