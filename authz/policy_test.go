package authz_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/store"
)

// meet makes Acme know the client that claude.ai is, which can then be blocked.
func (s *server) meet() {
	s.t.Helper()
	s.register(claudeRedirect).connect()
}

func (s *server) block(orgID string) (revoked int) {
	s.t.Helper()
	r, err := s.store.BlockClient(s.t.Context(), store.BlockChange{OrgID: orgID, By: "user_alice", ClientIdentity: "catalogue:claude"}, s.clock.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return len(r)
}

func (s *server) decide(p store.Policy) {
	s.t.Helper()
	if _, err := s.store.ChangePolicy(s.t.Context(), store.PolicyChange{OrgID: acme.ID, By: "user_alice", Policy: p}, s.clock.Now()); err != nil {
		s.t.Fatal(err)
	}
}

// TestABlockedOrganizationCannotBeChosen, on the page or past it, and says who
// decided so. Another organization can.
func TestABlockedOrganizationCannotBeChosen(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.meet()
	c := s.register(claudeRedirect)
	before, _ := c.consentPage(c.request())
	s.block(acme.ID)

	page, _ := c.consentPage(c.request())
	doc := page.page(t)
	label := doc.Find(`label:has(input[name=org_id][value="` + acme.ID + `"])`)
	if label.Find("input[disabled]:not([checked])").Length() != 1 || strings.TrimSpace(label.Find("small").Text()) != "The administrators of Acme have blocked this client." {
		t.Errorf("the blocked organization is shown as %q", label.Text())
	}
	if doc.Find(`input[name=org_id][value="`+globex.ID+`"]:not([disabled])`).Length() != 1 {
		t.Error("another organization cannot be chosen")
	}

	// The page was shown before the block; a form is the browser's to change.
	again := s.post(s.browser, "/oauth/consent", form(t, before))
	if again.StatusCode != http.StatusUnprocessableEntity || again.Header.Get("Location") != "" {
		t.Fatalf("posted all the same: %d, Location %q", again.StatusCode, again.Header.Get("Location"))
	}
	if got := again.page(t).Find("fieldset small").Text(); got != "The administrators of Acme have blocked this client." {
		t.Errorf("then the page says %q", got)
	}
	posted := form(t, again)
	posted.Set("org_id", globex.ID)
	if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), claudeRedirect+"?code=") {
		t.Errorf("another organization from the same page: %d %q", a.StatusCode, a.Header.Get("Location"))
	}
}

func TestWhereNobodyAllowsItThePageNamesTheDecision(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		redirectURI string
		decide      func(*server)
		heading     string
		reason      string
	}{
		"blocked": {claudeRedirect, func(s *server) { s.meet(); s.block(acme.ID) }, "Claude is not allowed", "The administrators of Acme have blocked this client."},
		"unverified": {"http://127.0.0.1/cb", func(s *server) {
			s.decide(store.Policy{Clients: store.ClientsVerified, PublicUpdates: store.PublicUpdatesAllow})
		}, "“Test client” is not allowed", "The administrators of Acme allow verified clients only."},
		"no list": {claudeRedirect, func(s *server) {
			s.decide(store.Policy{Clients: store.ClientsOnList, PublicUpdates: store.PublicUpdatesAllow})
		}, "Claude is not allowed", "The administrators of Acme have not put this client on their list."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			row.decide(s)
			s.people.change(func(p *people) { p.memberships = p.memberships[:1] })
			c := s.register(row.redirectURI)
			page, _ := c.consentPage(c.request())
			doc := page.page(t)
			if got := doc.Find("h1").Text(); page.StatusCode != http.StatusOK || got != row.heading {
				t.Errorf("%d %q, want %q", page.StatusCode, got, row.heading)
			}
			if got := strings.TrimSpace(doc.Find(".notice").Text()); got != row.reason {
				t.Errorf("the page says %q, want %q", got, row.reason)
			}
			if doc.Find("[value=allow], [name=org_id], [name=scope]").Length() != 0 {
				t.Error("there is something to allow")
			}
			posted := form(t, page)
			if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("allowed all the same: %d", a.StatusCode)
			}
			posted.Set("action", "deny")
			if a := s.post(s.browser, "/oauth/consent", posted); !strings.Contains(a.Header.Get("Location"), "error=access_denied") {
				t.Errorf("the client is told %q", a.Header.Get("Location"))
			}
		})
	}
}

func TestACodeAndATokenEndWithTheBlock(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	tk := c.connect()
	code := c.allow(nil).Get("code")
	if n := s.block(acme.ID); n != 2 {
		t.Errorf("%d connections ended, want the live and the pending one", n)
	}
	for what, a := range map[string]answer{"a code": c.token(c.redemption(code)), "a refresh token": c.refresh(tk.Refresh)} {
		if got := a.json(t)["error"]; a.StatusCode != http.StatusBadRequest || got != "invalid_grant" {
			t.Errorf("%s: %d %v, want invalid_grant", what, a.StatusCode, got)
		}
	}
	if s.live(tk.Access) {
		t.Error("the access token's connection lives")
	}
	if err := s.store.UnblockClient(t.Context(), store.BlockChange{OrgID: acme.ID, By: "user_alice", ClientIdentity: "catalogue:claude"}, s.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if a := c.refresh(tk.Refresh); a.StatusCode != http.StatusBadRequest {
		t.Errorf("after it was allowed again the old token works: %d", a.StatusCode)
	}
	c.connect()
}

// TestNoTokenOutlivesThePolicysAge: neither one that is issued afterwards nor the
// connection that one rests on which was issued before.
func TestNoTokenOutlivesThePolicysAge(t *testing.T) {
	t.Parallel()
	s := start(t)
	before := s.register(claudeRedirect).connect()
	day := 1
	s.decide(store.Policy{Clients: store.ClientsAnyone, PublicUpdates: store.PublicUpdatesAllow, MaxAgeDays: &day})
	c := s.register("http://127.0.0.1/cb")
	tk := c.connect()
	made := s.clock.Now()
	for name, access := range map[string]string{"before": before.Access, "after": tk.Access} {
		state, err := s.store.ConnectionState(t.Context(), s.claims(access).ConnectionID)
		if err != nil || state.ExpiresAt.After(made.Add(24*time.Hour)) {
			t.Errorf("connected %s: %v, expires at %v, made at %v", name, err, state.ExpiresAt, made)
		}
	}
	s.clock.advance(24*time.Hour - 10*time.Minute)
	tk = c.refresh(tk.Refresh).tokens(t)
	if tk.Expires > 600 {
		t.Errorf("ten minutes before its end it gets a token for %d seconds", tk.Expires)
	}
	s.clock.advance(10 * time.Minute)
	if got := c.refresh(tk.Refresh).json(t)["error"]; got != "invalid_grant" {
		t.Errorf("at its end: %v, want invalid_grant", got)
	}
}
