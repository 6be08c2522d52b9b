package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/store"
)

func TestMineSpansAllOrganizations(t *testing.T) {
	t.Parallel()
	d := open(t)
	inAcme := d.connect(alice, acme)
	inGlobex := d.connect(alice, globex)
	d.connect(bob, acme)
	d.connect(alice, acme, func(c *store.Connection) { c.ConnectedAt = nil }) // its code is not redeemed

	p := d.get(alice, "/settings/connections")
	expectStatus(t, p, http.StatusOK)
	if got, want := len(p.connections("#connections")), 2; got != want {
		t.Errorf("got %d connections, want %d", got, want)
	}
	for id, org := range map[string]string{inAcme.String(): "Acme", inGlobex.String(): "Globex"} {
		expect(t, "organization", p.text(`[data-connection="`+id+`"] [data-label="Organization"]`), org)
	}
}

func TestRowSaysWhatAPersonAsks(t *testing.T) {
	t.Parallel()
	d := open(t)
	used := now.Add(-5 * time.Minute)
	d.connect(alice, acme, func(c *store.Connection) {
		c.LastUsedAt = &used
		c.Scopes = []string{store.ScopeIncidentsRead, store.ScopeIncidentsPublish}
	})
	p := d.get(alice, "/settings/connections")

	expect(t, "client", p.text("#connections .client .client-name"), "Claude")
	expect(t, "proof", p.text("#connections .client .badge"), "Verified")
	expect(t, "host", p.text("#connections .client > p:last-child"), "claude.ai")
	scopes := p.Find("#connections .scopes li").Map(func(_ int, li *goquery.Selection) string { return li.Text() })
	want := []string{"See incidents and their timelines", "Publish updates on your public status page"}
	if diff := cmp.Diff(want, scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	for label, times := range map[string][3]string{
		"First connected": {"3 days ago", "2026-11-19T12:00:00Z", "19 November 2026, 12:00 UTC"},
		"Last used":       {"5 minutes ago", "2026-11-22T11:55:00Z", "22 November 2026, 11:55 UTC"},
	} {
		when := p.Find(`#connections [data-label="` + label + `"] time`).First()
		got := [3]string{when.Text(), when.AttrOr("datetime", ""), when.AttrOr("title", "")}
		if got != times {
			t.Errorf("%s: got %q, want %q", label, got, times)
		}
	}
	expect(t, "expiry", p.text(`#connections [data-label="First connected"] .fine`), "until 21 May 2027")
}

func TestClientIsVerifiedOnlyWhereItsAnswerGoesToAHost(t *testing.T) {
	t.Parallel()
	verified := func(c *store.Connection) { c.ClientVerified = true }
	for _, test := range []struct{ name, redirectURI, badge, says string }{
		{"host, not proven", "https://tools.example.org/cb", "Unverified", "tools.example.org"},
		{"loopback", "http://localhost:5123/callback", "Local app", "Says it is Tool, on your computer (localhost)"},
		{"loopback address", "http://[::1]:5123/callback", "Local app", "Says it is Tool, on your computer (::1)"},
		{"private-use scheme", "cursor://anysphere.cursor-mcp/cb", "Local app", "Says it is Tool, on your computer (cursor://)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			changes := []func(*store.Connection){named("Tool"), redirectingTo(test.redirectURI)}
			if test.badge == "Local app" {
				changes = append(changes, verified) // even then
			}
			d.connect(alice, acme, changes...)
			p := d.get(alice, "/settings/connections")
			expect(t, "badge", p.text("#connections .client .badge"), test.badge)
			expect(t, "text", p.text("#connections .client > p:last-child"), test.says)
		})
	}
}

func TestEmptyPageLeadsToTheGuide(t *testing.T) {
	t.Parallel()
	d := open(t)
	p := d.get(bob, "/settings/connections")
	expectStatus(t, p, http.StatusOK)
	expect(t, "link", p.Find(".empty a").AttrOr("href", ""), "/settings/connect")
	if p.Find("table").Length() > 0 {
		t.Error("an empty page has a table")
	}
}

func TestAdministratorSeesTheWholeOrganization(t *testing.T) {
	t.Parallel()
	d := open(t)
	bobs := d.connect(bob, acme).String()
	alices := d.connect(alice, acme).String()
	d.connect(carol, globex)

	for _, target := range []string{
		"/settings/connections?view=organization", // the first that she administers
		"/settings/connections?view=organization&org=acme",
		"/settings/connections?org=acme",
	} {
		p := d.get(alice, target)
		expectStatus(t, p, http.StatusOK)
		if got, want := len(p.connections("#connections")), 2; got != want {
			t.Errorf("%s: got %d connections, want %d", target, got, want)
		}
		expect(t, "person", p.text(`[data-connection="`+bobs+`"] [data-label="Person"]`), "Bob Baker bob@example.com")
		expect(t, "oneself", p.text(`[data-connection="`+alices+`"] [data-label="Person"] .badge`), "You")
		expect(t, "tab", p.text(`.tabs [aria-current="page"]`), "Organization")
	}
}

func TestSwitcherListsOnlyAdministeredOrganizations(t *testing.T) {
	t.Parallel()
	d := open(t)
	if links := d.get(alice, "/settings/connections?view=organization").Find(`nav[aria-label="Organization"] a`); links.Length() > 0 {
		t.Error("a switcher with one organization")
	}
	d.roles[alice][1].Role = store.RoleAdmin
	p := d.get(alice, "/settings/connections?view=organization&org=globex")
	links := p.Find(`nav[aria-label="Organization"] a`).Map(func(_ int, a *goquery.Selection) string { return a.Text() })
	if diff := cmp.Diff([]string{"Acme", "Globex"}, links); diff != "" {
		t.Errorf("switcher (-want +got):\n%s", diff)
	}
	expect(t, "current", p.text(`nav[aria-label="Organization"] [aria-current]`), "Globex")
}

func TestMemberNeverSeesAnOrganization(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.connect(alice, acme)
	d.connect(carol, globex)
	for _, test := range []struct{ user, query string }{
		{bob, "view=organization"},          // administers nothing
		{bob, "view=organization&org=acme"}, // a member
		{bob, "org=acme"},
		{alice, "org=globex"}, // administers another
		{carol, "org=acme"},   // not in it
		{carol, "org=nobody"}, // no such organization
	} {
		p := d.get(test.user, "/settings/connections?"+test.query)
		expectStatus(t, p, http.StatusNotFound)
		if n := len(p.connections("body")); n > 0 {
			t.Errorf("%s got %d connections at ?%s", test.user, n, test.query)
		}
	}
	if d.get(bob, "/settings/connections").Find(".tabs").Length() > 0 {
		t.Error("a member is offered the organization")
	}
}

func TestRoleIsReadAnewForEachPage(t *testing.T) {
	t.Parallel()
	d := open(t)
	expectStatus(t, d.get(alice, "/settings/connections?org=acme"), http.StatusOK)
	d.roles[alice][0].Role = store.RoleMember
	expectStatus(t, d.get(alice, "/settings/connections?org=acme"), http.StatusNotFound)
}

func TestClerkAwayLeavesOnesOwnConnections(t *testing.T) {
	t.Parallel()
	d := open(t)
	mine := d.connect(alice, acme)
	bobs := d.connect(bob, acme)
	d.clerkAway = true

	p := d.get(alice, "/settings/connections")
	expectStatus(t, p, http.StatusOK)
	if diff := cmp.Diff([]string{mine.String()}, p.connections("#connections")); diff != "" {
		t.Errorf("own connections (-want +got):\n%s", diff)
	}
	if p.Find(".notice").Length() != 1 || p.Find(".tabs").Length() != 0 {
		t.Error("the page does not say that it shows one's own connections only")
	}
	expectStatus(t, d.get(alice, connectionPath(mine)), http.StatusOK)

	for _, target := range []string{"/settings/connections?org=acme", "/settings/connections?view=organization", connectionPath(bobs)} {
		p := d.get(alice, target)
		expectStatus(t, p, http.StatusServiceUnavailable)
		if strings.Contains(p.Text(), "503:") || !strings.Contains(d.log.String(), "clerk: 503") {
			t.Errorf("%s: the cause belongs in the log, not on the page", target)
		}
		expect(t, "Retry-After", p.header.Get("Retry-After"), "30")
	}
}

func TestEndedConnectionSaysWhyInPlainWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		change     func(*store.Connection)
		mine, orgs string // as its owner reads it, and as the administrator does
	}{
		{revoked(store.RevokedByUser, bob), "You revoked it.", "Revoked by Bob Baker."},
		{revoked(store.RevokedByAdmin, alice), "Revoked by Alice Archer, an administrator of Acme.", "You revoked it, as an administrator of Acme."},
		{revoked(store.RevokedByClient, ""), "Claude disconnected itself, as clients do when you sign out of them.", ""},
		{revoked(store.RevokedByReuse, ""), "Ended for safety: a key that Claude had already replaced was used again, which can mean that somebody copied it.", ""},
		{revoked(store.RevokedByReplay, ""), "Ended for safety: the one-time code that made this connection was used a second time.", ""},
		{revoked(store.RevokedByClerk, ""), "Ended because you no longer have access to Acme.", "Ended because Bob Baker no longer has access to Acme."},
		{revoked(store.RevokedByPolicy, ""), "Ended by a rule of Acme’s administrators.", ""},
		{revoked(store.RevokedSuperseded, ""), "Replaced when you connected Claude again.", "Replaced when Bob Baker connected Claude again."},
		{revoked(store.RevokedByOperator, ""), "Ended by the people who run scaling.cloud.", ""},
		{func(c *store.Connection) { c.ExpiresAt = now.Add(-time.Hour) }, "It reached its maximum age.", ""},
	} {
		t.Run(test.mine, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			id := d.connect(bob, acme, test.change)
			p := d.get(bob, "/settings/connections")
			expect(t, "to its owner", p.text("#ended .why"), test.mine)
			if p.Find("#connections").Length() > 0 {
				t.Error("it is listed as connected")
			}
			if test.orgs != "" {
				expect(t, "to the administrator", d.get(alice, "/settings/connections?org=acme").text("#ended .why"), test.orgs)
			}
			detail := d.get(bob, connectionPath(id))
			if !strings.Contains(detail.text(".notice"), test.mine) {
				t.Errorf("its own page says %q, want it to hold %q", detail.text(".notice"), test.mine)
			}
			if detail.Find("form[action$=revoke]").Length() > 0 {
				t.Error("it can be revoked again")
			}
		})
	}
}

func TestRevokedConnectionIsShownFor90Days(t *testing.T) {
	t.Parallel()
	d := open(t)
	at := func(ago time.Duration) func(*store.Connection) {
		return func(c *store.Connection) {
			revoked(store.RevokedByUser, alice)(c)
			at := now.Add(-ago)
			c.RevokedAt = &at
		}
	}
	shown := d.connect(alice, acme, at(store.EndedShownFor-time.Hour))
	gone := d.connect(alice, acme, at(store.EndedShownFor+time.Hour))
	p := d.get(alice, "/settings/connections")
	if diff := cmp.Diff([]string{shown.String()}, p.connections("#ended")); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
	expectStatus(t, d.get(alice, connectionPath(gone)), http.StatusNotFound)
}
