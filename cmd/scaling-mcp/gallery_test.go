package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/oauth2"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
)

// longName is as long as a client's name is shown, and cannot be broken nicely.
const longName = "IncidentIncidentIncidentIncidentIncidentIncidentIncidentIncident"

// show looks at the page on a telephone, a tablet and a desk, in light and in
// dark, and fails the test where it does not fit or axe-core finds a barrier. In
// dark nothing but colours is different (TestDarkIsALookAndNothingElse of web/ui),
// so that only what depends on them is looked for again. With SCALING_SCREENSHOTS
// set to a directory, pictures of all are left there, for people to look at.
func (b *tab) show(name string) *tab {
	b.t.Helper()
	for _, width := range []int64{320, 768, 1280} {
		b.do(chromedp.EmulateViewport(width, 800))
		backgrounds := map[string]string{}
		for scheme, rules := range map[string]string{"light": allRules, "dark": colourRules} {
			_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{
					{Name: "prefers-color-scheme", Value: scheme},
					{Name: "prefers-reduced-motion", Value: "reduce"}, // no picture of a button between two colours
				},
			})
			if err != nil {
				b.fatal(err)
			}
			for _, barrier := range b.barriers(rules) {
				b.t.Errorf("%s, %d pixels wide, %s: %s", name, width, scheme, barrier)
			}
			backgrounds[scheme] = evaluate[string](b, `getComputedStyle(document.body).backgroundColor`)
			if dir := os.Getenv("SCALING_SCREENSHOTS"); dir != "" {
				picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				if err != nil {
					b.fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), picture, 0o644); err != nil {
					b.t.Fatal(err)
				}
			}
		}
		if outside := evaluate[[]string](b, elementsOutside); len(outside) > 0 {
			b.t.Errorf("%s, %d pixels wide: it does not fit, because of %q", name, width, outside)
		}
		if backgrounds["light"] == backgrounds["dark"] {
			b.t.Errorf("%s: its ground is %s in light and in dark", name, backgrounds["light"])
		}
	}
	return b
}

// elementsOutside names the innermost elements that reach beyond the window to
// the left or right, whether that makes the page scroll or is cut off. What is
// clipped is only there to be read out.
const elementsOutside = `[document.documentElement, ...document.querySelectorAll("body *")]
	.filter(e => e.scrollWidth > innerWidth || e.getBoundingClientRect().right > innerWidth + .5 || e.getBoundingClientRect().left < -.5)
	.filter(e => { while (e && getComputedStyle(e).clipPath == "none") e = e.parentElement; return !e })
	.filter((e, i, all) => !all.some(other => other != e && e.contains(other)))
	.map(e => e.localName + "." + e.className)`

// pagesFit visits every page, in every state that looks different.
func pagesFit(t *testing.T, chromium context.Context) {
	s, n := startTestDev(t), newNative(t)
	clerk := s.clerk(t)
	s.control(t, "role", map[string]any{"user": "alice@acme.example", "organization": "globex", "role": "org:admin"})
	const claude, elsewhere, app = "https://claude.ai/api/mcp/auth_callback", "https://client.example/callback", "cursor://anysphere.cursor-mcp/oauth/callback"
	open := func() *tab {
		return newTab(t, chromium, s.url, clerk, n.origin, "https://claude.ai", "https://client.example", "cursor://anysphere.cursor-mcp")
	}

	// Somebody of no organization, new to it.
	dave := open()
	dave.open(s.url + "/").show("landing")
	dave.open(s.authorizeURL(t, "Test client", n.redirectURI)).show("clerk")
	dave.press("Cancel").says("You left the sign-in").show("sign-in-cancelled")
	dave.press("Try again").press("dave@solo.example").says("not a member of any organization").show("consent-no-organization")
	dave.open(s.url + "/settings/connections").says("Nothing is connected").show("connections-empty")
	dave.open(s.url + "/settings/activity").says("Nothing has happened yet").show("activity-empty")

	// A member of one organization.
	bob := open()
	config := s.config(s.register(t, "Anything", claude), claude)
	verifier := oauth2.GenerateVerifier()
	bob.open(config.AuthCodeURL("", oauth2.S256ChallengeOption(verifier))).press("bob@acme.example")
	bob.says("Connect Claude?", "Verified", "claude.ai").show("consent-verified-one-organization")
	answer := bob.leave(click("Allow"), claude)
	if _, err := config.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier)); err != nil {
		t.Fatal(err)
	}
	bob.open(s.authorizeURL(t, longName, elsewhere)).says("Unverified", "client.example").show("consent-unverified-long-name")
	for _, scope := range []string{"See incidents and their timelines", "See schedules and who is on call",
		"Create and update incidents, and page people", "Stay connected until you revoke it"} {
		bob.do(click(scope))
	}
	bob.press("Allow").says("Tick at least one thing").show("consent-nothing-ticked")
	bob.open(s.authorizeURL(t, "Cursor", app)).says("cursor://", "on your computer").show("consent-private-scheme")
	bob.open(s.url + "/settings/connections").says("Claude").show("connections-member")
	bob.open(s.url + "/settings/connect").says("Paste this URL").show("connect")
	bob.open(s.url + "/settings/drafts").says("Nothing waits for you").show("drafts-empty")

	// An administrator of two organizations.
	s.connect(newPerson(t, "bob@acme.example"), longName, clerkdev.AcmeID)
	c := s.connect(newPerson(t, "alice@acme.example"), "Test client", clerkdev.AcmeID)
	demo := c.call("list_incidents", nil).StructuredContent.(map[string]any)["incidents"].([]any)[0].(map[string]any)
	long := c.call("create_incident", map[string]any{"title": longName, "description": longName, "severity": "low"}).
		StructuredContent.(map[string]any)["incident"].(map[string]any)
	c.call("who_is_on_call", nil)
	if _, err := c.session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_incident", Arguments: map[string]any{"sequentialId": 9999}}); err != nil {
		t.Fatal(err)
	}
	s.connect(newPerson(t, "alice@acme.example"), "Test client", clerkdev.GlobexID)
	alice := open()
	alice.open(s.authorizeURL(t, "Test client", n.redirectURI)).press("alice@acme.example").show("consent-local-several-organizations")
	alice.open(s.url + "/").says("Your connections").show("landing-signed-in")
	alice.open(s.url+"/settings/connections").says("Globex", "just now").show("connections-mine")
	alice.press("Revoke Test client, Globex").show("connection")
	alice.press("Revoke").says("Revoked.", "90 days").show("connections-revoked")
	alice.open(s.url + "/settings/connections?view=organization&org=globex").says("Nobody is connected to Globex").show("organization-empty")
	alice.open(s.url+"/settings/connections?view=organization&org=acme").says("Bob Baker", "You").show("organization")
	alice.press("Revoke " + longName + ", Acme").says("in the name of Bob Baker").show("connection-of-a-member")
	alice.press("Revoke").press(longName).says("already ended").show("connection-ended")
	for _, email := range []string{"alice@acme.example", "bob@acme.example"} {
		for range 3 {
			s.connect(newPerson(t, email), "Another client", clerkdev.AcmeID)
		}
	}
	organization := s.url + "/settings/connections?view=organization&org=acme"
	alice.open(organization).says("6 connections of 2 people", "Show all 6").show("organization-many")
	alice.press("Bob Baker").says("Only Bob Baker").show("organization-of-a-member")
	alice.open(organization + "&q=nobody").says("No connection is like that").show("organization-nothing-found")
	alice.open(organization).press("Revoke all of Another client").says("6 connections of 2 people in Acme stop at once").show("revoke-all")
	alice.press("Revoke all").says("Revoked. 6 connections of Another client have ended.").show("organization-revoked-all")
	alice.open(s.url + "/settings/connections/revoke?client=none").says("already ended").show("revoke-all-ended")
	alice.do(click("AA Account of Alice Archer")).show("account-menu")
	alice.open(s.url+"/settings/activity").says("Created an incident", "Alice Archer").show("activity")
	alice.do(click("Filter")).show("activity-filter")
	alice.open(s.url+"/settings/activity?from=2026-02-02&to=2026-02-01&person=nobody%40example.com").says("before the first one", "Nobody with this address").show("activity-filter-wrong")
	alice.open(s.url + "/settings/activity?tool=publish_draft").says("No call matches").show("activity-none")
	alice.open(s.url + "/settings/activity?view=mine").says("in your name").show("activity-mine")
	alice.press("Test client").says("What it did last").show("connection-activity")
	alice.open(demo["url"].(string)).says(demo["title"].(string)).show("incident")
	alice.open(long["url"].(string)).says(longName).show("incident-long-title")

	// What customers see.
	customer := open()
	customer.open(s.url+"/status/acme").says("Acme status", "Partial outage", "one in eight card payments").show("status")
	customer.do(click("Show all 2 updates"), click("Show all 6 updates")).show("status-all-updates")
	customer.open(s.url + "/status/globex").says("All systems operational").show("status-operational")
	customer.open(s.url + "/status/nobody").says("no status page here").show("status-not-found")

	// What goes wrong.
	alice.open(s.url + "/settings/nothing").says("There is nothing here").show("error-not-found")
	alice.open(s.url + "/oauth/authorize?client_id=unknown").says("We do not know this app").show("error-unknown-client")
	alice.open(s.config(s.register(t, "Test client", elsewhere), elsewhere).AuthCodeURL("")).says("cannot be made", "client.example").show("error-to-send-on")
	alice.open(s.url + "/oauth/consent?request=unknown").says("answered already").show("error-answered-already")
	alice.open(s.url + "/sign-in/callback?state=a&state=b").says("damaged").show("sign-in-damaged")
	s.control(t, "fail", map[string]any{"status": http.StatusServiceUnavailable, "count": 100})
	alice.open(s.authorizeURL(t, "Test client", n.redirectURI)).says("Try again shortly").show("error-clerk-away")
	carol := open()
	carol.open(s.url + "/settings/connections").press("carol@globex.example").show("sign-in-clerk-away")
}

// endsWithinAMinute: where Redis is gone, a page says that somebody may not have
// heard of a revocation yet.
func endsWithinAMinute(t *testing.T, chromium context.Context) {
	s := startTestDev(t, "--redis-url", "redis://127.0.0.1:1")
	s.connect(newPerson(t, "alice@acme.example"), "Test client", clerkdev.AcmeID)
	b := newTab(t, chromium, s.url, s.clerk(t))
	b.open(s.url + "/settings/connections").press("alice@acme.example").press("Revoke Test client, Acme")
	b.press("Revoke").says("ends within a minute").show("connections-ending")
	b.press("Test client").says("Ends within a minute").show("connection-ending")
}
