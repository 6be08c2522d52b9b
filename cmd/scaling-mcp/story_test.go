package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
)

// foreign is a client that others wrote, as the person who runs it sees it.
type foreign struct {
	name string // in the dashboard
	// call calls a tool and returns its result. Where the client finds that it needs
	// the person's consent it asks for it, and goes on.
	call func(tool string, arguments map[string]any) map[string]any
	// race has n parts of the client, which have its tokens in common, find at the
	// same moment that the access token is no good. Each refreshes and calls a tool.
	race func(n int)
}

// story is what happens to every client: it finds its way, is let in, works, is
// revoked, and is let in anew.
type story struct {
	t *testing.T
	*witness
	alice *person
}

func newStory(t *testing.T) *story {
	t.Helper()
	s := &story{t: t, witness: startWitness(t), alice: newPerson(t, "alice@acme.example")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log)
		}
	})
	return s
}

// allow is Alice's part in a client's sign-in.
func (s *story) allow(authorizeURL string) url.Values {
	s.t.Helper()
	u, err := url.Parse(authorizeURL)
	if err != nil {
		s.t.Fatal(err)
	}
	answer := s.alice.allow(authorizeURL, clerkdev.AcmeID)
	if answer.Get("state") != u.Query().Get("state") || answer.Get("iss") != s.url {
		s.t.Errorf("the client got %v, want its state, and iss=%s", answer, s.url)
	}
	return answer
}

// storyTitle is that of the incident which the client makes.
const storyTitle = "Search answers late"

// tell tells the story of c, of which parts refresh at once.
func (s *story) tell(c foreign, parts int) {
	t := s.t
	t.Helper()
	begun := s.now()
	created := c.call("create_incident", map[string]any{"title": storyTitle, "severity": "low"})
	if got, _ := created["incident"].(map[string]any); got["title"] != storyTitle {
		t.Fatalf("create_incident returned %v", created)
	}
	s.foundItsWay(s.since(begun))
	s.askedFor("connecting", s.since(begun))
	s.alice.open(s.url + "/settings/connections")
	if got := s.live(); !slices.Equal(got, []string{c.name}) {
		t.Errorf("connected are %q, want %q", got, c.name)
	}
	s.alice.says("Acme", "See incidents and their timelines")

	before := s.now()
	scatter := s.gather(parts)
	c.race(parts)
	scatter()
	fresh := s.refreshedAtOnce(s.since(before), parts)
	s.listed(c)
	if got := s.asked(s.since(before)); len(got) != 0 {
		t.Errorf("after refreshing at once the client asked for consent again: %v", got)
	}

	s.alice.open(s.url + "/settings/connections").revokeFirst()
	revoked := s.now()
	s.listed(c)
	s.refusedFirst(s.since(revoked))
	s.askedFor("connecting again", s.since(revoked))
	for _, token := range fresh {
		if got := s.status(t, token).StatusCode; got != http.StatusUnauthorized {
			t.Errorf("a token of the revoked connection: %d, want 401", got)
		}
	}
	s.alice.open(s.url+"/settings/connections").says("Ended", "You revoked it")
	if got := s.live(); !slices.Equal(got, []string{c.name}) {
		t.Errorf("connected are %q, want %q", got, c.name)
	}
	s.loggedNoSecret()
}

// listed has c list the newest incident, which it made itself.
func (s *story) listed(c foreign) {
	s.t.Helper()
	result := c.call("list_incidents", map[string]any{"limit": 1})
	incidents, _ := result["incidents"].([]any)
	if len(incidents) != 1 {
		s.t.Fatalf("list_incidents returned %v, want one incident", result)
	}
	newest := incidents[0].(map[string]any)
	creator, _ := newest["createdBy"].(map[string]any)
	if newest["title"] != storyTitle || creator["email"] != s.alice.email || creator["via"] != c.name {
		s.t.Errorf("the newest incident is %v, created by %v, want that of %s by %s", newest["title"], creator, s.alice.email, c.name)
	}
}

// live returns the names of the clients that the page shows as connected.
func (s *story) live() (names []string) {
	for _, row := range s.alice.page.Find("table:not(#ended) [data-connection] .client").EachIter() {
		names = append(names, strings.Join(strings.Fields(row.Find("a").First().Text()), " "))
	}
	return names
}

// asked returns the authorization requests among the exchanges.
func (s *story) asked(seen []exchange) (requests []url.Values) {
	for _, e := range seen {
		if e.path == "/oauth/authorize" {
			requests = append(requests, e.query)
		}
	}
	return requests
}

// askedFor: the client asked for consent once, as it must, and proved with the
// code that it was the one who asked.
func (s *story) askedFor(when string, seen []exchange) {
	s.t.Helper()
	requests := s.asked(seen)
	if len(requests) != 1 {
		s.t.Fatalf("%s: the client asked for consent %d times, want once", when, len(requests))
	}
	request := requests[0]
	if request.Get("code_challenge_method") != "S256" || request.Get("resource") != s.url+"/mcp" {
		s.t.Errorf("%s: the client asked for %v, want PKCE with S256 and the resource", when, request)
	}
	for _, e := range seen {
		if e.path != "/oauth/token" || e.form.Get("grant_type") != "authorization_code" {
			continue
		}
		if e.status != http.StatusOK || oauth2.S256ChallengeFromVerifier(e.form.Get("code_verifier")) != request.Get("code_challenge") || e.form.Get("resource") != s.url+"/mcp" {
			s.t.Errorf("%s: redeeming the code: %d, verifier %q, resource %q", when, e.status, e.form.Get("code_verifier"), e.form.Get("resource"))
		}
		return
	}
	s.t.Errorf("%s: no code was redeemed", when)
}

// foundItsWay: the client went from the 401 to the metadata that it names, and on
// from document to document.
func (s *story) foundItsWay(seen []exchange) {
	s.t.Helper()
	refused := slices.IndexFunc(seen, func(e exchange) bool { return e.path == "/mcp" && e.status == http.StatusUnauthorized })
	if refused < 0 {
		s.t.Fatal("the client was never refused")
	}
	challenges, err := oauthex.ParseWWWAuthenticate([]string{seen[refused].challenge})
	if err != nil || len(challenges) != 1 {
		s.t.Fatalf("WWW-Authenticate is %q: %v", seen[refused].challenge, err)
	}
	metadata, found := strings.CutPrefix(challenges[0].Params["resource_metadata"], s.url)
	if !found {
		s.t.Errorf("resource_metadata is %q, want a URL of ours", challenges[0].Params["resource_metadata"])
	}
	way := []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, metadata, http.StatusOK},
		{http.MethodGet, "/.well-known/oauth-authorization-server", http.StatusOK},
		{http.MethodGet, "/oauth/authorize", http.StatusSeeOther},
		{http.MethodPost, "/oauth/token", http.StatusOK},
		{http.MethodPost, "/mcp", http.StatusOK},
	}
	for _, e := range seen[refused+1:] {
		if len(way) > 0 && e.method == way[0].method && e.path == way[0].path && e.status == way[0].status {
			way = way[1:]
		}
		if strings.HasPrefix(e.path, "/.well-known/") && e.status != http.StatusOK {
			s.t.Errorf("%s %s: %d: the client was led astray", e.method, e.path, e.status)
		}
	}
	if len(way) > 0 {
		s.t.Errorf("the client never got to %v", way)
	}
}

// refreshedAtOnce: all n refreshes were of one token, all were answered with the
// same new one, and every access token that they got is good. It returns these.
func (s *story) refreshedAtOnce(seen []exchange, n int) (fresh []string) {
	s.t.Helper()
	spent, next := map[string]bool{}, map[string]bool{}
	for _, e := range seen {
		if e.form.Get("grant_type") != "refresh_token" {
			continue
		}
		answered := e.tokens(s.t)
		if e.status != http.StatusOK {
			s.t.Errorf("a refresh was refused: %d %s", e.status, answered.Error)
			continue
		}
		spent[e.form.Get("refresh_token")], next[answered.RefreshToken] = true, true
		fresh = append(fresh, answered.AccessToken)
		if got := s.status(s.t, answered.AccessToken).StatusCode; got != http.StatusOK {
			s.t.Errorf("an access token that was just issued: %d, want 200", got)
		}
	}
	if len(fresh) != n || len(spent) != 1 || len(next) != 1 {
		s.t.Errorf("%d refreshes of %d tokens were answered with %d new ones; want %d of one with one", len(fresh), len(spent), len(next), n)
	}
	return fresh
}

// refusedFirst: the first call of a revoked connection was refused, and so was
// every refresh.
func (s *story) refusedFirst(seen []exchange) {
	s.t.Helper()
	first := slices.IndexFunc(seen, func(e exchange) bool { return e.path == "/mcp" && e.method == http.MethodPost })
	if first < 0 || seen[first].status != http.StatusUnauthorized || !strings.Contains(seen[first].challenge, `error="invalid_token"`) {
		s.t.Errorf("the call after the revocation was not refused: %+v", seen)
	}
	for _, e := range seen {
		if e.form.Get("grant_type") == "refresh_token" && (e.status != http.StatusBadRequest || e.tokens(s.t).Error != "invalid_grant") {
			s.t.Errorf("a refresh of a revoked connection: %d %s, want 400 invalid_grant", e.status, e.answer)
		}
	}
}

// loggedNoSecret: of all that was issued nothing is in the log.
func (s *story) loggedNoSecret() {
	s.t.Helper()
	log, issued := s.log.String(), 0
	for _, e := range s.since(0) {
		secrets := []string{e.form.Get("code"), e.form.Get("code_verifier"), e.form.Get("client_secret")}
		if len(e.answer) > 0 {
			answered := e.tokens(s.t)
			secrets = append(secrets, answered.AccessToken, answered.RefreshToken, answered.ClientSecret, answered.RegistrationToken)
		}
		for _, secret := range secrets {
			if secret == "" {
				continue
			}
			issued++
			if strings.Contains(log, secret) {
				s.t.Errorf("a secret of %s %s is in the log", e.method, e.path)
			}
		}
	}
	if issued == 0 {
		s.t.Error("nothing was issued")
	}
}
