package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"scaling.cloud/mcp/store"
)

// policyValues is the form with its defaults, changed by pairs of a name and a
// value.
func policyValues(pairs ...string) url.Values {
	v := url.Values{"org": {"acme"}, "version": {"0"}, "clients": {"anyone"}, "max_age_days": {""}, "public_updates": {"confirm_when_possible"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

const (
	savePath    = "/settings/policy/save"
	blockClaude = "/settings/policy/block?client=claude&org=acme"
)

func TestAdministratorIsToldWhatAPolicyEndsBeforeItIsSaved(t *testing.T) {
	t.Parallel()
	d := open(t)
	ends := d.connect(bob, acme, redirectingTo("http://127.0.0.1/cb"), func(c *store.Connection) { c.ClientIdentity = "name:x" })
	stays := d.connect(alice, acme)
	elsewhere := d.connect(carol, globex, redirectingTo("http://127.0.0.1/cb"))

	p := d.get(alice, "/settings/policy")
	expectStatus(t, p, http.StatusOK)
	expect(t, "navigation", p.text(`.top nav [aria-current]`), "Policy")
	confirm := d.post(alice, savePath, policyValues("clients", "verified", "max_age_days", "7", "read_only", "yes"))
	expectStatus(t, confirm, http.StatusOK)
	expect(t, "what it does", confirm.text("#consequence"), "1 connection of 1 person will end at once. 1 connection will end earlier, at the new age.")
	if d.isRevoked(ends) || d.policy().Version != 0 {
		t.Fatal("asking changed something")
	}
	saved := d.follow(alice, d.submit(alice, confirm, "Save"))
	expect(t, "notice", saved.text(".notice"), "Saved. 1 connection ended.")
	if !d.isRevoked(ends) || d.isRevoked(stays) || d.isRevoked(elsewhere) || len(d.published) != 1 {
		t.Errorf("revoked %v, %v, %v; published %v", d.isRevoked(ends), d.isRevoked(stays), d.isRevoked(elsewhere), d.published)
	}
	if got := d.policy(); got.Clients != store.ClientsVerified || *got.MaxAgeDays != 7 || !got.ReadOnly {
		t.Errorf("saved %+v", got)
	}
	if saved.Find(`input[value=verified][checked], input[name=max_age_days][value="7"], input[name=read_only][checked]`).Length() != 3 {
		t.Error("the form does not show what was saved")
	}
	expect(t, "to its owner", d.get(bob, "/settings/connections").text("#ended .why"), "Ended by a rule that Alice Archer set for Acme.")
	if d.get(alice, "/settings/policy?saved=7").Find(".notice").Length() != 0 {
		t.Error("a link makes the page say that something was saved")
	}
}

// policy is Acme's, from the database.
func (d *dashboard) policy() *store.Policy {
	d.t.Helper()
	p, err := d.store.Policy(d.t.Context(), acme.ID)
	d.must(err)
	return p
}

func TestAPolicyThatCannotBeComesBackWithWhatWasWritten(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.connect(alice, acme)
	for name, test := range map[string]struct {
		values        url.Values
		problem, says string
	}{
		"no age":                 {policyValues("max_age_days", "never"), "#max-age-problem", "Enter a whole number of days from 1 to 180, or leave it empty."},
		"no time at all":         {policyValues("max_age_days", "0"), "#max-age-problem", "Enter a whole number of days from 1 to 180, or leave it empty."},
		"too old":                {policyValues("max_age_days", "181"), "#max-age-problem", "Enter a whole number of days from 1 to 180, or leave it empty."},
		"half a day":             {policyValues("max_age_days", "1.5"), "#max-age-problem", "Enter a whole number of days from 1 to 180, or leave it empty."},
		"an empty list":          {policyValues("clients", "list"), "#clients-problem", "Tick at least one client, or nobody can connect at all."},
		"a stranger":             {policyValues("clients", "list", "client", "name:stranger"), "#clients-problem", "One of the clients that you ticked has never been connected here. Tick clients of this list."},
		"no such rule":           {policyValues("clients", "everybody"), "#clients-problem", "Choose which clients may connect."},
		"no such public rule":    {policyValues("public_updates", "x"), "#public-problem", "Choose what clients may do with public updates."},
		"confirmed all the same": {policyValues("max_age_days", "0", "confirm", "yes"), "#max-age-problem", "Enter a whole number of days from 1 to 180, or leave it empty."},
	} {
		p := d.post(alice, savePath, test.values)
		expectStatus(t, p, http.StatusUnprocessableEntity)
		expect(t, name, p.text(test.problem), test.says)
		expect(t, name+": age", p.Find("[name=max_age_days]").AttrOr("value", ""), test.values.Get("max_age_days"))
		expect(t, name+": type", p.header.Get("Content-Type"), "text/html; charset=utf-8")
	}
	if d.policy().Version != 0 {
		t.Error("something was saved")
	}
}

func TestAStaleFormSavesNothingAndSaysSo(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(bob, acme)
	confirm := d.post(alice, savePath, policyValues("clients", "list", "client", "claude"))
	d.submit(alice, d.post(alice, savePath, policyValues("read_only", "yes")), "Save")
	for name, p := range map[string]*page{
		"the confirmation": d.submit(alice, confirm, "Save"),
		"the form":         d.post(alice, savePath, policyValues()),
		"no version":       d.post(alice, savePath, policyValues("version", "", "confirm", "yes")),
	} {
		expectStatus(t, p, http.StatusConflict)
		if got := p.text(".notice"); !strings.HasPrefix(got, "Nothing was saved: somebody changed the policy") {
			t.Errorf("%s: notice %q", name, got)
		}
		if p.Find("[name=read_only][checked]").Length() != 1 || p.Find("[name=version]").AttrOr("value", "") != "1" {
			t.Errorf("%s: the page does not show the policy as it is", name)
		}
	}
	if got := d.policy(); got.Version != 1 || got.Clients != store.ClientsAnyone || d.isRevoked(id) {
		t.Errorf("the policy is %+v", got)
	}
}

func TestAClientIsBlockedInTwoClicksAndUnblockedInOne(t *testing.T) {
	t.Parallel()
	d := open(t)
	live := d.connect(bob, acme)
	elsewhere := d.connect(alice, globex)
	confirm := d.get(alice, blockClaude)
	expect(t, "heading", confirm.text("h1"), "Block Claude?")
	expect(t, "what it does", confirm.text("#consequence"), "1 connection of 1 person in Acme will end at once.")
	if d.isRevoked(live) {
		t.Fatal("a GET blocked it")
	}
	p := d.follow(alice, d.submit(alice, confirm, "Block"))
	expect(t, "blocked", p.text("#blocked [data-client] .client-name"), "Claude")
	if !d.isRevoked(live) || d.isRevoked(elsewhere) || len(d.published) != 1 {
		t.Errorf("revoked %v, elsewhere %v, published %v", d.isRevoked(live), d.isRevoked(elsewhere), d.published)
	}
	stale := d.get(alice, blockClaude)
	expect(t, "again", stale.text("h1"), "Claude is blocked")
	expectStatus(t, d.submit(alice, confirm, "Block"), http.StatusSeeOther)
	unblocked := d.follow(alice, d.submit(alice, p, "Unblock Claude"))
	if unblocked.Find("#blocked [data-client]").Length() != 0 {
		t.Error("it is still blocked")
	}
	expectStatus(t, d.submit(alice, p, "Unblock Claude"), http.StatusSeeOther)
}

// To everybody but its administrators an organization has no policy, whatever
// they ask for and however.
func TestThePolicyIsForAdministratorsAlone(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.connect(bob, acme)
	none, err := d.get(bob, "/settings/nothing").Html()
	d.must(err)
	form := policyValues("confirm", "yes", "clients", "verified", "client", "claude")
	refused := func(who, user string, status int) {
		t.Helper()
		for _, target := range []string{"/settings/policy?org=acme", "/settings/policy/block?org=acme&client=claude"} {
			p := d.get(user, target)
			expectStatus(t, p, status)
			if html, _ := p.Html(); status == http.StatusNotFound && html != none {
				t.Errorf("%s: GET %s differs from a page that does not exist", who, target)
			}
		}
		for _, path := range []string{savePath, "/settings/policy/block", "/settings/policy/unblock"} {
			for _, query := range []string{"", "?org=acme", "?org=globex"} {
				expectStatus(t, d.post(user, path+query, form), status)
			}
		}
	}
	refused("a member", bob, http.StatusNotFound)
	refused("another organization's administrator", carol, http.StatusNotFound)
	expectStatus(t, d.get(bob, "/settings/policy"), http.StatusNotFound)
	if strings.Contains(d.get(bob, "/settings/connections").text(".top nav"), "Policy") {
		t.Error("a member is offered the policy")
	}
	d.roles[alice][0].Role = store.RoleMember
	refused("demoted meanwhile", alice, http.StatusNotFound)
	d.roles[alice][0].Role = store.RoleAdmin
	d.clerkAway = true
	refused("while Clerk is away", alice, http.StatusServiceUnavailable)
	d.clerkAway = false
	// A client of another organization's is none of Acme's.
	d.connect(carol, globex, func(c *store.Connection) { c.ClientIdentity = "other" })
	expectStatus(t, d.get(alice, "/settings/policy/block?org=acme&client=other"), http.StatusNotFound)
	expectStatus(t, d.post(alice, "/settings/policy/block", url.Values{"org": {"acme"}, "client": {"other"}}), http.StatusNotFound)
	for _, path := range []string{savePath, "/settings/policy/block", "/settings/policy/unblock"} {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		expectStatus(t, d.do(alice, r), http.StatusForbidden)
	}
	if d.policy().Version != 0 || d.isRevoked(id) {
		t.Error("something was changed")
	}
}
