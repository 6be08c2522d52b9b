package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

const revokeAllPath = "/settings/connections/revoke"

// revokeAll follows the first link of the list that revokes all, within selector.
func (d *dashboard) revokeAll(user, target, selector string) *page {
	d.t.Helper()
	link := d.get(user, target).Find(selector + ` a[href^="` + revokeAllPath + `"]`)
	href, ok := link.Attr("href")
	if !ok || !strings.HasPrefix(strings.TrimSpace(link.Text()), "Revoke all of ") {
		d.t.Fatalf("%s has no way to revoke all", target)
	}
	p := d.get(user, href)
	expectStatus(d.t, p, http.StatusOK)
	return p
}

// expectLive fails the test unless these live and those do not.
func (d *dashboard) expectLive(live, ended []uuid.UUID) {
	d.t.Helper()
	for _, id := range live {
		if d.isRevoked(id) {
			d.t.Errorf("%s was revoked", id)
		}
	}
	for _, id := range ended {
		if !d.isRevoked(id) {
			d.t.Errorf("%s lives", id)
		}
	}
}

func TestPersonRevokesAllOfAClient(t *testing.T) {
	t.Parallel()
	d := open(t)
	ended := []uuid.UUID{d.connect(alice, acme), d.connect(alice, globex)}
	live := []uuid.UUID{d.connect(alice, acme, ofClient("other", "Other")), d.connect(bob, acme)}

	confirm := d.revokeAll(alice, list, `[data-client="claude"]`)
	expect(t, "heading", confirm.text("h1"), "Revoke all of Claude?")
	expect(t, "what stops", confirm.text("#revoke p strong"), "2 connections in Acme and Globex stop at once.")
	d.expectLive(append(live, ended...), nil)

	p := d.follow(alice, d.submit(alice, confirm, "Revoke all"))
	expect(t, "notice", p.text(".notice"), "Revoked. 2 connections of Claude have ended.")
	d.expectLive(live, ended)
	if len(d.published) != 2 {
		t.Errorf("published %d revocations, want 2", len(d.published))
	}
	expect(t, "why", p.text("#ended tr:nth-child(1) .why"), "You revoked it.")
}

func TestPersonRevokesAllOfTheirs(t *testing.T) {
	t.Parallel()
	d := open(t)
	pending := d.connect(alice, acme, func(c *store.Connection) { c.ConnectedAt = nil }) // its code is on its way
	ended := []uuid.UUID{d.connect(alice, acme), d.connect(alice, globex, ofClient("other", "Other")), pending}
	live := []uuid.UUID{d.connect(bob, acme), d.connect(carol, globex)}

	confirm := d.revokeAll(alice, list, ".head")
	expect(t, "heading", confirm.text("h1"), "Revoke all your connections?")
	p := d.follow(alice, d.submit(alice, confirm, "Revoke all"))
	expect(t, "notice", p.text(".notice"), "Revoked. 2 connections of 2 clients have ended.")
	d.expectLive(live, ended)
	if p.Find(`a[href^="`+revokeAllPath+`"]`).Length() > 0 {
		t.Error("there is still something to revoke")
	}
}

func TestAdministratorRevokesAllOfAClient(t *testing.T) {
	t.Parallel()
	d := open(t)
	claudes := []uuid.UUID{d.connect(alice, acme), d.connect(bob, acme)}
	bobs := d.connect(bob, acme, ofClient("other", "Other"))
	elsewhere := d.connect(alice, globex)

	confirm := d.revokeAll(alice, list+"?org=acme", `[data-client="claude"]`)
	expect(t, "what stops", confirm.text("#revoke p strong"), "2 connections of 2 people in Acme stop at once.")
	p := d.follow(alice, d.submit(alice, confirm, "Revoke all"))
	expect(t, "tab", p.text(`.tabs [aria-current="page"]`), "Organization")
	expect(t, "notice", p.text(".notice"), "Revoked. 2 connections of Claude have ended.")
	d.expectLive([]uuid.UUID{bobs, elsewhere}, claudes)
	expect(t, "to its owner", d.get(bob, list).text("#ended .why"), "Revoked by Alice Archer, an administrator of Acme.")
}

func TestAdministratorRevokesAllOfAMember(t *testing.T) {
	t.Parallel()
	d := open(t)
	bobs := d.connect(bob, acme, ofClient("other", "Other"))
	live := []uuid.UUID{d.connect(alice, acme), d.connect(bob, globex)}

	confirm := d.revokeAll(alice, list+"?org=acme&member="+bob, "#narrowed")
	expect(t, "heading", confirm.text("h1"), "Revoke all of Bob Baker?")
	expect(t, "what stops", confirm.text("#revoke p strong"), "1 connection of 1 person in Acme stops at once.")
	p := d.follow(alice, d.submit(alice, confirm, "Revoke all"))
	expect(t, "notice", p.text(".notice"), "Revoked. 1 connection of Other has ended.")
	d.expectLive(live, []uuid.UUID{bobs})
}

func TestNobodyRevokesAllOfAnothers(t *testing.T) {
	t.Parallel()
	d := open(t)
	live := []uuid.UUID{d.connect(alice, acme), d.connect(bob, acme), d.connect(carol, globex)}
	for _, test := range []struct{ name, user, values string }{
		{"a member, the organization's", bob, "view=organization&org=acme&client=claude"},
		{"a member, by slug alone", bob, "org=acme&client=claude"},
		{"a member, of an organization that is not said", bob, "view=organization&client=claude"},
		{"a member, another's", bob, "org=acme&member=" + alice},
		{"another organization's administrator", carol, "org=acme&client=claude"},
		{"an administrator, another organization's", alice, "org=globex&client=claude"},
		{"no such organization", alice, "org=nobody&client=claude"},
		{"an administrator, everything", alice, "view=organization&org=acme"},
	} {
		values, err := url.ParseQuery(test.values)
		d.must(err)
		expectStatus(t, d.get(test.user, revokeAllPath+"?"+test.values), http.StatusNotFound)
		for _, p := range []*page{d.post(test.user, revokeAllPath, values), d.post(test.user, revokeAllPath+"?"+test.values, url.Values{})} {
			if p.status != http.StatusNotFound {
				t.Errorf("%s: got status %d, want 404", test.name, p.status)
			}
		}
	}
	// Naming somebody else among one's own ends one's own.
	d.post(alice, revokeAllPath, url.Values{"client": {"other"}, "member": {bob}, "user_id": {bob}, "org_id": {acme.ID}})
	d.expectLive(live, nil)
	if len(d.published) > 0 {
		t.Error("something was revoked")
	}
}

func TestRevokeAllThatIsStaleSaysSo(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.connect(bob, acme)
	d.connect(bob, acme)
	confirm := d.revokeAll(bob, list, "#connections")
	d.submit(alice, d.revokeAll(alice, list+"?org=acme", "#connections"), "Revoke all")

	answer := d.submit(bob, confirm, "Revoke all")
	expect(t, "Location", answer.header.Get("Location"), revokeAllPath+"?client=claude")
	p := d.follow(bob, answer)
	if got := p.text(".notice"); !strings.Contains(got, "already ended") {
		t.Errorf("got %q", got)
	}
	if p.Find("form[action='"+revokeAllPath+"']").Length() > 0 {
		t.Error("they can be revoked again")
	}
	expect(t, "who was first", d.get(bob, list).Find("#ended .why").First().Text(), "Revoked by Alice Archer, an administrator of Acme.")
}

func TestRevokeAllThatIsNotConfirmedSaysSo(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.connect(alice, acme)
	d.connect(alice, globex)
	d.redisAway = true
	answer := d.submit(alice, d.revokeAll(alice, list, ".head"), "Revoke all")
	p := d.follow(alice, answer)
	expect(t, "notice", p.text(".notice strong"), "2 connections end within a minute.")
	d.must(d.store.ConfirmRevocations(t.Context(), d.published, now))
	expect(t, "later", d.follow(alice, answer).text(".notice"), "Revoked. 2 connections of Claude have ended.")
}

func TestNoticeOfRevokeAllCannotBeForged(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(bob, acme, revoked(store.RevokedByUser, bob))
	var at int64
	d.must(d.store.Pool().QueryRow(t.Context(), `SELECT (extract(epoch FROM revoked_at) * 1e6)::bigint FROM connections WHERE id = $1`, id).Scan(&at))
	if got := d.get(bob, list+"?together="+strconv.FormatInt(at, 10)).text(".notice"); got != "Revoked. 1 connection of Claude has ended." {
		t.Errorf("to who did it: %q", got)
	}
	for _, named := range []string{strconv.FormatInt(at, 10), "0", "-1", "9223372036854775807", "99999999999999999999", "Your account is closed", ""} {
		p := d.get(alice, list+"?together="+url.QueryEscape(named))
		expectStatus(t, p, http.StatusOK)
		if p.Find(".notice").Length() > 0 {
			t.Errorf("?together=%s: notice %q", named, p.text(".notice"))
		}
	}
}

func TestAnotherSiteCannotRevokeAll(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(alice, acme)
	r := httptest.NewRequest(http.MethodPost, revokeAllPath, nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	expectStatus(t, d.do(alice, r), http.StatusForbidden)
	d.expectLive([]uuid.UUID{id}, nil)
}

func TestRevokeAllInAnOrganizationWaitsForClerk(t *testing.T) {
	t.Parallel()
	d := open(t)
	bobs, alices := d.connect(bob, acme), d.connect(alice, acme)
	d.clerkAway = true
	expectStatus(t, d.post(alice, revokeAllPath, url.Values{"org": {"acme"}, "client": {"claude"}}), http.StatusServiceUnavailable)
	d.expectLive([]uuid.UUID{bobs, alices}, nil)
	expectStatus(t, d.post(alice, revokeAllPath, url.Values{}), http.StatusSeeOther) // one's own
	d.expectLive([]uuid.UUID{bobs}, []uuid.UUID{alices})
}
