package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
)

// TestChromium walks the product in a real browser, which alone knows what our
// headers let through: Content-Security-Policy, SameSite, Origin and Referer. No
// script runs in any of it.
func TestChromium(t *testing.T) {
	t.Parallel()
	chromium := startChromium(t)
	for name, test := range map[string]func(*testing.T, context.Context){
		"ConnectCallRevoke":           connectCallRevoke,
		"DenyAnswersTheClient":        denyAnswersTheClient,
		"ConsentLeadsToTheClient":     consentLeadsToTheClient,
		"WhatIsBlockedIsNoticed":      whatIsBlockedIsNoticed,
		"AnotherSiteCanDoNothing":     anotherSiteCanDoNothing,
		"AnotherBrowserCannotConsent": anotherBrowserCannotConsent,
		"KeyboardAlone":               keyboardAlone,
		"BarriersAreFound":            barriersAreFound,
		"ClientArrives":               clientArrives,
		"TimesAreLocal":               timesAreLocal,
		"EveryControlByKeyboard":      everyControlByKeyboard,
		"PagesFit":                    pagesFit,
		"DraftFits":                   draftFits,
		"EndsWithinAMinute":           endsWithinAMinute,
		"PolicyFits":                  policyFits,
		"AuthorizationConforms":       authorizationConforms,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, chromium) })
	}
}

// clerk is the origin of the development Clerk.
func (s *system) clerk(t testing.TB) string {
	t.Helper()
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Get(s.url + "/sign-in")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	location, err := response.Location()
	if err != nil {
		t.Fatal(err)
	}
	return location.Scheme + "://" + location.Host
}

// control changes something at the development Clerk.
func (s *system) control(t testing.TB, action string, command map[string]any) {
	t.Helper()
	body, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(s.clerk(t)+"/dev/"+action, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(response.Body)
		t.Fatalf("/dev/%s: %s", action, said)
	}
}

// register registers a client that knows no secret.
func (s *system) register(t testing.TB, name, redirectURI string) (clientID string) {
	t.Helper()
	registered, err := oauthex.RegisterClient(t.Context(), s.url+"/oauth/register", &oauthex.ClientRegistrationMetadata{
		ClientName: name, RedirectURIs: []string{redirectURI}, TokenEndpointAuthMethod: "none",
	}, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	return registered.ClientID
}

// config is what a client knows of itself and of the server.
func (s *system) config(clientID, redirectURI string) *oauth2.Config {
	return &oauth2.Config{ClientID: clientID, RedirectURL: redirectURI, Endpoint: oauth2.Endpoint{
		AuthURL: s.url + "/oauth/authorize", TokenURL: s.url + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams,
	}}
}

// authorizeURL is where a new client sends its person.
func (s *system) authorizeURL(t testing.TB, name, redirectURI string) string {
	t.Helper()
	return s.config(s.register(t, name, redirectURI), redirectURI).
		AuthCodeURL("some-state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))
}

// native is the part of a native client that waits for the answer on a port of
// its own (RFC 8252 §7.3).
type native struct {
	origin, redirectURI string
	referers            chan string // what the browser said it comes from
}

func newNative(t testing.TB) *native {
	t.Helper()
	n := &native{referers: make(chan string, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" {
			return // the browser's own request for an icon
		}
		n.referers <- r.Referer()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>Client</title><p>You may close this window.</p><script>document.body.textContent = "scripts run"</script>`)
	}))
	t.Cleanup(server.Close)
	n.origin, n.redirectURI = server.URL, server.URL+"/callback"
	return n
}

func connectCallRevoke(t *testing.T, chromium context.Context) {
	s, n := startTestDev(t), newNative(t)
	b := newTab(t, chromium, s.url, s.clerk(t), n.origin)
	// Registered with another port than the one that it listens on today.
	clientID := s.register(t, "Test client", callback)
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: &oauthex.ClientCredentials{ClientID: clientID},
		RedirectURL:         n.redirectURI,
		RequestRefreshToken: true,
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			b.open(args.URL).press("alice@acme.example").says("Connect “Test client”?", "Alice Archer", "127.0.0.1", "started this yourself")
			b.do(click("Globex"), click("Acme"), click("Create and update incidents, and page people"))
			answer := b.leave(click("Allow"), n.redirectURI)
			return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "Test client", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: s.url + "/mcp", OAuthHandler: handler, DisableStandaloneSSE: true, MaxRetries: -1,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	b.says("You may close this window.")
	if referer := <-n.referers; referer != "" {
		t.Errorf("the client learned where its person comes from: %s", referer)
	}

	c := &client{t: t, log: s.log, session: session, oauth: handler}
	if incidents, _ := c.call("list_incidents", nil).StructuredContent.(map[string]any)["incidents"].([]any); len(incidents) == 0 {
		t.Error("list_incidents returned nothing of Acme's")
	}
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(tools.Tools, func(tool *mcp.Tool) bool { return tool.Name == "create_incident" }) {
		t.Error("the client is offered what its person did not tick")
	}

	token := c.token().AccessToken
	b.open(s.url+"/settings/connections").says("Test client", "Local app", "Acme", "See incidents and their timelines")
	if strings.Contains(b.text(), "Create and update incidents") {
		t.Error("the connection is listed with what its person did not tick")
	}
	b.press("Revoke Test client, Acme").says("Revoke this connection?", "stops at once")
	if got := s.status(t, token).StatusCode; got != http.StatusOK {
		t.Errorf("before Revoke is confirmed: %d, want 200", got)
	}
	b.press("Revoke").says("Revoked. Test client can no longer reach Acme.", "You revoked it.")
	if got := s.status(t, token).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("after Revoke: %d, want 401", got)
	}
	b.do(click("AA Account of Alice Archer"))
	b.press("Sign out").says("Sign in")
}

func denyAnswersTheClient(t *testing.T, chromium context.Context) {
	s, n := startTestDev(t), newNative(t)
	b := newTab(t, chromium, s.url, s.clerk(t), n.origin)
	b.open(s.authorizeURL(t, "Test client", n.redirectURI)).press("alice@acme.example")
	answer := b.leave(click("Deny"), n.redirectURI) // without choosing an organization
	for name, want := range map[string]string{"error": "access_denied", "state": "some-state", "iss": s.url, "code": ""} {
		if got := answer.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	b.says("You may close this window.")
	b.open(s.url + "/settings/connections").says("Nothing is connected")
}

// consentLeadsToTheClient: the form-action of the consent page lets its own
// redirect through, of every kind. Nobody is there, so the request is what
// there is to see: Chromium makes none that it blocks.
func consentLeadsToTheClient(t *testing.T, chromium context.Context) {
	s := startTestDev(t)
	for _, redirectURI := range []string{
		"https://claude.ai/api/mcp/auth_callback",
		"https://client.example:8443/callback?tenant=1",
		"http://localhost:9/callback",
		"http://127.0.0.1:9/callback",
		"http://[::1]:9/callback",
		"cursor://anysphere.cursor-mcp/oauth/callback",
		"com.example.app:/callback",
	} {
		t.Run(redirectURI, func(t *testing.T) {
			to, err := url.Parse(redirectURI)
			if err != nil {
				t.Fatal(err)
			}
			b := newTab(t, chromium, s.url, s.clerk(t), to.Scheme+"://"+to.Host)
			b.open(s.authorizeURL(t, "Test client", redirectURI)).press("bob@acme.example")
			if answer := b.leave(click("Allow"), redirectURI); answer.Get("code") == "" || answer.Get("iss") != s.url {
				t.Errorf("the client gets %v, want code and iss", answer)
			}
		})
	}
}

// whatIsBlockedIsNoticed shows that the other tests would fail if Chromium
// blocked something.
func whatIsBlockedIsNoticed(t *testing.T, chromium context.Context) {
	n := newNative(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>Too strict</title><form method="post"><button>Go</button></form>`)
	})
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, n.redirectURI+"?code=1", http.StatusSeeOther)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b := newTab(t, chromium, server.URL)
	if noticed := b.open(server.URL).blocks("form-action", click("Go")); len(noticed) != 1 {
		t.Errorf("Chromium blocked one redirect, and the tab noticed %q", noticed)
	}
	select {
	case <-n.referers:
		t.Error("the redirect was followed")
	default:
	}
}

// anotherSiteCanDoNothing: neither from another site, nor from another port of
// our own host, whose requests carry our cookies (a site has no port).
func anotherSiteCanDoNothing(t *testing.T, chromium context.Context) {
	s := startTestDev(t)
	token := s.connect(newPerson(t, "bob@acme.example"), "Test client", clerkdev.AcmeID).token().AccessToken
	var target string
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Evil</title><link rel="icon" href="data:,">
			<form method="post" action="%[1]s/revoke"><button>Win a prize</button></form>
			<form method="post" action="%[2]s/sign-out"><button>Lose a prize</button></form><iframe title="Bait" src="%[1]s"></iframe>`, target, s.url)
	}))
	t.Cleanup(evil.Close)
	sameSite := strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)

	b := newTab(t, chromium, s.url, s.clerk(t), evil.URL, sameSite)
	b.open(s.url + "/settings/connections").press("bob@acme.example").press("Revoke Test client, Acme")
	target = s.url + b.at().Path
	for _, site := range []string{evil.URL, sameSite} {
		b.blocks("frame-ancestors", chromedp.Navigate(site))
		b.press("Win a prize").says("That was not sent from here")
		b.blocks("frame-ancestors", chromedp.Navigate(site))
		b.press("Lose a prize")
		b.complaints() // of the frame, which is what is wanted
	}
	if got := s.status(t, token).StatusCode; got != http.StatusOK {
		t.Errorf("another site revoked a connection: %d", got)
	}
	b.open(s.url+"/settings/connections").says("Test client", "Bob Baker")
}

// anotherBrowserCannotConsent: the link to a consent page, sent to somebody who
// is signed in, shows them nothing that they could allow.
func anotherBrowserCannotConsent(t *testing.T, chromium context.Context) {
	s, n := startTestDev(t), newNative(t)
	attacker := newTab(t, chromium, s.url, s.clerk(t), n.origin)
	attacker.open(s.authorizeURL(t, "Test client", n.redirectURI)).press("carol@globex.example").says("Connect “Test client”?")
	victim := newTab(t, chromium, s.url, s.clerk(t), n.origin)
	victim.open(attacker.at().String()).press("alice@acme.example").says("was begun in another browser")
}

// keyboardAlone connects and revokes with Tab, Space and Enter, and sees at each
// step where it is.
func keyboardAlone(t *testing.T, chromium context.Context) {
	s, n := startTestDev(t), newNative(t)
	b := newTab(t, chromium, s.url, s.clerk(t), n.origin)
	space, enter := chromedp.KeyEvent(" "), chromedp.KeyEvent(kb.Enter)
	config, verifier := s.config(s.register(t, "Test client", n.redirectURI), n.redirectURI), oauth2.GenerateVerifier()
	b.open(config.AuthCodeURL("", oauth2.S256ChallengeOption(verifier)))
	b.tabTo("alice@acme.example").load(enter)
	b.tabTo("Acme").seesFocus().do(space)
	b.tabTo("Create and update incidents, and page people").seesFocus().do(space)
	answer := b.tabTo("Allow").seesFocus().leave(enter, n.redirectURI)
	token, err := config.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if scope, _ := token.Extra("scope").(string); strings.Contains(scope, "incidents:write") {
		t.Errorf("the scope is %q, with what was not ticked", scope)
	}
	b.open(s.url + "/settings/connections")
	b.tabTo("Skip to the content").seesFocus().load(enter)
	b.tabTo("Connect a client").seesFocus() // the first below the navigation
	b.tabTo("Revoke Test client, Acme").seesFocus().load(enter)
	b.tabTo("Revoke").seesFocus().load(enter).says("Revoked.")
	if got := s.status(t, token.AccessToken).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("after Revoke: %d, want 401", got)
	}
}

// tabTo presses Tab until what has the given label has the focus.
func (b *tab) tabTo(label string) *tab {
	b.t.Helper()
	var seen []string
	for range 40 {
		b.do(chromedp.KeyEvent(kb.Tab))
		focused := evaluate[string](b, focusedElement+`.textContent.trim().replace(/\s+/g, " ")`)
		if focused == label {
			return b
		}
		seen = append(seen, focused)
	}
	b.t.Fatalf("Tab does not lead to %q on %s, but to %q", label, b.at(), seen)
	return nil
}

// focusedElement is what has the focus, with its label if it has one around it.
const focusedElement = `(document.activeElement.closest("label") ?? document.activeElement)`

// seesFocus fails the test unless what has the focus shows that it does.
func (b *tab) seesFocus() *tab {
	b.t.Helper()
	outline := evaluate[string](b, `[document.activeElement, `+focusedElement+`].map(e => getComputedStyle(e).outline).join(", ")`)
	if !strings.Contains(outline, "solid 2px") {
		b.t.Errorf("on %s the focus is not to be seen: outline is %s", b.at(), outline)
	}
	return b
}
