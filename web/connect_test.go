package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
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

func TestTheScriptIsSmallAndOnOnePageAlone(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	ui.Assets().ServeHTTP(w, httptest.NewRequest(http.MethodGet, ui.ConnectScriptPath(), nil))
	if w.Code != http.StatusOK || w.Body.Len() > 5<<10 || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("got %d, %d bytes of %s", w.Code, w.Body.Len(), w.Header().Get("Content-Type"))
	}
	d := open(t)
	for target, want := range map[string]int{"/settings/connect": 1, "/": 0, "/settings/connections": 0, connectionPath(uuid.New()): 0} {
		if got := d.get(alice, target).Find("script").Length(); got != want {
			t.Errorf("%s: %d scripts, want %d", target, got, want)
		}
	}
}
