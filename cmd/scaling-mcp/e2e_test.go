package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/wiretest"
)

// lockedBuffer is a log that a test reads while the server writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// listening finds a server's own address in its log.
var listening = regexp.MustCompile(`msg=listening address=(\S+)`)

// system is a running dev command.
type system struct {
	url     string // public
	address string // that it is reached at, host:port
	log     *lockedBuffer
	wire    *wiretest.Watcher // nil if nothing stands in front
	stop    func()            // waits
}

// startDev runs dev until its ready line, on a database and a Redis of the test's
// own. In front of it stands what production has too, a reverse proxy, which looks
// at every document that passes.
func startDev(t testing.TB, args ...string) *system {
	t.Helper()
	// The proxy is the server that the world knows.
	address := "127.0.0.1:0"
	if i := slices.Index(args, "--listen"); i >= 0 {
		address = args[i+1]
		args = slices.Delete(slices.Clone(args), i, i+2)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(args, "--public-url") {
		args = append(args[:len(args):len(args)], "--public-url", fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port))
	}
	s := runDev(t, args...)
	// Of nobody else's connections, which outlive it.
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	upstream := s.address
	s.address = listener.Addr().String()
	s.wire = wiretest.Watch(t, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.RawQuery = "http", upstream, r.In.URL.RawQuery
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values, ok := r.In.Header[name]; ok {
					r.Out.Header[name] = values
				}
			}
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // as if it were not there
	})
	front := &http.Server{Handler: s.wire, ErrorLog: log.New(io.Discard, "", 0)}
	go front.Serve(listener)
	stop := s.stop
	s.stop = sync.OnceFunc(func() {
		transport.CloseIdleConnections() // or the server waits for requests on them
		stop()
		_ = front.Close()
	})
	t.Cleanup(s.stop)
	return s
}

// runDev runs dev until its ready line, with nothing in front of it.
func runDev(t testing.TB, args ...string) *system {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &system{log: &lockedBuffer{}}
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	args = append([]string{"dev", "--listen", "127.0.0.1:0", "--clerk-listen", "127.0.0.1:0", "--data", t.TempDir()}, args...)
	go func() {
		err := run(ctx, args, writer, s.log)
		writer.CloseWithError(io.EOF)
		done <- err
	}()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("dev: %v\n%s", err, s.log)
		}
	})
	t.Cleanup(s.stop)
	var printed strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := reader.Read(buffer)
		printed.Write(buffer[:n])
		if _, after, found := strings.Cut(printed.String(), "ready: "); found && strings.Contains(after, "\n") {
			s.url, _, _ = strings.Cut(after, "\n")
			s.address = listening.FindStringSubmatch(s.log.String())[1]
			go io.Copy(io.Discard, reader)
			return s
		}
		if err != nil {
			t.Fatalf("dev ended before it was ready: %s\n%s", printed.String(), s.log)
		}
	}
}

func startTestDev(t testing.TB, args ...string) *system {
	t.Helper()
	return startDev(t, append([]string{"--database-url", storetest.OpenURL(t), "--redis-url", storetest.Redis(t)}, args...)...)
}

// client is a real MCP client: the go-sdk's, with its own OAuth.
type client struct {
	t       testing.TB
	log     *lockedBuffer
	session *mcp.ClientSession
	oauth   *auth.AuthorizationCodeHandler
}

// connect connects a client on behalf of a person, for an organization.
func (s *system) connect(p *person, name, orgID string) *client {
	p.t.Helper()
	c := &client{t: p.t, log: s.log}
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: name, RedirectURIs: []string{callback}, GrantTypes: []string{"authorization_code", "refresh_token"},
			TokenEndpointAuthMethod: "none",
		}},
		RequestRefreshToken: true,
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			answer := p.allow(args.URL, orgID)
			return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, nil
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if c.session, err = s.dial(p.t, name, handler); err != nil {
		p.t.Fatal(err)
	}
	c.oauth = handler
	return c
}

// dial begins a session of a client that has its tokens, or gets them, from handler.
func (s *system) dial(t testing.TB, name string, handler auth.OAuthHandler) (*mcp.ClientSession, error) {
	session, err := mcp.NewClient(&mcp.Implementation{Name: name, Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: s.url + "/mcp", OAuthHandler: handler, DisableStandaloneSSE: true, MaxRetries: -1,
	}, nil)
	if err == nil {
		t.Cleanup(func() { _ = session.Close() })
	}
	return session, err
}

// call calls a tool and returns its result.
func (c *client) call(tool string, arguments map[string]any) *mcp.CallToolResult {
	c.t.Helper()
	result, err := c.session.CallTool(c.t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", tool, err, c.log)
	}
	if result.IsError {
		c.t.Fatalf("%s: %v", tool, result.Content[0].(*mcp.TextContent).Text)
	}
	return result
}

// token returns the client's tokens as they are now.
func (c *client) token() *oauth2.Token {
	c.t.Helper()
	source, err := c.oauth.TokenSource(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	token, err := source.Token()
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

// mcpRequest is a call of the MCP endpoint by hand, with a token.
func mcpRequest(ctx context.Context, address, token string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	return r, nil
}

// status calls the MCP endpoint by hand with a token.
func (s *system) status(t testing.TB, token string) *http.Response {
	t.Helper()
	r, err := mcpRequest(t.Context(), s.address, token)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response
}

// TestConnectCallRevoke is the whole path: a client connects, its person signs
// in, chooses an organization and consents, tools work on real data, the person
// revokes the connection in the dashboard, and the very next call is refused.
func TestConnectCallRevoke(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	alice := newPerson(t, "alice@acme.example")
	c := s.connect(alice, "Test client", clerkdev.AcmeID)

	list := c.call("list_incidents", map[string]any{"limit": 5})
	incidents, _ := list.StructuredContent.(map[string]any)["incidents"].([]any)
	if len(incidents) != 5 {
		t.Fatalf("list_incidents returned %d incidents, want 5", len(incidents))
	}
	created := c.call("create_incident", map[string]any{"title": "Checkout is slow", "severity": "high", "idempotencyKey": "k1"})
	incident := created.StructuredContent.(map[string]any)["incident"].(map[string]any)
	again := c.call("create_incident", map[string]any{"title": "Checkout is slow", "severity": "high", "idempotencyKey": "k1"})
	if replayed := again.StructuredContent.(map[string]any)["replayed"]; replayed != true {
		t.Errorf("replayed is %v, want true", replayed)
	}
	got := c.call("get_incident", map[string]any{"sequentialId": incident["sequentialId"]})
	if title := got.StructuredContent.(map[string]any)["incident"].(map[string]any)["title"]; title != "Checkout is slow" {
		t.Errorf("get_incident returned %v", title)
	}
	schedules, _ := c.call("who_is_on_call", nil).StructuredContent.(map[string]any)["schedules"].([]any)
	if len(schedules) == 0 || len(schedules[0].(map[string]any)["onCall"].([]any)) == 0 {
		t.Errorf("who_is_on_call returned %v, want Acme's schedules with somebody on call", schedules)
	}

	token := c.token().AccessToken
	if got := s.status(t, token).StatusCode; got != http.StatusOK {
		t.Fatalf("before: %d", got)
	}
	alice.open(s.url+"/settings/connections").says("Test client", "Acme", "See incidents and their timelines")
	alice.revokeFirst()
	response := s.status(t, token)
	if response.StatusCode != http.StatusUnauthorized || !strings.Contains(response.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("after: %d %q, want 401 invalid_token", response.StatusCode, response.Header.Get("WWW-Authenticate"))
	}
	alice.open(s.url+"/settings/connections").says("Ended", "You revoked it")

	// The client takes the 401 for what it is, and asks the person anew.
	if _, err := c.session.ListTools(t.Context(), nil); err != nil {
		t.Errorf("connecting again: %v", err)
	}
	if c.token().AccessToken == token {
		t.Error("the old token lists tools")
	}
	if strings.Contains(s.log.String(), token) {
		t.Error("an access token is in the log")
	}
}

// revokeFirst goes from the connections page to the first connection and presses
// Revoke there.
func (p *person) revokeFirst() *person {
	p.t.Helper()
	href, ok := p.page.Find(`[data-connection] a[href*="/settings/connections/"]`).First().Attr("href")
	if !ok {
		p.t.Fatalf("no connection on %s: %s", p.at, p.text())
	}
	u, err := p.at.Parse(href)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.open(u.String()).press("Revoke", nil).says("Ended")
}

// TestRevocationOutlivesRestartAndFlush: a revoked token stays revoked when the
// server starts anew and Redis has forgotten everything, and a live one lives.
func TestRevocationOutlivesRestartAndFlush(t *testing.T) {
	t.Parallel()
	databaseURL, data := storetest.OpenURL(t), t.TempDir()
	args := func() []string {
		return []string{"--database-url", databaseURL, "--redis-url", storetest.Redis(t), "--data", data}
	}
	first := startDev(t, args()...)
	// Both clients of the second server must see the first one's issuer.
	address := strings.TrimPrefix(first.url, "http://localhost:")
	alice, bob := newPerson(t, "alice@acme.example"), newPerson(t, "bob@acme.example")
	mine, his := first.connect(alice, "Mine", clerkdev.AcmeID), first.connect(bob, "His", clerkdev.AcmeID)
	revoked, alive := mine.token().AccessToken, his.token().AccessToken
	alice.open(first.url + "/settings/connections").revokeFirst()
	first.stop()

	second := startDev(t, append(args(), "--listen", "127.0.0.1:"+address)...)
	if got := second.status(t, revoked).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("revoked token after a restart with an empty Redis: %d, want 401", got)
	}
	if got := second.status(t, alive).StatusCode; got != http.StatusOK {
		t.Errorf("somebody else's token after a restart: %d, want 200", got)
	}
}

// TestAdministratorRevokesAMembersConnection is the third use of the product.
func TestAdministratorRevokesAMembersConnection(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	bob := newPerson(t, "bob@acme.example")
	token := s.connect(bob, "Bob's client", clerkdev.AcmeID).token().AccessToken

	carol := newPerson(t, "carol@globex.example") // administers another organization
	carol.signIn(s.url + "/settings/connections?view=organization")
	if strings.Contains(carol.text(), "Bob's client") {
		t.Error("an administrator of Globex sees a connection to Acme")
	}
	alice := newPerson(t, "alice@acme.example")
	alice.signIn(s.url+"/settings/connections?view=organization&org=acme").says("Bob's client", "bob@acme.example")
	if got := s.status(t, token).StatusCode; got != http.StatusOK {
		t.Fatalf("before: %d", got)
	}
	alice.revokeFirst()
	if got := s.status(t, token).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("after: %d, want 401", got)
	}
	bob.open(s.url+"/settings/connections").says("Ended", "Alice")
}

// TestWithoutRedisEverythingWorks, slower.
func TestWithoutRedisEverythingWorks(t *testing.T) {
	t.Parallel()
	s := startDev(t, "--database-url", storetest.OpenURL(t), "--redis-url", "redis://127.0.0.1:1")
	alice := newPerson(t, "alice@acme.example")
	c := s.connect(alice, "Test client", clerkdev.AcmeID)
	c.call("list_incidents", nil)
	token := c.token().AccessToken
	alice.open(s.url + "/settings/connections")
	href, _ := alice.page.Find(`a[href*="/settings/connections/"]`).First().Attr("href")
	alice.open(s.url+href).press("Revoke", nil).says("minute")
	if got := s.status(t, token).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("after revocation without Redis: %d, want 401", got)
	}
}

// TestRefreshKeepsTheClientConnected uses x/oauth2 as a client does when its
// access token has expired.
func TestRefreshKeepsTheClientConnected(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	c := s.connect(newPerson(t, "alice@acme.example"), "Test client", clerkdev.GlobexID)
	token := c.token()
	if token.RefreshToken == "" {
		t.Fatal("no refresh token")
	}
	clientID := s.clientID(t, "Test client")
	config := &oauth2.Config{ClientID: clientID, Endpoint: oauth2.Endpoint{TokenURL: s.url + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams}}
	fresh, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	if fresh.AccessToken == token.AccessToken || fresh.RefreshToken == token.RefreshToken {
		t.Error("nothing was rotated")
	}
	for name, access := range map[string]string{"new": fresh.AccessToken, "old": token.AccessToken} {
		if got := s.status(t, access).StatusCode; got != http.StatusOK {
			t.Errorf("%s access token: %d, want 200", name, got)
		}
	}
}

// clientID returns the id of a public client, by registering it once more.
func (s *system) clientID(t testing.TB, name string) string {
	t.Helper()
	registered, err := oauthex.RegisterClient(t.Context(), s.url+"/oauth/register", &oauthex.ClientRegistrationMetadata{
		ClientName: name, RedirectURIs: []string{callback}, GrantTypes: []string{"authorization_code", "refresh_token"},
		TokenEndpointAuthMethod: "none", ApplicationType: "native",
	}, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	return registered.ClientID
}

func TestDenyAndNoOrganization(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	authorize := s.url + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {s.clientID(t, "Test client")}, "redirect_uri": {callback},
		"code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
	}.Encode()
	alice := newPerson(t, "alice@acme.example")
	alice.signIn(authorize).press("Deny", nil)
	if alice.left == nil || alice.left.Query().Get("error") != "access_denied" {
		t.Errorf("Deny led to %v", alice.left)
	}
	dave := newPerson(t, "dave@solo.example")
	dave.signIn(authorize).says("not a member of any organization")
}

// TestDevKeepsEverythingBetweenRuns uses the private PostgreSQL, and the public
// URL that dev chooses itself.
func TestDevKeepsEverythingBetweenRuns(t *testing.T) {
	t.Parallel()
	storetest.OpenURL(t) // skips where PostgreSQL is missing
	data := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	first := runDev(t, "--data", data)
	port := strings.TrimPrefix(first.url, "http://localhost:")
	token := first.connect(newPerson(t, "alice@acme.example"), "Test client", clerkdev.AcmeID).token().AccessToken
	first.stop()

	second := runDev(t, "--data", data, "--listen", "127.0.0.1:"+port)
	if got := second.status(t, token).StatusCode; got != http.StatusOK {
		t.Errorf("the connection of the first run: %d, want 200", got)
	}
	second.stop()

	third := runDev(t, "--data", data, "--reset", "--listen", "127.0.0.1:"+port)
	if got := third.status(t, token).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("the connection of the first run after --reset: %d, want 401", got)
	}
}

func TestBusyPortIsOneClearSentence(t *testing.T) {
	t.Parallel()
	listener, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	err = run(t.Context(), []string{"dev", "--listen", listener.Addr().String(), "--data", t.TempDir()}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "is in use by another program") || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("error is %v, want a sentence that says what to do", err)
	}
}
