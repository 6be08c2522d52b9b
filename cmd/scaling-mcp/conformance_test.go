package main

import (
	"context"
	"net"
	"testing"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/npmtest/conformance"
)

// TestConformance lets the MCP conformance suite speak to the whole program, as the
// client of a person who allowed it everything. Of the scenarios it is those that
// need no tools of the suite's own, which package resource has behind the same gate.
func TestConformance(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	alice := newPerson(t, "alice@acme.example")
	alice.ticks = []string{"incidents:publish"}
	token := s.connect(alice, "Conformance suite", clerkdev.AcmeID).token().AccessToken
	url := conformance.Serve(t, token, conformance.Forward(s.address)) + "/mcp"
	t.Run("2025-11-25", func(t *testing.T) {
		conformance.Judge(t, conformance.Coming.Server(t, url, "2025-11-25",
			"server-initialize", "ping", "tools-list", "resources-list", "prompts-list", "dns-rebinding-protection"), conformance.Expected{})
	})
	t.Run("2026-07-28", func(t *testing.T) {
		conformance.Judge(t, conformance.Coming.Server(t, url, "2026-07-28",
			"server-stateless", "server-sse-multiple-streams", "tools-list", "resources-list", "sep-2164-resource-not-found", "prompts-list",
			"dns-rebinding-protection", "caching", "http-header-validation", "input-required-result-unsupported-methods"),
			conformance.Expect(t, "testdata/conformance/2026-07-28.yml"))
	})
}

// authorizationConforms lets the suite be a client of the authorization server, with
// a person who signs in and consents in front of a browser.
func authorizationConforms(t *testing.T, chromium context.Context) {
	s := startTestDev(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := free.Addr().(*net.TCPAddr) // where the suite is going to wait
	free.Close()
	origin := "http://" + client.String()
	b := newTab(t, chromium, s.url, s.clerk(t), origin)
	b.excuse(origin)
	clientID := s.register(t, "Conformance suite", origin+"/callback")
	scenarios := conformance.Coming.Authorization(t, s.url, clientID, s.url+"/mcp", client.Port, func(url string) {
		b.open(url).press("alice@acme.example").says("Connect “Conformance suite”?", "127.0.0.1").do(click("Acme"))
		b.press("Allow").says("You can close this page.")
	})
	conformance.Judge(t, scenarios, conformance.Expected{})
}
