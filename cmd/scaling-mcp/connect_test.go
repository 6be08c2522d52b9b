package main

import (
	"context"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
)

// clientArrives: the page that says how to connect a client tells when one has
// connected, by itself where scripts run, and when asked where none does.
func clientArrives(t *testing.T, chromium context.Context) {
	s := startTestDev(t)
	b := newTab(t, chromium, s.url, s.clerk(t))
	b.open(s.url + "/settings/connect").press("alice@acme.example").says("Waiting for your client…")
	if evaluate[bool](b, copyIsShown) {
		t.Error("without scripts there is a button that does nothing")
	}
	alice := newPerson(t, "alice@acme.example")
	s.connect(alice, "First client", clerkdev.AcmeID)
	b.press("Check again").says("First client is connected to Acme.").show("connect-arrived")

	b.allowScripts(true)
	b.open(s.url + "/settings/connect").says("Waiting for your client…")
	if !evaluate[bool](b, copyIsShown) {
		t.Error("with scripts nothing can be copied by a button")
	}
	s.connect(alice, "Second client", clerkdev.AcmeID)
	b.do(chromedp.WaitVisible("#arrival .good"))
	b.says("Second client is connected to Acme.").show("connect-arrived-scripted")
	b.allowScripts(false)
}

// timesAreLocal: where scripts run, the second page has its times in the zone of the
// browser, and nothing moves on any.
func timesAreLocal(t *testing.T, chromium context.Context) {
	s := startTestDev(t)
	b := newTab(t, chromium, s.url, s.clerk(t))
	s.connect(newPerson(t, "alice@acme.example"), "Test client", clerkdev.AcmeID)
	b.open(s.url + "/settings/connections").press("alice@acme.example").press("Revoke Test client, Acme").says(" UTC")
	_, err := chromedp.Call(b.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Kathmandu"})
	if err != nil {
		b.fatal(err)
	}
	b.allowScripts(true)
	b.press("Keep it").press("Revoke Test client, Acme").says(" +0545")
	for _, path := range []string{"/settings/connections", "/settings/connect", "/settings/activity"} {
		b.open(s.url + path)
		if moved := b.moved(""); moved > 0 {
			t.Errorf("%s: its layout shifted by %g while it loaded", path, moved)
		}
	}
	if b.moved(`document.querySelector("main").prepend(Object.assign(document.createElement("h1"), {textContent: "Late"}));`) == 0 {
		t.Error("a layout that shifts is not noticed")
	}
	b.allowScripts(false)
}

// moved returns how far the layout of the page has shifted by now, after a script:
// the sum of the shifts (Layout Instability API), 0 where nothing moved.
func (b *tab) moved(script string) float64 {
	b.t.Helper()
	sum, err := chromedp.Run(b.ctx, chromedp.Evaluate[float64](script+layoutShift, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fatal(err)
	}
	return sum
}

// layoutShift waits until what has changed is drawn.
const layoutShift = `new Promise(done => {
	let sum = 0;
	new PerformanceObserver(list => list.getEntries().forEach(shift => sum += shift.value)).observe({type: "layout-shift", buffered: true});
	requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(sum), 50)));
})`

const copyIsShown = `document.querySelector(".copier").checkVisibility()`

// everyControlByKeyboard: Tab leads through everything on a page that can be
// operated, in the order in which it is read, and shows where one is.
func everyControlByKeyboard(t *testing.T, chromium context.Context) {
	s, n := startTestDev(t), newNative(t)
	b := newTab(t, chromium, s.url, s.clerk(t), n.origin)
	s.connect(newPerson(t, "alice@acme.example"), "Test client", clerkdev.AcmeID)
	b.open(s.authorizeURL(t, "Test client", n.redirectURI)).press("alice@acme.example").tabsThrough()
	b.open(s.url + "/settings/connections").says("Test client").tabsThrough()
	b.open(s.url + "/settings/connect").tabsThrough()
	b.press("Connections").press("Revoke Test client, Acme").tabsThrough()
}

// tabsThrough presses Tab until the page begins anew.
func (b *tab) tabsThrough() *tab {
	b.t.Helper()
	want := evaluate[[]int](b, numberControls)
	var got []int
	for range 4 * len(want) {
		b.do(chromedp.KeyEvent(kb.Tab))
		number := evaluate[int](b, `Number(document.activeElement.getAttribute("tabbed") ?? -1)`)
		if len(got) == len(want) {
			break
		}
		if number >= 0 {
			got = append(got, number)
			b.seesFocus()
		}
	}
	// A link to a part of the page has one begin there.
	if i := slices.Index(got, want[0]); i > 0 {
		got = slices.Concat(got[i:], got[:i])
	}
	if len(want) < 3 || !slices.Equal(got, want) {
		b.t.Errorf("%s: Tab leads through %v, want %v", b.at(), got, want)
	}
	return b
}

// numberControls numbers what can be operated, in the order of the page. Of
// radio buttons Tab leads to one of each group: that which is chosen, or the
// first. It returns the numbers that Tab leads to.
const numberControls = `(() => {
	const radios = new Set(), numbers = [];
	document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary").forEach((e, i) => {
		if (e.disabled || !e.checkVisibility()) return;
		if (e.type == "radio") {
			const all = [...document.getElementsByName(e.name)].filter(r => !r.disabled);
			if ((all.find(r => r.checked) ?? all[0]) != e) return;
		}
		e.setAttribute("tabbed", i);
		numbers.push(i);
	});
	return numbers;
})()`
