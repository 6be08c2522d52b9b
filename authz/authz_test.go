package authz_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9/logging"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/store/volatile"
	"scaling.cloud/mcp/wiretest"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis has much to say of the Redis that most tests do without
	m.Run()
}

// people is who is signed in and what Clerk says of them.
type people struct {
	store       *store.Store
	published   *published
	clock       *clock
	mu          sync.Mutex
	signedIn    string
	session     store.Session // what it says besides who
	memberships []store.Membership
	banned      bool
	deleted     bool
	away        error
	asked       int
}

// count is how often Clerk was asked.
func (p *people) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// change changes what Clerk says from now on.
func (p *people) change(f func(*people)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

func (p *people) Session(*http.Request) (*store.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.signedIn == "" {
		return nil, store.ErrNotFound
	}
	session := p.session
	session.UserID = p.signedIn
	return &session, nil
}

func (p *people) Sync(ctx context.Context, userID string) (store.User, []store.Membership, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.away != nil {
		return store.User{}, nil, p.away
	}
	if p.deleted {
		revoked, err := p.store.ForgetUser(ctx, userID, p.clock.Now(), "")
		p.published.Publish(ctx, revoked...)
		return store.User{}, nil, cmp.Or(err, store.ErrNotFound)
	}
	u := store.User{ID: userID, Name: "Alice", Email: "alice@acme.example", EmailVerified: true, Banned: p.banned}
	revoked, err := p.store.SavePerson(ctx, u, p.memberships, p.clock.Now(), "")
	p.published.Publish(ctx, revoked...)
	return u, p.memberships, err
}

// published collects what was published.
type published struct {
	mu      sync.Mutex
	revoked []*store.Revocation
}

func (p *published) Publish(_ context.Context, revoked ...*store.Revocation) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = append(p.revoked, revoked...)
	return true
}

func (p *published) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.revoked)
}

// liveness asks Postgres, while it is there.
type liveness struct {
	store *store.Store
	away  atomic.Bool
}

func (l *liveness) Check(ctx context.Context, id uuid.UUID, epoch int) error {
	if l.away.Load() {
		return errors.New("neither redis nor postgres answers")
	}
	state, err := l.store.ConnectionState(ctx, id)
	if err == nil && (!state.Live || state.Epoch != epoch) {
		return store.ErrNotFound
	}
	return err
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// server is an authorization server with a browser in front of it.
type server struct {
	t         testing.TB
	url       string
	issuer    string
	store     *store.Store
	keys      *authz.Keys
	documents *authz.Documents
	people    *people
	published *published
	liveness  *liveness
	limits    *authz.Limits
	clock     *clock
	browser   *http.Client // keeps cookies, follows no redirect
	mux       *http.ServeMux
	handler   http.Handler // mux, watched
}

var (
	acme   = store.Organization{ID: "org_acme", Slug: "acme", Name: "Acme"}
	globex = store.Organization{ID: "org_globex", Slug: "globex", Name: "Globex"}
)

// start returns a server whose rate limits are those of dev.
func start(t testing.TB, change ...func(*pgxpool.Config)) *server {
	t.Helper()
	return startLimited(t, 100, "redis://127.0.0.1:1", change...)
}

// startLimited returns a server whose rate limits are factor times as wide as in
// production, counted in a Redis or, where that does not answer, by the server's
// own clock.
func startLimited(t testing.TB, factor int, redisURL string, change ...func(*pgxpool.Config)) *server {
	t.Helper()
	return startServer(t, nowhere{}, factor, redisURL, change...)
}

// nowhere is a web without documents, for tests that are not about them.
type nowhere struct{}

func (nowhere) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// startWith returns a server that reaches the documents of clients by transport.
func startWith(t testing.TB, transport http.RoundTripper) *server {
	t.Helper()
	return startServer(t, transport, 100, "redis://127.0.0.1:1")
}

func startServer(t testing.TB, transport http.RoundTripper, factor int, redisURL string, change ...func(*pgxpool.Config)) *server {
	t.Helper()
	st := storetest.Open(t, change...)
	redis, err := volatile.Open(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Close() })
	s := &server{
		t: t, store: st, published: &published{}, liveness: &liveness{store: st},
		clock: &clock{now: time.Now().Truncate(time.Second)},
		people: &people{signedIn: "user_alice", memberships: []store.Membership{
			{Organization: acme, Role: store.RoleAdmin}, {Organization: globex, Role: store.RoleMember},
		}},
		browser: newBrowser(t),
	}
	s.people.store, s.people.published, s.people.clock = st, s.published, s.clock
	s.documents = authz.NewDocuments(st, transport, slog.New(slog.DiscardHandler), s.clock.Now)
	s.limits = &authz.Limits{
		Limiter:       volatile.NewLimiter(redis, slog.New(slog.DiscardHandler), s.clock.Now),
		ClientAddress: clientAddress, Factor: factor, Log: slog.New(slog.DiscardHandler),
	}
	if s.keys, err = authz.OpenKeys(t.Context(), st, masterKey(t, "a master key for tests, 32 bytes"), nil, s.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.people.Sync(t.Context(), "user_alice"); err != nil {
		t.Fatal(err)
	}
	s.serve()
	return s
}

// serve mounts the server at a URL of its own, which is the issuer unless there
// is one.
func (s *server) serve() {
	mux := http.NewServeMux()
	s.mux, s.handler = mux, wiretest.Watch(s.t, mux)
	listener := httptest.NewServer(s.handler)
	s.t.Cleanup(listener.Close)
	s.url = listener.URL
	s.issuer = cmp.Or(s.issuer, s.url)
	authz.New(authz.Config{
		PublicURL: s.issuer, Store: s.store, Keys: s.keys, Documents: s.documents, Sessions: s.people, Directory: s.people, Revocations: s.published, Liveness: s.liveness,
		Limits:         s.limits,
		AccessTokenTTL: time.Hour, RefreshIdleTTL: 720 * time.Hour, ConnectionMaxAge: 4320 * time.Hour,
		Log: slog.New(slog.DiscardHandler), Now: s.clock.Now,
	}).Mount(mux)
}

// replica is another server of the same issuer, on the same database.
func (s *server) replica(keys *authz.Keys) *server {
	other := *s
	other.keys = keys
	other.serve()
	return &other
}

func masterKey(t testing.TB, text string) authz.MasterKey {
	t.Helper()
	key, err := authz.ParseMasterKey(base64.StdEncoding.EncodeToString([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// clientAddress stands for what a proxy knows: which network a test's request
// comes from.
func clientAddress(r *http.Request) netip.Addr {
	if from := r.Header.Get("Test-From"); from != "" {
		return netip.MustParseAddr(from)
	}
	return netip.MustParseAddrPort(r.RemoteAddr).Addr()
}

func newBrowser(t testing.TB) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("%s %s: status %d, body is not JSON: %q", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.body)
	}
	return m
}

func (a answer) page(t testing.TB) *goquery.Document {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func (s *server) do(client *http.Client, r *http.Request) answer {
	s.t.Helper()
	response, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response, string(body)}
}

func (s *server) get(path string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.absolute(path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(s.browser, r)
}

func (s *server) absolute(path string) string {
	if strings.HasPrefix(path, "/") {
		return s.url + path
	}
	return path
}

func (s *server) post(client *http.Client, path string, form url.Values) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(client, r)
}

func (s *server) postJSON(path, body string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return s.do(http.DefaultClient, r)
}

// oauthClient is a registered client in the middle of a flow.
type oauthClient struct {
	s                         *server
	id, redirectURI, verifier string
}

const claudeRedirect = "https://claude.ai/api/mcp/auth_callback"

func (s *server) register(redirectURI string) *oauthClient {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{
		"client_name": "Test client", "redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	a := s.postJSON("/oauth/register", string(body))
	if a.StatusCode != http.StatusCreated {
		s.t.Fatalf("registration: %d %s", a.StatusCode, a.body)
	}
	id, _ := a.json(s.t)["client_id"].(string)
	return &oauthClient{s: s, id: id, redirectURI: redirectURI, verifier: rand.Text() + rand.Text()}
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request returns a good authorization request.
func (c *oauthClient) request() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {c.id}, "redirect_uri": {c.redirectURI}, "state": {"s"},
		"code_challenge": {challenge(c.verifier)}, "code_challenge_method": {"S256"},
		"scope": {strings.Join(store.ResourceScopes(), " ")},
	}
}

// consentPage opens the consent page for a request and returns it with its URL.
func (c *oauthClient) consentPage(request url.Values) (answer, string) {
	c.s.t.Helper()
	a := c.s.get("/oauth/authorize?" + request.Encode())
	location := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, "/oauth/consent?") {
		c.s.t.Fatalf("authorize: %d, Location %q, body %q", a.StatusCode, location, a.body)
	}
	return c.s.get(location), location
}

// form returns what the consent page would post, with its defaults.
func form(t testing.TB, page answer) url.Values {
	t.Helper()
	v := url.Values{"action": {"allow"}, "org_id": {acme.ID}}
	doc := page.page(t)
	handle, ok := doc.Find(`input[name=request]`).Attr("value")
	if !ok {
		t.Fatalf("no consent form: %d %s", page.StatusCode, doc.Find("body").Text())
	}
	v.Set("request", handle)
	doc.Find(`input[name=scope][checked]`).Each(func(_ int, input *goquery.Selection) {
		v.Add("scope", input.AttrOr("value", ""))
	})
	return v
}

// allow goes through consent and returns the authorization response.
func (c *oauthClient) allow(change func(request, consent url.Values)) url.Values {
	c.s.t.Helper()
	request := c.request()
	consent := url.Values{}
	if change != nil {
		change(request, consent)
	}
	page, _ := c.consentPage(request)
	posted := form(c.s.t, page)
	for name, values := range consent {
		posted[name] = values
	}
	a := c.s.post(c.s.browser, "/oauth/consent", posted)
	location, err := a.Location()
	if a.StatusCode != http.StatusSeeOther || err != nil {
		c.s.t.Fatalf("consent: %d %s", a.StatusCode, a.body)
	}
	if !strings.HasPrefix(location.String(), c.redirectURI+"?") {
		c.s.t.Fatalf("consent redirected to %s, want the redirect URI", location)
	}
	return location.Query()
}

func (c *oauthClient) redemption(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {c.id}, "code": {code},
		"redirect_uri": {c.redirectURI}, "code_verifier": {c.verifier},
	}
}

func (c *oauthClient) token(form url.Values) answer {
	c.s.t.Helper()
	return c.s.post(http.DefaultClient, "/oauth/token", form)
}

// tokens is a good token response.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
}

func (a answer) tokens(t testing.TB) tokens {
	t.Helper()
	if a.StatusCode != http.StatusOK {
		t.Fatalf("token endpoint: %d %s", a.StatusCode, a.body)
	}
	var tk tokens
	if err := json.Unmarshal([]byte(a.body), &tk); err != nil {
		t.Fatal(err)
	}
	return tk
}

// connect goes all the way to tokens.
func (c *oauthClient) connect() tokens {
	c.s.t.Helper()
	return c.token(c.redemption(c.allow(nil).Get("code"))).tokens(c.s.t)
}

func (c *oauthClient) refresh(token string) answer {
	c.s.t.Helper()
	return c.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {token}})
}

// claims verifies an access token as a resource server would.
func (s *server) claims(access string) *accesstoken.Claims {
	s.t.Helper()
	claims, err := accesstoken.NewVerifier(s.issuer, []string{s.issuer, s.issuer + "/mcp"}, s.keys).Verify(access, s.clock.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return claims
}

// live reports whether the connection of an access token stands.
func (s *server) live(access string) bool {
	s.t.Helper()
	state, err := s.store.ConnectionState(s.t.Context(), s.claims(access).ConnectionID)
	if err != nil {
		s.t.Fatal(err)
	}
	return state.Live
}
