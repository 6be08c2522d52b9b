package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

func since(t time.Time) string { return "?since=" + url.QueryEscape(t.Format(time.RFC3339Nano)) }

// TestAClientThatArrivesIsSeen: by who looks again, and by the page's script.
func TestAClientThatArrivesIsSeen(t *testing.T) {
	t.Parallel()
	d := open(t)
	p := d.get(alice, "/settings/connect")
	again := p.Find("#arrival a").AttrOr("href", "")
	expect(t, "the wait", p.text("#arrival p:first-of-type"), "Waiting for your client…")
	expect(t, "asks", p.Find("#arrival").AttrOr("data-ask", ""), strings.Replace(again, "connect?", "connect/arrived?", 1))
	expect(t, "looking again", d.get(alice, again).text("#arrival p:first-of-type"), "Waiting for your client…")

	// The connections of the test are three days old.
	d.connect(bob, acme, named("Not Alice’s"))
	d.connect(alice, acme, named("Ended"), revoked(store.RevokedByUser, alice))
	before := since(now.Add(-100 * time.Hour))
	if got := d.get(alice, "/settings/connect/arrived"+before); got.status != http.StatusNoContent || got.text("body") != "" {
		t.Errorf("nobody has arrived: got %d %q, want 204", got.status, got.text("body"))
	}
	id := d.connect(alice, acme, named("<b>Claude</b>"))
	for _, target := range []string{"/settings/connect/arrived" + before, "/settings/connect" + before} {
		p := d.get(alice, target)
		expect(t, target, p.text(".notice.good p:first-of-type"), "<b>Claude</b> is connected to Acme.")
		expect(t, target+": link", p.Find(".notice.good a").AttrOr("href", ""), connectionPath(id))
		if p.Find("[data-ask]").Length() > 0 {
			t.Errorf("%s: it still asks", target)
		}
	}
	for _, nothing := range []string{since(now), "?since=", "?since=yesterday", "?since=9999-99-99T00:00:00Z", ""} {
		if got := d.get(alice, "/settings/connect/arrived"+nothing); got.status != http.StatusNoContent {
			t.Errorf("%q: got %d, want 204", nothing, got.status)
		}
	}
}

// TestWhatIsToBePastedCanBeCopied: each button copies something that is there,
// and says what.
func TestWhatIsToBePastedCanBeCopied(t *testing.T) {
	t.Parallel()
	d := open(t)
	p := d.get(alice, "/settings/connect")
	buttons := p.Find("button[data-copies]")
	names := map[string]bool{}
	for _, b := range buttons.EachIter() {
		if source := p.Find("#" + b.AttrOr("data-copies", "")); source.Length() != 1 || !strings.Contains(source.Text(), "https://mcp.example.com/mcp") {
			t.Errorf("%q copies nothing", b.Text())
		}
		names[b.Text()] = true
	}
	if buttons.Length() != 1+p.Find("pre").Length() || len(names) != buttons.Length() {
		t.Errorf("%d buttons with %d names for %d things to paste and the URL", buttons.Length(), len(names), p.Find("pre").Length())
	}
}

func TestScriptsAreFewAndSmall(t *testing.T) {
	t.Parallel()
	d := open(t)
	for _, tt := range []struct {
		user, target string
		want         []string
	}{
		{alice, "/settings/connect", []string{"connect.js", "zone.js"}},
		{alice, "/settings/connections", []string{"zone.js"}},
		{alice, "/", []string{"zone.js"}},
		{"", "/", nil},
		{alice, connectionPath(uuid.New()), nil}, // an error
	} {
		size := 0
		var got []string
		for _, script := range d.get(tt.user, tt.target).Find("script").EachIter() {
			src := script.AttrOr("src", "")
			w := httptest.NewRecorder()
			ui.Assets().ServeHTTP(w, httptest.NewRequest(http.MethodGet, src, nil))
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
				t.Errorf("%s: %d, %s", src, w.Code, w.Header().Get("Content-Type"))
			}
			size += w.Body.Len()
			got = append(got, path.Base(src))
		}
		if !slices.Equal(got, tt.want) || size > 5<<10 {
			t.Errorf("%s has the scripts %q of %d bytes, want %q", tt.target, got, size, tt.want)
		}
	}
}

// TestTimesAreInTheReadersZone, where the browser has said which that is, and else
// in UTC, as those of whoever says something odd.
func TestTimesAreInTheReadersZone(t *testing.T) {
	t.Parallel()
	d := open(t)
	connection := d.connect(alice, acme) // 19 November 2026, 12:00 UTC
	for cookie, want := range map[string]string{
		"":                    "19 November 2026, 12:00 UTC",
		"Europe/Berlin":       "19 November 2026, 13:00 CET",
		"Pacific/Chatham":     "20 November 2026, 01:45 +1345",
		"Local":               "19 November 2026, 12:00 UTC",
		"Mars/Olympus":        "19 November 2026, 12:00 UTC",
		"../../../etc/passwd": "19 November 2026, 12:00 UTC",
	} {
		r := httptest.NewRequest(http.MethodGet, connectionPath(connection), nil)
		r.AddCookie(&http.Cookie{Name: "zone", Value: cookie})
		p := d.do(alice, r)
		at := p.Find(`time[datetime="2026-11-19T12:00:00Z"]`)
		if at.Length() != 1 || at.Text() != want {
			t.Errorf("in %q the page says %q, want %q", cookie, at.Text(), want)
		}
	}
}
