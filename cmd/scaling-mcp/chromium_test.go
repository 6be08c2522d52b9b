package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds everything that one tab does. It is for machines that are slow
// and busy: tests wait for events, and a test that passes never comes near it.
const patience = 10 * time.Minute

// startChromium starts a headless Chromium with an empty profile, which ends
// with the test. Every host but this computer is unknown to it. The context is
// for newTab.
func startChromium(t *testing.T) context.Context {
	t.Helper()
	path := findChromium(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // it only sees our own pages, and containers have no user namespaces
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]"),
	)
	// The test's own context is done before its cleanups, which end Chromium, and
	// while parallel tests inside it go on.
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(stop)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		// Told to end, Chromium leaves nothing behind; the allocator would kill it.
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("ending Chromium: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s does not start: %v", path, err)
	}
	return ctx
}

// findChromium returns the path of Chromium or Chrome, of those that are there the
// one without a window, which takes half of the processor time. Where there is none, the
// test is skipped, or fails where nothing may be skipped.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{
		"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const sentence = "Chromium is not installed; install the package chromium-headless-shell or chromium (with brew: google-chrome)"
	if os.Getenv("CI") == "true" {
		t.Fatal(sentence)
	}
	t.Skip(sentence)
	return ""
}

// tab is somebody with Chromium in front of them: a window that shares no cookie
// with others, and in which no script runs. They read pages, click and type.
// Whatever Chromium complains about, and every request to where it has no
// business, fails the test.
type tab struct {
	t       testing.TB
	ctx     context.Context
	origins []string // where it may go: scheme://host

	mu       sync.Mutex
	foreign  string   // one of origins, whose pages are not ours to mend
	requests []string // URLs, redirects among them
	icons    map[network.RequestID]bool
	problems []string
}

func newTab(t testing.TB, chromium context.Context, origins ...string) *tab {
	t.Helper()
	b := &tab{t: t, origins: origins, icons: map[network.RequestID]bool{}}
	ctx, end := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.notice))
	t.Cleanup(end)
	// A tab lives as long as the context that it is first used with, so that one
	// has no deadline.
	err := chromedp.Do(ctx)
	if err == nil {
		_, err = chromedp.Call(ctx, audits.Enable, struct{}{})
	}
	if err == nil {
		_, err = chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	t.Cleanup(func() {
		// The page answers after everything that it had to say before.
		if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("true")); err != nil {
			t.Error(err)
		}
		for _, problem := range b.complaints() {
			t.Errorf("Chromium: %s", problem)
		}
	})
	return b
}

// notice takes down what Chromium says goes on in the tab.
func (b *tab) notice(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	complain := func(format string, args ...any) { b.problems = append(b.problems, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
		if !b.mayVisit(e.Request.URL) {
			complain("a request to %s", e.Request.URL)
		}
		// Where a page names no icon, Chromium asks for this one by itself.
		b.icons[e.RequestID] = strings.HasSuffix(e.Request.URL, "/favicon.ico")
	case *network.EventLoadingFailed:
		if e.BlockedReason != "" || e.Type != network.ResourceTypeDocument && !b.icons[e.RequestID] {
			complain("a %s did not load: %s %s", e.Type, e.ErrorText, e.BlockedReason)
		}
	case *network.EventResponseReceived:
		if e.Type != network.ResourceTypeDocument && e.Response.Status >= 400 && !b.icons[e.RequestID] {
			complain("%s answered %d", e.Response.URL, e.Response.Status)
		}
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork { // noticed above, but for an error page
			complain("%s: %s", e.Entry.Source, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		complain("a script failed: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		complain("a script wrote to the console")
	case *audits.EventIssueAdded:
		switch e.Issue.Code {
		case audits.InspectorIssueCodeBounceTrackingIssue: // every sign-in at an identity provider bounces
		case audits.InspectorIssueCodeContentSecurityPolicyIssue: // in the log as well, in better words
		case audits.InspectorIssueCodeQuirksModeIssue:
			page := e.Issue.Details.QuirksModeIssueDetails.URL
			foreign := b.foreign != "" && strings.HasPrefix(page, b.foreign+"/")
			if !foreign && !strings.HasPrefix(page, "chrome-error:") { // Chromium's own, for a site that cannot be reached
				complain("%s is in quirks mode", page)
			}
		default:
			details, _ := json.Marshal(e.Issue.Details)
			complain("%s: %s", e.Issue.Code, details)
		}
	}
}

// excuse has the tab not complain of how the pages of an origin are written.
func (b *tab) excuse(origin string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.foreign = origin
}

func (b *tab) mayVisit(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	// Chromium's own page for a site that cannot be reached has its pictures in it.
	return u.Scheme == "data" || slices.Contains(b.origins, u.Scheme+"://"+u.Host)
}

// complaints returns what Chromium complained about since they were last asked
// for.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	problems := b.problems
	b.problems = nil
	return problems
}

func (b *tab) fatal(err error) {
	b.t.Helper()
	b.t.Fatalf("%v, on %s\n%s", err, b.at(), strings.Join(b.complaints(), "\n"))
}

// do carries out actions that lead to no other page.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) *tab {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.fatal(err)
	}
	return b
}

// load carries out an action that leads to another page, and waits for that.
func (b *tab) load(action chromedp.Action[chromedp.Void]) *tab {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, action); err != nil {
		b.fatal(err)
	}
	return b
}

// open goes to a URL and wherever it redirects.
func (b *tab) open(rawURL string) *tab { b.t.Helper(); return b.load(chromedp.Navigate(rawURL)) }

// press clicks the button or link with the given label, which leads to a page.
func (b *tab) press(label string) *tab { b.t.Helper(); return b.load(click(label)) }

// click clicks a button, a link, or the label of a radio button or checkbox,
// where it is: something that covers it gets the click in its place, and is an
// error.
func click(label string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		quoted, err := json.Marshal(label)
		if err != nil {
			return chromedp.Void{}, err
		}
		// Not by chromedp.Click: the ids of its nodes change whenever the document
		// is fetched anew, which happens some time after a page has loaded.
		at, err := chromedp.Evaluate[struct {
			X, Y    float64
			Problem string
		}](fmt.Sprintf(placeOf, quoted))(ctx, target)
		if err != nil {
			return chromedp.Void{}, err
		}
		if at.Problem != "" {
			return chromedp.Void{}, fmt.Errorf("%s: %s", label, at.Problem)
		}
		return chromedp.MouseClickXY(at.X, at.Y)(ctx, target)
	}
}

// placeOf says where on the screen the thing with a label is.
const placeOf = `(label => {
	const thing = [...document.querySelectorAll("button, a, label, summary")]
		.find(e => e.textContent.trim().replace(/\s+/g, " ") == label && e.checkVisibility());
	if (!thing) return {Problem: "there is no such thing, but: " + document.body.innerText};
	thing.scrollIntoView({block: "center"});
	const box = thing.getClientRects()[0], X = box.x + box.width / 2, Y = box.y + box.height / 2;
	const hit = document.elementFromPoint(X, Y);
	return {X, Y, Problem: thing.contains(hit) ? "" : "it is covered by " + hit?.outerHTML};
})(%s)`

// blocks carries out an action, and waits until the tab has noticed that Chromium
// blocked what that leads to, for the named directive of a
// Content-Security-Policy. It returns what was noticed, and forgets it.
func (b *tab) blocks(directive string, action chromedp.Action[chromedp.Void]) []string {
	b.t.Helper()
	named := func(e log.EventEntryAdded) bool { return strings.Contains(e.Entry.Text, directive) }
	if _, err := chromedp.Run(b.ctx, chromedp.WaitEvent(log.EntryAdded, named, action)); err != nil {
		b.fatal(err)
	}
	// The event has come; the tab's own listener hears of it in its own time.
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		b.mu.Lock()
		noticed := slices.ContainsFunc(b.problems, func(problem string) bool { return strings.Contains(problem, directive) })
		b.mu.Unlock()
		if noticed {
			return b.complaints()
		}
		select {
		case <-b.ctx.Done():
			b.fatal(fmt.Errorf("nobody noticed that Chromium blocked something: %w", b.ctx.Err()))
		case <-ticker.C:
		}
	}
}

// leave carries out an action that sends the browser to the client, and returns
// what it takes there. Nobody need be there to receive it.
func (b *tab) leave(action chromedp.Action[chromedp.Void], redirectURI string) url.Values {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, action); err != nil && !errors.Is(err, chromedp.ErrPageLoad) {
		b.fatal(err)
	}
	b.mu.Lock()
	requests := slices.Clone(b.requests)
	b.mu.Unlock()
	for _, request := range slices.Backward(requests) {
		if strings.HasPrefix(request, redirectURI) {
			u, err := url.Parse(request)
			if err != nil {
				b.t.Fatal(err)
			}
			return u.Query()
		}
	}
	b.fatal(fmt.Errorf("the browser was not sent to %s", redirectURI))
	return nil
}

// at is the URL of the page.
func (b *tab) at() *url.URL {
	location, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		return &url.URL{Opaque: "a page that does not answer"}
	}
	u, err := url.Parse(location)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// text is what can be read on the page, in one line.
func (b *tab) text() string {
	b.t.Helper()
	return strings.Join(strings.Fields(evaluate[string](b, `document.body.innerText`)), " ")
}

// says fails the test unless the page says all of want.
func (b *tab) says(want ...string) *tab {
	b.t.Helper()
	text := b.text()
	for _, w := range want {
		if !strings.Contains(text, w) {
			b.t.Errorf("%s does not say %q, but: %s", b.at(), w, text)
		}
	}
	return b
}

// evaluate asks the page something that no DevTools command does.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.fatal(err)
	}
	return value
}
