package main

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
)

// policyBlockURL is where an administrator of Acme blocks the clients that are
// named like c.
func (s *system) policyBlockURL(name string) string {
	return s.url + "/settings/policy/block?" + url.Values{"org": {"acme"}, "client": {name}}.Encode()
}

// TestABlockHoldsAtTheNextCall: the client is refused at once and cannot come
// back, and its person is told who decided so.
func TestABlockHoldsAtTheNextCall(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	bob := newPerson(t, "bob@acme.example")
	token := s.connect(bob, "Test client", clerkdev.AcmeID).token().AccessToken
	bystander := s.connect(bob, "Another client", clerkdev.AcmeID).token().AccessToken
	for _, access := range []string{token, bystander} {
		if got := s.status(t, access).StatusCode; got != http.StatusOK {
			t.Fatalf("before: %d", got)
		}
	}
	alice := newPerson(t, "alice@acme.example")
	alice.signIn(s.policyBlockURL("name:test client@127.0.0.1")).says("Block Test client?", "1 connection of 1 person")
	alice.press("Block", nil).says("Blocked by Alice Archer")
	if got := s.status(t, token).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("after: %d, want 401", got)
	}
	if got := s.status(t, bystander).StatusCode; got != http.StatusOK {
		t.Errorf("another client: %d, want 200", got)
	}
	bob.open(s.authorizeURL(t, "Test client", callback)).says("“Test client” is not allowed", "The administrators of Acme have blocked this client.")
	alice.press("Unblock Test client", nil).says("None.")
	bob.open(s.authorizeURL(t, "Test client", callback)).says("Connect “Test client”?")

	// The rule on clients does as a block does.
	alice.open(s.url+"/settings/policy?org=acme").press("Continue", func(v url.Values) { v.Set("clients", "verified") }).
		says("1 connection of 1 person will end at once.").press("Save", nil).says("Saved. 1 connection ended.")
	if got := s.status(t, bystander).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("after the rule: %d, want 401", got)
	}
}

// policyFits goes through the pages of the policy in a browser.
func policyFits(t *testing.T, chromium context.Context) {
	s, n := startTestDev(t), newNative(t)
	s.connect(newPerson(t, "bob@acme.example"), longName, clerkdev.AcmeID)
	s.connect(newPerson(t, "alice@acme.example"), "Test client", clerkdev.AcmeID)
	b := newTab(t, chromium, s.url, s.clerk(t), n.origin)
	b.open(s.url+"/settings/policy").press("alice@acme.example").says("Which clients may connect?", "None.").show("policy")
	b.open(s.policyBlockURL("name:test client@127.0.0.1")).says("Block Test client?").show("policy-block")
	b.press("Block").says("Blocked by Alice Archer").show("policy-blocked")
	b.do(click("Only the clients ticked here An unverified client is known by its name and host alone, which others can copy."))
	b.press("Continue").says("Tick at least one client").show("policy-problem")
	b.do(click("Verified clients only Clients whose maker we know by where they send people. Programs on somebody’s computer are never verified."))
	b.press("Continue").says("1 connection of 1 person will end at once.").show("policy-confirm")
	b.press("Save").says("Saved. 1 connection ended.").show("policy-saved")
	bob := newTab(t, chromium, s.url, s.clerk(t), n.origin)
	bob.open(s.authorizeURL(t, "Test client", n.redirectURI)).press("bob@acme.example").says("is not allowed").show("consent-barred")
}
