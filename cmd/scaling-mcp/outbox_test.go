package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/mail/mailtest"
	"scaling.cloud/mcp/store/storetest"
)

// createPaged has a client create an incident with the policy of the open one,
// and returns who was paged.
func (c *client) createPaged(title string) (addresses []string) {
	c.t.Helper()
	open := c.call("list_incidents", map[string]any{"limit": 1}).StructuredContent.(map[string]any)["incidents"].([]any)[0].(map[string]any)
	created := c.call("create_incident", map[string]any{"title": title, "severity": "critical", "escalationPolicyId": open["escalationPolicyId"]})
	for _, p := range created.StructuredContent.(map[string]any)["paged"].([]any) {
		addresses = append(addresses, p.(map[string]any)["email"].(string))
	}
	if len(addresses) == 0 {
		c.t.Fatal("nobody was paged")
	}
	return addresses
}

// TestAPageIsInTheOutbox: in dev, what a client's incident would have mailed is
// there to look at, whatever it holds.
func TestAPageIsInTheOutbox(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	alice := newPerson(t, "alice@acme.example")
	alice.open(s.url + "/dev/outbox").says("No mail yet")
	c := s.connect(alice, "Test client", clerkdev.AcmeID)
	paged := c.createPaged("<script>alert(1)</script> \u202eelbisivni")
	mails := len(paged) + 1 // that Alice connected a client is told as well
	deadline := time.Now().Add(30 * time.Second)
	for alice.open(s.url + "/dev/outbox"); alice.page.Find("article").Length() < mails; alice.open(s.url + "/dev/outbox") {
		if time.Now().After(deadline) {
			t.Fatalf("no page in the outbox: %s\n%s", alice.text(), s.log)
		}
		time.Sleep(50 * time.Millisecond)
	}
	alice.says("[critical] Acme incident 13: <script>alert(1)</script> elbisivni", "To take it, tell your assistant: Acknowledge incident 13 of Acme.",
		`\u{202e}elbisivni`, paged[0])
	if alice.page.Find("script").Length() > 0 || strings.Contains(alice.text(), "\u202e") {
		t.Error("a title is more than text on the page")
	}
	link := s.url + "/incidents/"
	if !strings.Contains(alice.text(), "To see it: "+link) {
		t.Errorf("no link to the incident: %s", alice.text())
	}
}

func TestDevMailsThroughAServerThatItIsGiven(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	s := startDev(t, "--database-url", storetest.OpenURL(t), "--redis-url", storetest.Redis(t),
		"--smtp-url", "smtp://"+server.Address, "--mail-from", "Scaling <pages@scaling.example>")
	alice := newPerson(t, "alice@acme.example")
	if alice.open(s.url + "/dev/outbox"); alice.status != http.StatusNotFound {
		t.Errorf("the outbox: got %d, want 404", alice.status)
	}
	paged := s.connect(alice, "Test client", clerkdev.AcmeID).createPaged("Checkout is down")
	var got []string
	for range 2 {
		select {
		case m := <-server.Accepted():
			got = append(got, m.From+" to "+m.To+": "+m.Header.Get("Subject"))
		case <-time.After(30 * time.Second):
			t.Fatalf("no mail came after %q\n%s", got, s.log)
		}
	}
	slices.Sort(got)
	want := []string{
		"pages@scaling.example to alice@acme.example: A client was connected in your name",
		"pages@scaling.example to " + paged[0] + ": [critical] Acme incident 13: Checkout is down",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.stop()
	if log := s.log.String(); !strings.Contains(log, "msg=page ") || !strings.Contains(log, "outcome=sent") || strings.Contains(log, "Checkout is down") {
		t.Errorf("the log does not tell the page, or tells too much: %s", log)
	}
}
