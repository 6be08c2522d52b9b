package authz_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"scaling.cloud/mcp/store"
)

var errAway = errors.New("Clerk is away")

// inGlobex consents for the other organization.
func inGlobex(_, consent url.Values) { consent["org_id"] = []string{globex.ID} }

// wantRefusal fails the test unless a refresh is refused with the code.
func wantRefusal(t *testing.T, what string, a answer, status int, code string) {
	t.Helper()
	if got := a.json(t)["error"]; a.StatusCode != status || got != code {
		t.Errorf("%s: %d %v, want %d %s", what, a.StatusCode, got, status, code)
	}
	if retry := a.Header.Get("Retry-After") != ""; retry != (status == http.StatusServiceUnavailable) {
		t.Errorf("%s: Retry-After is %q", what, a.Header.Get("Retry-After"))
	}
}

// TestRefreshAsksClerkOnceAMinute, and what Clerk says then takes effect.
func TestRefreshAsksClerkOnceAMinute(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	tk := c.connect()
	asked := s.people.count()
	s.clock.advance(store.MembershipAge - time.Microsecond)
	tk = c.refresh(tk.Refresh).tokens(t)
	if got := s.people.count(); got != asked {
		t.Errorf("Clerk was asked %d times for what it said within a minute", got-asked)
	}
	s.clock.advance(time.Microsecond)
	replayed := tk.Refresh
	for range 3 {
		tk = c.refresh(tk.Refresh).tokens(t)
	}
	if got := s.people.count(); got != asked+1 {
		t.Errorf("Clerk was asked %d times after a minute, want once", got-asked)
	}
	s.clock.advance(store.MembershipAge)
	if got := c.refresh(replayed).tokens(t); got.Refresh != tk.Refresh {
		t.Error("the replay is not answered with the unused token")
	}
	if got := s.people.count(); got != asked+2 {
		t.Errorf("Clerk was asked %d times for the replay, want once", got-asked-1)
	}
	// Who holds no good token cannot have Clerk asked.
	s.clock.advance(store.MembershipAge)
	wantRefusal(t, "a stranger", s.register("https://stranger.example/cb").refresh(tk.Refresh), http.StatusBadRequest, "invalid_grant")
	wantRefusal(t, "a token that was changed", c.refresh(tk.Refresh[:len(tk.Refresh)-2]+"AA"), http.StatusBadRequest, "invalid_grant")
	if got := s.people.count(); got != asked+2 {
		t.Errorf("a stranger had Clerk asked %d times", got-asked-2)
	}
}

func TestRefreshEndsWhatClerkHasEnded(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(*people)
		ended  bool // also in the other organization
	}{
		"removed": {func(p *people) { p.memberships = p.memberships[1:] }, false},
		"banned":  {func(p *people) { p.banned = true }, true},
		"deleted": {func(p *people) { p.deleted = true }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c, other := s.register(claudeRedirect), s.register("https://other.example/cb")
			tk := c.connect()
			elsewhere := other.token(other.redemption(other.allow(inGlobex).Get("code"))).tokens(t)
			code := c.allow(nil).Get("code") // consented, not redeemed
			s.people.change(row.change)
			s.clock.advance(30 * time.Second)
			if !s.live(tk.Access) {
				t.Fatal("ended before anybody asked")
			}
			s.clock.advance(30 * time.Second)
			wantRefusal(t, "refresh", c.refresh(tk.Refresh), http.StatusBadRequest, "invalid_grant")
			if s.live(tk.Access) {
				t.Error("the connection is alive")
			}
			if got := s.live(elsewhere.Access); got == row.ended {
				t.Errorf("the connection to the other organization: alive is %v", got)
			}
			wantRefusal(t, "redemption", c.token(c.redemption(code)), http.StatusBadRequest, "invalid_grant")
			want := 2 // with the pending one
			if row.ended {
				want = 3
			}
			if got := s.published.count(); got != want {
				t.Errorf("%d revocations were published, want %d", got, want)
			}
			// Coming back is a matter of consent, not of luck.
			s.people.change(func(p *people) {
				p.banned, p.deleted = false, false
				p.memberships = []store.Membership{{Organization: acme, Role: store.RoleMember}}
			})
			s.clock.advance(time.Hour)
			wantRefusal(t, "refresh once they are back", c.refresh(tk.Refresh), http.StatusBadRequest, "invalid_grant")
			c.connect()
		})
	}
}

// TestRefreshOutlivesAnOutageOfClerk for the lifetime of an access token and an
// hour since its last word. After that the client keeps its token and waits.
func TestRefreshOutlivesAnOutageOfClerk(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	tk := c.connect()
	s.people.change(func(p *people) { p.away = errAway })
	s.clock.advance(time.Hour)
	tk = c.refresh(tk.Refresh).tokens(t)
	s.clock.advance(time.Hour - time.Microsecond)
	used := tk.Refresh
	tk = c.refresh(used).tokens(t)
	s.clock.advance(time.Microsecond)
	wantRefusal(t, "two hours after the last word", c.refresh(tk.Refresh), http.StatusServiceUnavailable, "temporarily_unavailable")
	wantRefusal(t, "a replay, then", c.refresh(used), http.StatusServiceUnavailable, "temporarily_unavailable")
	if !s.live(tk.Access) || s.published.count() != 0 {
		t.Error("an outage ended the connection")
	}
	s.people.change(func(p *people) { p.away = nil })
	next := c.refresh(tk.Refresh).tokens(t)
	if next.Refresh == tk.Refresh || c.refresh(tk.Refresh).tokens(t).Refresh != next.Refresh {
		t.Error("the token was spent on the refusal")
	}
}

// TestParallelRefreshesAskClerkOnce when the word has become too old.
func TestParallelRefreshesAskClerkOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	tk := c.connect()
	for round := range 3 {
		s.clock.advance(store.MembershipAge)
		asked := s.people.count()
		successors := map[string]bool{}
		for _, a := range race(32, func() answer { return c.refresh(tk.Refresh) }) {
			got := a.tokens(t)
			successors[got.Refresh] = true
			s.claims(got.Access)
			tk.Refresh = got.Refresh
		}
		if got := s.people.count() - asked; got != 1 || len(successors) != 1 {
			t.Fatalf("round %d: Clerk was asked %d times, %d successors, want one of each", round, got, len(successors))
		}
	}
}
