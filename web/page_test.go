package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

func TestSignedOutPersonIsSentToSignInAndBack(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(alice, acme)
	for _, test := range []struct{ method, target, returnTo string }{
		{http.MethodGet, "/settings/connections", "/settings/connections"},
		{http.MethodGet, "/settings/connections?org=acme&view=organization", "/settings/connections?org=acme&view=organization"},
		{http.MethodGet, connectionPath(id), connectionPath(id)},
		{http.MethodPost, connectionPath(id) + "/revoke", connectionPath(id)}, // a form cannot be opened
		{http.MethodGet, "/settings/connect", "/settings/connect"},
		{http.MethodGet, "/incidents/" + id.String(), "/incidents/" + id.String()},
	} {
		p := d.do("", httptest.NewRequest(test.method, test.target, nil))
		expectStatus(t, p, http.StatusSeeOther)
		location, err := url.Parse(p.header.Get("Location"))
		d.must(err)
		expect(t, "path", location.Path, "/sign-in")
		expect(t, "return_to", location.Query().Get("return_to"), test.returnTo)
		expect(t, "Cache-Control", p.header.Get("Cache-Control"), "no-store")
	}
	if d.isRevoked(id) {
		t.Error("nobody revoked it")
	}
}

// Every page, whatever its outcome, carries the headers, says what it is, and
// has nothing that they forbid.
func TestEveryPageIsStrict(t *testing.T) {
	t.Parallel()
	d := open(t)
	live := d.connect(alice, acme)
	over := d.connect(alice, acme, revoked(store.RevokedByUser, alice))
	d.connect(bob, acme, named(`<script>alert(1)</script>`))
	d.call(bob, acme, live, 1)
	broken := d.incident(store.NewIncident{OrgID: acme.ID, Title: `<script>alert(1)</script>`, Description: `<iframe>`})
	for target, status := range map[string]int{
		"/":                                 http.StatusOK,
		"/settings/connections":             http.StatusOK,
		"/settings/connections?org=acme":    http.StatusOK,
		connectionPath(live):                http.StatusOK,
		connectionPath(over):                http.StatusOK,
		connectionPath(uuid.New()):          http.StatusNotFound,
		"/settings/connect":                 http.StatusOK,
		"/settings/activity":                http.StatusOK,
		"/settings/activity?view=mine":      http.StatusOK,
		"/settings/activity?org=nothing":    http.StatusNotFound,
		"/settings/activity?from=nothing":   http.StatusUnprocessableEntity,
		"/settings/drafts":                  http.StatusOK,
		"/settings/nothing":                 http.StatusNotFound,
		"/settings/connections/x/y/z":       http.StatusNotFound,
		"/assets/0/nothing.css":             http.StatusNotFound,
		connectionPath(live) + "/revoke":    http.StatusNotFound, // only posted to
		"/settings/connections?org=nothing": http.StatusNotFound,
		incidentPath(broken):                http.StatusOK,
		"/incidents/1":                      http.StatusNotFound,
	} {
		p := d.get(alice, target)
		if p.status != status {
			t.Errorf("%s: got status %d, want %d", target, p.status, status)
		}
		scripts := "script-src 'self'; "
		switch {
		case target == "/settings/connect":
			scripts += "connect-src 'self'; "
		case p.status == http.StatusNotFound:
			scripts = ""
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; " + scripts + "style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Content-Type":            "text/html; charset=utf-8",
			"Cache-Control":           "no-store",
			"Referrer-Policy":         "same-origin",
			"X-Content-Type-Options":  "nosniff",
		} {
			expect(t, target+" "+name, p.header.Get(name), want)
		}
		if n := p.Find("script:not([src^='/assets/']), style, [style], [onclick], iframe").Length(); n > 0 {
			t.Errorf("%s: %d elements that the policy forbids", target, n)
		}
		if p.Find("h1").Length() != 1 || p.Find("main").Length() != 1 || p.Find("title").Length() != 1 || p.Find("html[lang]").Length() != 1 {
			t.Errorf("%s: not one h1, main, title and lang", target)
		}
		p.Find("[id]").Each(func(_ int, s *goquery.Selection) {
			if id := s.AttrOr("id", ""); p.Find("#"+id).Length() > 1 {
				t.Errorf("%s: the id %q is used twice", target, id)
			}
		})
		p.Find("form").Each(func(_ int, s *goquery.Selection) {
			want := "post"
			if s.AttrOr("role", "") == "search" {
				want = "get"
			}
			expect(t, target+" form method", s.AttrOr("method", ""), want)
		})
		// What pages of ours link to exists, but for what other packages serve.
		p.Find(`a[href^="/"], link[href^="/"]`).Each(func(_ int, s *goquery.Selection) {
			href := s.AttrOr("href", "")
			if strings.HasPrefix(href, "/sign-in") {
				return
			}
			if linked := d.get(alice, href); linked.status >= 400 {
				t.Errorf("%s: the link to %s leads to status %d", target, href, linked.status)
			}
		})
	}
}

func TestHEADIsGETWithoutABody(t *testing.T) {
	t.Parallel()
	d := open(t)
	server := httptest.NewServer(d.handler)
	t.Cleanup(server.Close)
	for _, path := range []string{"/", "/settings/connections", "/settings/connect"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+path, nil)
		d.must(err)
		r.AddCookie(&http.Cookie{Name: "user", Value: alice})
		answer, err := server.Client().Do(r)
		d.must(err)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || answer.ContentLength == 0 {
			t.Errorf("%s: got %s, length %d", path, answer.Status, answer.ContentLength)
		}
	}
}

// What goes wrong inside is logged once, and not shown.
func TestUnknownErrorIsLoggedAndNotShown(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(alice, acme)
	_, err := d.store.Pool().Exec(context.Background(), `ALTER TABLE connections RENAME TO elsewhere`)
	d.must(err)
	for _, target := range []string{"/settings/connections", connectionPath(id)} {
		d.log.Reset()
		p := d.get(alice, target)
		expectStatus(t, p, http.StatusInternalServerError)
		if text := p.Text(); strings.Contains(text, "SQL") || strings.Contains(text, "relation") || strings.Contains(text, "store:") {
			t.Errorf("%s: the page tells too much: %s", target, text)
		}
		if got := strings.Count(d.log.String(), "level=ERROR"); got != 1 {
			t.Errorf("%s: logged %d errors, want 1:\n%s", target, got, d.log.String())
		}
	}
}

func TestLandingPageSuitsWhoeverAsks(t *testing.T) {
	t.Parallel()
	d := open(t)
	out := d.get("", "/")
	expect(t, "MCP URL", out.text(".copy code"), "https://mcp.example.com/mcp")
	if out.Find(`header a[href^="/sign-in"]`).Length() != 1 || out.Find(".account").Length() != 0 {
		t.Error("a stranger is not offered signing in")
	}
	in := d.get(bob, "/")
	expect(t, "account", in.text(".account .name"), "Bob Baker")
	expect(t, "sign out", in.text(`form[action="/sign-out"] button`), "Sign out")
	if in.Find(`nav a[href="/settings/connections"]`).Length() != 1 {
		t.Error("no way to the connections")
	}
}

func TestGuideGivesTheURLForEachClient(t *testing.T) {
	t.Parallel()
	d := open(t)
	p := d.get(bob, "/settings/connect")
	for _, client := range []string{"Claude on the web", "Claude Desktop", "ChatGPT", "Claude Code", "Cursor", "VS Code"} {
		guide := p.Find(".guides section").FilterFunction(func(_ int, s *goquery.Selection) bool { return s.Find("h2").Text() == client })
		if !strings.Contains(guide.Find(".snippet").Text(), "https://mcp.example.com/mcp") {
			t.Errorf("%s: nothing to paste", client)
		}
	}
	expect(t, "navigation", p.text(`nav [aria-current="page"]`), "Connect")
}

func TestSettingsLeadsToConnections(t *testing.T) {
	t.Parallel()
	d := open(t)
	for _, path := range []string{"/settings", "/settings/"} {
		p := d.get(alice, path)
		expectStatus(t, p, http.StatusSeeOther)
		expect(t, path, p.header.Get("Location"), "/settings/connections")
	}
}
