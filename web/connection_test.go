package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

func connectionPath(id uuid.UUID) string { return "/settings/connections/" + id.String() }

func TestPersonRevokesTheirOwnInTwoClicks(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(alice, acme)
	other := d.connect(alice, acme)

	list := d.get(alice, "/settings/connections")
	href := list.Find(`[data-connection="`+id.String()+`"] .do a`).AttrOr("href", "")
	confirm := d.get(alice, href)
	expectStatus(t, confirm, http.StatusOK)
	if d.isRevoked(id) {
		t.Fatal("a GET revoked it")
	}
	list = d.follow(alice, d.submit(alice, confirm, "Revoke"))
	expect(t, "notice", list.text(".notice"), "Revoked. Claude can no longer reach Acme.")
	expect(t, "why", list.text("#ended .why"), "You revoked it.")
	if !d.isRevoked(id) || d.isRevoked(other) {
		t.Errorf("revoked: %v, and the other: %v", d.isRevoked(id), d.isRevoked(other))
	}
	if len(d.published) != 1 || d.published[0].ConnectionID != id || d.published[0].Epoch != 1 {
		t.Errorf("published %v", d.published)
	}
}

func TestConfirmationSaysWhatStops(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(bob, acme, func(c *store.Connection) {
		c.Scopes = []string{store.ScopeIncidentsRead, store.ScopeOfflineAccess}
	})
	expect(t, "to its owner", d.get(bob, connectionPath(id)).text("#revoke p:first-of-type"),
		"Claude stops at once. In Acme, it can no longer do this in your name:")
	p := d.get(alice, connectionPath(id))
	expect(t, "to the administrator", p.text("#revoke p:first-of-type"),
		"Claude stops at once. In Acme, it can no longer do this in the name of Bob Baker:")
	expect(t, "what stops", p.text("#revoke .scopes"), "See incidents and their timelines")
}

func TestAdministratorRevokesAnybodys(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(bob, acme)
	list := d.get(alice, "/settings/connections?view=organization&org=acme")
	confirm := d.get(alice, list.Find("#connections .do a").AttrOr("href", ""))
	list = d.follow(alice, d.submit(alice, confirm, "Revoke"))

	expect(t, "tab", list.text(`.tabs [aria-current="page"]`), "Organization")
	expect(t, "notice", list.text(".notice"), "Revoked. Claude can no longer reach Acme.")
	if !d.isRevoked(id) {
		t.Error("it lives")
	}
	expect(t, "to its owner", d.get(bob, "/settings/connections").text("#ended .why"),
		"Revoked by Alice Archer, an administrator of Acme.")
}

// The answer to an id that exists and is another's is the same, byte for byte,
// as the answer to one that does not.
func TestAnothersConnectionCannotBeToldFromNone(t *testing.T) {
	t.Parallel()
	d := open(t)
	alices := d.connect(alice, acme)
	carols := d.connect(carol, globex)
	pending := d.connect(bob, acme, func(c *store.Connection) { c.ConnectedAt = nil })
	none, err := d.get(bob, connectionPath(uuid.New())).Html()
	d.must(err)

	for _, test := range []struct {
		name, user, id string
	}{
		{"a member, the administrator's", bob, alices.String()},
		{"another organization's", bob, carols.String()},
		{"an administrator, another organization's", alice, carols.String()},
		{"another organization's administrator", carol, alices.String()},
		{"pending, one's own", bob, pending.String()},
		{"no such id", bob, uuid.NewString()},
		{"not an id", bob, "1"},
		{"an id in braces", alice, "%7B" + alices.String() + "%7D"},
		{"an id in capitals", alice, strings.ToUpper(alices.String())},
		{"an id without hyphens", alice, strings.ReplaceAll(alices.String(), "-", "")},
		{"a URN", alice, "urn:uuid:" + alices.String()},
		{"SQL", bob, url.PathEscape("' OR true --")},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, query := range []string{"", "?view=organization", "?view=organization&org=acme"} {
				target := "/settings/connections/" + test.id
				p := d.get(test.user, target+query)
				expectStatus(t, p, http.StatusNotFound)
				if html, _ := p.Html(); html != none {
					t.Errorf("GET %s differs from the page of no connection:\n%s", target+query, html)
				}
				p = d.post(test.user, target+"/revoke"+query, url.Values{"view": {"organization"}, "org": {"acme"}})
				expectStatus(t, p, http.StatusNotFound)
				if html, _ := p.Html(); html != none {
					t.Errorf("POST %s differs from the page of no connection:\n%s", target+query, html)
				}
			}
		})
	}
	if len(d.published) > 0 || d.isRevoked(alices) || d.isRevoked(carols) {
		t.Error("something was revoked")
	}
}

func TestRevocationThatIsNotConfirmedSaysSo(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(alice, acme)
	d.redisAway = true
	answer := d.submit(alice, d.get(alice, connectionPath(id)), "Revoke")
	list := d.follow(alice, answer)
	expect(t, "notice", list.text(".notice strong"), "Claude ends within a minute.")
	expect(t, "row", list.text("#ended .when"), "Ends within a minute")
	if strings.Contains(list.text(".notice"), "Revoked.") {
		t.Error("the page says revoked before it is")
	}
	d.must(d.store.ConfirmRevocations(t.Context(), d.published, now))
	expect(t, "later", d.follow(alice, answer).text(".notice"), "Revoked. Claude can no longer reach Acme.")
}

func TestStaleConfirmationSaysWhoWasFirst(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(bob, acme)
	confirm := d.get(bob, connectionPath(id))
	d.submit(alice, d.get(alice, connectionPath(id)), "Revoke")

	answer := d.submit(bob, confirm, "Revoke")
	expect(t, "Location", answer.header.Get("Location"), connectionPath(id))
	p := d.follow(bob, answer)
	expectStatus(t, p, http.StatusOK)
	expect(t, "status", p.text("h1 .badge"), "Revoked")
	if got := p.text(".notice"); !strings.Contains(got, "already ended") || !strings.Contains(got, "Revoked by Alice Archer") {
		t.Errorf("got %q", got)
	}
	if len(d.published) != 1 {
		t.Errorf("published %d revocations, want 1", len(d.published))
	}
}

// A link that somebody else made can name any connection: it makes the page say
// nothing that the viewer did not do.
func TestNoticeCannotBeForged(t *testing.T) {
	t.Parallel()
	d := open(t)
	live := d.connect(alice, acme)
	byAdmin := d.connect(alice, globex, revoked(store.RevokedByAdmin, carol))
	others := d.connect(bob, acme, revoked(store.RevokedByUser, bob))
	for _, named := range []string{live.String(), byAdmin.String(), others.String(), "Your account is closed", ""} {
		p := d.get(alice, "/settings/connections?revoked="+url.QueryEscape(named))
		expectStatus(t, p, http.StatusOK)
		if p.Find(".notice").Length() > 0 {
			t.Errorf("?revoked=%s: notice %q", named, p.text(".notice"))
		}
	}
}

func TestAnotherSiteCannotRevoke(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(alice, acme)
	for name, header := range map[string][2]string{
		"cross-site":              {"Sec-Fetch-Site", "cross-site"},
		"same-site":               {"Sec-Fetch-Site", "same-site"},
		"another Origin":          {"Origin", "https://evil.example"},
		"an Origin without a say": {"Origin", "null"},
	} {
		r := httptest.NewRequest(http.MethodPost, connectionPath(id)+"/revoke", nil)
		r.Header.Set(header[0], header[1])
		p := d.do(alice, r)
		if p.status != http.StatusForbidden || d.isRevoked(id) {
			t.Errorf("%s: got status %d, revoked %v", name, p.status, d.isRevoked(id))
		}
		if p.Find("h1").Length() != 1 {
			t.Errorf("%s: the refusal is not a page", name)
		}
	}
}

// TestOnesOwnDoesNotWaitForClerk: a Clerk that hangs must not keep a person from
// ending what is theirs.
func TestOnesOwnDoesNotWaitForClerk(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(bob, acme)
	expectStatus(t, d.get(bob, connectionPath(id)), http.StatusOK)
	expectStatus(t, d.post(bob, connectionPath(id)+"/revoke", url.Values{}), http.StatusSeeOther)
	if !d.isRevoked(id) {
		t.Error("it was not revoked")
	}
	if d.asked != 0 {
		t.Errorf("Clerk was asked %d times", d.asked)
	}
}

func TestFormThatIsTooLargeChangesNothing(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(bob, acme)
	p := d.post(bob, connectionPath(id)+"/revoke", url.Values{"x": {strings.Repeat("x", 70<<10)}})
	expectStatus(t, p, http.StatusBadRequest)
	if d.isRevoked(id) {
		t.Error("it was revoked")
	}
}
