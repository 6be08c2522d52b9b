package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
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

// tell tells the story of c, of which parts refresh at once.
func (s *story) tell(c foreign, parts int) {
	t := s.t
	t.Helper()
	const title = "Search answers late"
	begun := s.now()
	created := c.call("create_incident", map[string]any{"title": title, "severity": "low"})
	if got, _ := created["incident"].(map[string]any); got["title"] != title {
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
	s.listed(c, title)
	if got := s.asked(s.since(before)); len(got) != 0 {
		t.Errorf("after refreshing at once the client asked for consent again: %v", got)
	}

	s.alice.open(s.url + "/settings/connections").revokeFirst()
	revoked := s.now()
	s.listed(c, title)
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
func (s *story) listed(c foreign, title string) {
	s.t.Helper()
	result := c.call("list_incidents", map[string]any{"limit": 1})
	incidents, _ := result["incidents"].([]any)
	if len(incidents) != 1 {
		s.t.Fatalf("list_incidents returned %v, want one incident", result)
	}
	newest := incidents[0].(map[string]any)
	creator, _ := newest["createdBy"].(map[string]any)
	if newest["title"] != title || creator["email"] != s.alice.email || creator["via"] != c.name {
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

// moduleVersion returns the version of a module that this program is built with.
func moduleVersion(t *testing.T, path string) string {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("this program does not know what it is built with")
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	t.Fatalf("this program is built without %s", path)
	return ""
}

// TestGoSDKClient: several processes of one client have a file with its tokens in
// common.
func TestGoSDKClient(t *testing.T) {
	t.Parallel()
	t.Attr("client", "github.com/modelcontextprotocol/go-sdk "+moduleVersion(t, "github.com/modelcontextprotocol/go-sdk"))
	s := newStory(t)
	const name = "Client with the Go SDK"
	var kept struct {
		config *oauth2.Config
		token  *oauth2.Token
	}
	configure := func(initial oauth2.TokenSource, ask auth.AuthorizationCodeFetcher) *auth.AuthorizationCodeHandler {
		handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
			DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName: name, RedirectURIs: []string{callback}, GrantTypes: []string{"authorization_code", "refresh_token"},
				TokenEndpointAuthMethod: "none",
			}},
			RequestRefreshToken: true,
			InitialTokenSource:  initial,
			NewTokenSource: func(ctx context.Context, config *oauth2.Config, token *oauth2.Token) (oauth2.TokenSource, error) {
				kept.config, kept.token = config, token
				return config.TokenSource(ctx, token), nil
			},
			AuthorizationCodeFetcher: ask,
		})
		if err != nil {
			t.Fatal(err)
		}
		return handler
	}
	askAlice := func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		answer := s.allow(args.URL)
		return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, nil
	}
	askNobody := func(context.Context, *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		return nil, errors.New("the client wants to ask for consent")
	}
	c := &client{t: t, log: s.log}
	s.tell(foreign{
		name: name,
		call: func(tool string, arguments map[string]any) map[string]any {
			if c.session == nil {
				var err error
				if c.session, err = s.dial(t, name, configure(nil, askAlice)); err != nil {
					t.Fatal(err)
				}
			}
			return c.call(tool, arguments).StructuredContent.(map[string]any)
		},
		race: func(n int) {
			expired := *kept.token
			expired.Expiry = time.Now().Add(-time.Minute)
			var processes sync.WaitGroup
			for range n {
				handler := configure(kept.config.TokenSource(t.Context(), &expired), askNobody)
				processes.Go(func() {
					session, err := s.dial(t, name, handler)
					if err != nil {
						t.Error(err)
						return
					}
					if result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "list_schedules"}); err != nil || result.IsError {
						t.Errorf("list_schedules: %v %v", result, err)
					}
				})
			}
			processes.Wait()
		},
	}, 8)
}

// TestXOAuth2Client: x/oauth2 speaks no MCP, and is told by the metadata where to
// go. What it does is ask, redeem, refresh and send the token.
func TestXOAuth2Client(t *testing.T) {
	t.Parallel()
	t.Attr("client", "golang.org/x/oauth2 "+moduleVersion(t, "golang.org/x/oauth2"))
	s := newStory(t)
	c := &simpleClient{story: s, name: "Client with x/oauth2"}
	s.tell(foreign{name: c.name, call: c.call, race: c.race}, 8)
}

// simpleClient is what somebody writes with x/oauth2.
type simpleClient struct {
	*story
	name   string
	config *oauth2.Config
	token  *oauth2.Token
}

// call calls a tool. An answer of 401 means that the token must be refreshed, and
// where it cannot be, that the person must be asked.
func (c *simpleClient) call(tool string, arguments map[string]any) map[string]any {
	c.t.Helper()
	for range 3 {
		browser := http.DefaultClient
		if c.token != nil {
			browser = c.config.Client(c.t.Context(), c.token)
		}
		response, result, err := c.send(browser, tool, arguments)
		if err != nil {
			c.t.Fatal(err)
		}
		switch {
		case response.StatusCode == http.StatusOK:
			return result
		case response.StatusCode != http.StatusUnauthorized:
			c.t.Fatalf("%s: %s", tool, response.Status)
		case c.token == nil:
			c.discover(response)
			c.authorize()
		default:
			fresh, err := c.refresh()
			if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
				c.authorize()
				continue
			}
			if err != nil {
				c.t.Fatal(err)
			}
			c.token = fresh
		}
	}
	c.t.Fatalf("%s is refused again and again", tool)
	return nil
}

// send sends one call, as 2025-03-26 allows without a session.
func (c *simpleClient) send(browser *http.Client, tool string, arguments map[string]any) (*http.Response, map[string]any, error) {
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": arguments},
	})
	if err != nil {
		return nil, nil, err
	}
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+"/mcp", strings.NewReader(string(body)))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	response, err := browser.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, nil, err
	}
	var answer struct {
		Result struct {
			StructuredContent map[string]any `json:"structuredContent"`
		} `json:"result"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, nil, err
	}
	return response, answer.Result.StructuredContent, nil
}

// discover goes from the challenge to the endpoints, and registers.
func (c *simpleClient) discover(refused *http.Response) {
	c.t.Helper()
	challenges, err := oauthex.ParseWWWAuthenticate(refused.Header["Www-Authenticate"])
	if err != nil || len(challenges) == 0 {
		c.t.Fatalf("a 401 with the challenges %v: %v", challenges, err)
	}
	resource, err := oauthex.GetProtectedResourceMetadata(c.t.Context(), challenges[0].Params["resource_metadata"], c.url+"/mcp", http.DefaultClient)
	if err != nil {
		c.t.Fatal(err)
	}
	server, err := auth.GetAuthServerMetadata(c.t.Context(), resource.AuthorizationServers[0], http.DefaultClient)
	if err != nil {
		c.t.Fatal(err)
	}
	registered, err := oauthex.RegisterClient(c.t.Context(), server.RegistrationEndpoint, &oauthex.ClientRegistrationMetadata{
		ClientName: c.name, RedirectURIs: []string{callback}, TokenEndpointAuthMethod: "client_secret_post",
	}, http.DefaultClient)
	if err != nil {
		c.t.Fatal(err)
	}
	c.config = &oauth2.Config{
		ClientID: registered.ClientID, ClientSecret: registered.ClientSecret, RedirectURL: callback,
		Scopes: strings.Fields(challenges[0].Params["scope"]),
		Endpoint: oauth2.Endpoint{
			AuthURL: server.AuthorizationEndpoint, TokenURL: server.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

func (c *simpleClient) authorize() {
	c.t.Helper()
	verifier := oauth2.GenerateVerifier()
	resource := oauth2.SetAuthURLParam("resource", c.url+"/mcp")
	answer := c.allow(c.config.AuthCodeURL("some-state", oauth2.S256ChallengeOption(verifier), resource))
	var err error
	if c.token, err = c.config.Exchange(c.t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier), resource); err != nil {
		c.t.Fatal(err)
	}
}

// refresh has x/oauth2 find that the token has expired.
func (c *simpleClient) refresh() (*oauth2.Token, error) {
	expired := *c.token
	expired.Expiry = time.Now().Add(-time.Minute)
	return c.config.TokenSource(c.t.Context(), &expired).Token()
}

// race is what programs do that keep their token in one place.
func (c *simpleClient) race(n int) {
	fresh := make([]*oauth2.Token, n)
	var programs sync.WaitGroup
	for i := range n {
		programs.Go(func() {
			token, err := c.refresh()
			if err != nil {
				c.t.Error(err)
				return
			}
			response, _, err := c.send(c.config.Client(c.t.Context(), token), "list_schedules", nil)
			if err != nil || response.StatusCode != http.StatusOK {
				c.t.Errorf("list_schedules: %v %v", response, err)
			}
			fresh[i] = token
		})
	}
	programs.Wait()
	c.token = fresh[n-1]
}
