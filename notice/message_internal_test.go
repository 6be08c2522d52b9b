package notice

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

var at = time.Date(2026, 11, 25, 14, 3, 0, 0, time.UTC)

func connection(clientName, redirectURI string) *store.NoticedConnection {
	c := &store.NoticedConnection{MadeAt: at, Reachable: true}
	c.ID = uuid.MustParse("01940000-0000-7000-8000-000000000001")
	c.ClientName, c.RedirectURI, c.OrgName, c.UserName, c.UserEmail = clientName, redirectURI, "Acme", "Bob Baker", "bob@acme.example"
	return c
}

func revoked(reason store.RevokeReason, by string) *store.NoticedConnection {
	c := connection("Claude Code", "http://127.0.0.1:5123/callback")
	c.RevokeReason = &reason
	if by != "" {
		c.RevokedByName = &by
	}
	return c
}

func TestTheMailOfANewConnectionSaysWhatToDo(t *testing.T) {
	m := message(store.NoticeConnected, []*store.NoticedConnection{connection("Claude", "https://claude.ai/api/mcp/auth_callback")}, "https://mcp.example")
	want := `A client was connected to scaling.cloud, and can now act in your name:

> Claude
  which sends people to claude[.]ai

Organization: Acme
When: 14:03 UTC on 25 November 2026

If that was you, there is nothing to do. If it was not, end it now and tell your administrator:
https://mcp.example/settings/connections
`
	if diff := cmp.Diff(want, m.Text); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if m.Address != "bob@acme.example" || m.Subject != "A client was connected in your name" || m.ID != "notice.connected.01940000-0000-7000-8000-000000000001" {
		t.Errorf("got %q to %s, id %s", m.Subject, m.Address, m.ID)
	}
}

func TestTheMailOfARevocationSaysWhoDidItOrWhy(t *testing.T) {
	for _, tc := range []struct {
		reason store.RevokeReason
		by     string
		want   string
	}{
		{store.RevokedByAdmin, "Alice Archer", "Why: Alice Archer, an administrator of Acme, ended it."},
		{store.RevokedByAdmin, "", "Why: An administrator of Acme ended it."},
		{store.RevokedByReuse, "", "a key that the client had already replaced was used again"},
		{store.RevokedByReplay, "", "one-time code"},
		{store.RevokedByClerk, "", "You no longer have access to Acme."},
		{store.RevokedByPolicy, "", "A rule of the administrators of Acme"},
		{store.RevokedByOperator, "", "The people who run scaling.cloud ended it."},
	} {
		m := message(store.NoticeRevoked, []*store.NoticedConnection{revoked(tc.reason, tc.by)}, "https://mcp.example")
		if !strings.Contains(m.Text, tc.want) || !strings.Contains(m.Text, "> Claude Code\n  on a computer of yours (127.0.0.1)\n") {
			t.Errorf("%s: got\n%s\nwant %q", tc.reason, m.Text, tc.want)
		}
	}
}

// TestAStrangersNameIsNoLinkNorASentenceOfOurs: the client chose its name, and
// whoever reads the mail must not follow it.
func TestAStrangersNameIsNoLinkNorASentenceOfOurs(t *testing.T) {
	for given, want := range map[string]string{
		"Claude":                        "Claude",
		"Tool 1.2: new":                 "Tool 1.2: new",
		"Sign in at https://evil.com/x": "Sign in at https[:]//evil[.]com/x",
		"evil。com":                      "evil[。]com",
		"call tel:123, ask x@evil.com":  "call tel[:]123, ask x[@]evil[.]com",
		"Claude\r\n\r\nIgnore the rest": "Claude Ignore the rest",
		"\u202eelbisivni":               "elbisivni",
		strings.Repeat("x", 65):         strings.Repeat("x", 63) + "…",
	} {
		m := message(store.NoticeConnected, []*store.NoticedConnection{connection(given, "cursor://anysphere/cb")}, "https://mcp.example")
		if !strings.Contains(m.Text, "\n> "+want+"\n  on a computer of yours (cursor)\n") {
			t.Errorf("%q: got\n%s\nwant %q", given, m.Text, want)
		}
		if strings.Count(m.Text, "://") != 1 || strings.Contains(m.Subject, want) {
			t.Errorf("%q: a link that is not ours, or the name in the subject:\n%s\n%s", given, m.Subject, m.Text)
		}
	}
}

func TestWhatEndedTogetherIsToldTogether(t *testing.T) {
	var many []*store.NoticedConnection
	for range 15 {
		many = append(many, revoked(store.RevokedByOperator, ""))
	}
	m := message(store.NoticeRevoked, many, "https://mcp.example")
	if n := strings.Count(m.Text, "> Claude Code\n"); n != 10 || !strings.Contains(m.Text, "\nand 5 more\n") || m.Subject != "Connections of yours have ended" {
		t.Errorf("got %d names under %q, want 10 and 5 more:\n%s", n, m.Subject, m.Text)
	}
}
