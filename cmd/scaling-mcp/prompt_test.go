package main

import (
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/oauth2"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
)

// TestPromptLoginIsNotSkippedByAnyLink: Clerk lets a browser back in that it
// knows, and links to the consent page and to signing in can be followed by hand.
// Where a client demands a new sign-in, none of that is one.
func TestPromptLoginIsNotSkippedByAnyLink(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	alice := newPerson(t, "alice@acme.example")
	alice.signIn(s.url + "/settings/connections").says("Alice Archer")
	verifier := oauth2.GenerateVerifier()
	config := s.config(s.register(t, "Careful client", callback), callback)
	authorizeURL := config.AuthCodeURL("some-state", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "login"))

	still := *alice.browser
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, authorizeURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := still.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	signIn, err := response.Location()
	if err != nil {
		t.Fatal(err)
	}
	consent := signIn.Query().Get("return_to")
	for name, link := range map[string]string{
		"the consent page":                  s.url + consent,
		"the sign-in, without the demand":   s.url + "/sign-in?" + url.Values{"return_to": {consent}}.Encode(),
		"the dashboard, then the consent":   s.url + "/sign-in?" + url.Values{"return_to": {"/settings/connections"}}.Encode(),
		"the sign-in that authorize led to": signIn.String(),
	} {
		alice.open(link)
		if alice.at.Path == "/settings/connections" {
			alice.open(s.url + consent)
		}
		if alice.page.Find(`button:contains("alice@acme.example")`).Length() != 1 {
			t.Errorf("%s led to %s: %s; want Clerk's question who it is", name, alice.at, alice.text())
		}
	}
	alice.press("alice@acme.example", nil).says("Careful client")
	alice.press("Allow", func(form url.Values) { form.Set("org_id", clerkdev.AcmeID) })
	if alice.left == nil || alice.left.Query().Get("iss") != s.url || alice.left.Query().Get("state") != "some-state" {
		t.Fatalf("Allow led to %v (%d at %s), want the client, with state and iss", alice.left, alice.status, alice.at)
	}
	if _, err := config.Exchange(t.Context(), alice.left.Query().Get("code"), oauth2.VerifierOption(verifier)); err != nil {
		t.Error(err)
	}
}
