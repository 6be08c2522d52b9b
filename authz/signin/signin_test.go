package signin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/authz/clerk"
	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/authz/signin"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// clock is a time that tests move by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a product server that signs people in, with its development Clerk.
type world struct {
	t     *testing.T
	url   string // the product's
	dev   *clerkdev.Server
	store *store.Store
	clock *clock
	tls   *httptest.Server // nil without https
}

// options change a world before it starts.
type options struct {
	https    bool
	provider *tamperer // stands between the product and Clerk's OpenID provider
}

// nobody is told of revocations: nothing is connected in these tests.
type nobody struct{}

func (nobody) Publish(context.Context, ...*store.Revocation) bool { return true }

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, store: storetest.Open(t), clock: &clock{now: time.Now()}}
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(http.NewCrossOriginProtection().Handler(mux))
	w.url = "http://" + server.Listener.Addr().String()
	if o.https {
		w.url = "https://" + server.Listener.Addr().String()
	}
	config := clerkdev.Config{
		Listen:       "127.0.0.1:0",
		ClientID:     "client_dev",
		ClientSecret: "s3cret/+&=",
		SecretKey:    "sk_test_dev",
		RedirectURIs: []string{w.url + "/sign-in/callback"},
	}
	dev, err := clerkdev.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	w.dev = dev
	issuer := dev.URL()
	if o.provider != nil {
		o.provider.forwardTo(dev)
		issuer = o.provider.url
	}
	service := signin.New(signin.Config{
		PublicURL:    w.url,
		Issuer:       issuer,
		ClientID:     config.ClientID,
		ClientSecret: config.ClientSecret,
		Directory:    clerk.NewDirectory(clerk.New(clerk.Config{APIURL: dev.URL(), SecretKey: config.SecretKey, Now: w.clock.Now}), w.store, nobody{}),
		Store:        w.store,
		Now:          w.clock.Now,
	})
	service.Mount(mux)
	// The landing page of these tests: it tells who is signed in.
	mux.HandleFunc("GET /", func(rw http.ResponseWriter, r *http.Request) {
		session, err := service.Session(r)
		switch {
		case errors.Is(err, store.ErrNotFound):
			rw.WriteHeader(http.StatusUnauthorized)
		case err != nil:
			t.Errorf("session: %v", err)
		default:
			rw.Header().Set("Signed-In", session.Email)
		}
	})
	if o.https {
		server.StartTLS()
		w.tls = server
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return w
}

func (w *world) command(action, body string) {
	w.t.Helper()
	response, err := http.Post(w.dev.URL()+"/dev/"+action, "application/json", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		w.t.Fatalf("/dev/%s: got %s", action, response.Status)
	}
}

// browser is a client with its own cookies.
type browser struct {
	*world
	http.Client
}

func (w *world) browser() *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	b := &browser{world: w, Client: http.Client{Jar: jar}}
	if w.tls != nil {
		b.Transport = w.tls.Client().Transport
	}
	return b
}

// page is where a browser came to rest.
type page struct {
	status   int
	header   http.Header
	at       *url.URL
	cookies  []*http.Cookie // set by the last response
	document *goquery.Document
}

func (p page) signedIn() string { return p.header.Get("Signed-In") }
func (p page) title() string    { return p.document.Find("h1").Text() }

func (b *browser) read(response *http.Response, err error) page {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	document, err := goquery.NewDocumentFromReader(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{response.StatusCode, response.Header, response.Request.URL, response.Cookies(), document}
}

func (b *browser) open(target string) page {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.url + target
	}
	return b.read(b.Get(target))
}

// stay does not follow redirects: it returns what the address itself answers.
func (b *browser) stay(target string) page {
	b.t.Helper()
	c := b.Client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b.read(c.Get(target))
}

// choose presses a button of the development Clerk's sign-in page. Where stay
// is set, it stops before the callback.
func (b *browser) choose(p page, label string, stay bool) page {
	b.t.Helper()
	button := p.document.Find("button").FilterFunction(func(_ int, s *goquery.Selection) bool { return s.Text() == label })
	if button.Length() != 1 {
		b.t.Fatalf("got %d buttons %q at %s, want 1", button.Length(), label, p.at)
	}
	c := b.Client
	if stay {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	form := url.Values{
		"request":                  {p.document.Find("input[name=request]").AttrOr("value", "")},
		button.AttrOr("name", "?"): {button.AttrOr("value", "")},
	}
	return b.read(c.PostForm(b.dev.URL()+"/sign-in", form))
}

// signIn goes the whole way as the person with the e-mail address.
func (b *browser) signIn(email string) page {
	b.t.Helper()
	p := b.choose(b.open("/sign-in?prompt=login"), email, false)
	if p.signedIn() != email {
		b.t.Fatalf("signed in as %q at %s (%s), want %s", p.signedIn(), p.at, p.title(), email)
	}
	return p
}

func (b *browser) cookieNames() (names []string) {
	u, err := url.Parse(b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		names = append(names, c.Name)
	}
	return names
}

func TestRoundTripSignsIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	const target = "/oauth/consent?request=abc&x=%2Fy"
	if got := b.open(target).status; got != http.StatusUnauthorized {
		t.Fatalf("before: got %d, want 401", got)
	}
	got := b.choose(b.open("/sign-in?return_to="+url.QueryEscape(target)), "alice@acme.example", false)
	if got.at.RequestURI() != target || got.signedIn() != "alice@acme.example" {
		t.Errorf("got %q at %s, want alice at %s", got.signedIn(), got.at.RequestURI(), target)
	}
	if diff := cmp.Diff([]string{"clerkdev_client", "session"}, b.cookieNames()); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
	members, err := w.store.Members(t.Context(), clerkdev.AcmeID)
	if err != nil {
		t.Fatal(err)
	}
	if len(members) != 1 || members[0].Name != "Alice Archer" {
		t.Errorf("members of Acme: got %v, want Alice Archer", members)
	}
	if silent := b.open("/sign-in"); silent.signedIn() != "alice@acme.example" || silent.at.Path != "/settings/connections" {
		t.Errorf("second time: got %q at %s, want alice at the default page without being asked", silent.signedIn(), silent.at)
	}
	if other := b.choose(b.open("/sign-in?prompt=login"), "bob@acme.example", false); other.signedIn() != "bob@acme.example" {
		t.Errorf("prompt=login: got %q, want bob", other.signedIn())
	}
}

// TestSessionKnowsWhetherClerkWasToldToAsk: letting in silently whom Clerk knows
// is not asking.
func TestSessionKnowsWhetherClerkWasToldToAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	prompted := func() (yes bool) {
		t.Helper()
		if err := w.store.Pool().QueryRow(t.Context(), `SELECT prompted FROM sessions`).Scan(&yes); err != nil {
			t.Fatal(err)
		}
		return yes
	}
	b.signIn("alice@acme.example")
	if !prompted() {
		t.Error("prompt=login: the session does not say so")
	}
	b.open("/sign-in")
	if prompted() {
		t.Error("let in silently: the session says that she was asked")
	}
}

func TestCookiesAreConfinedToTheBrowserAndTheHost(t *testing.T) {
	t.Parallel()
	for name, https := range map[string]bool{"": false, "__Host-": true} {
		w := newWorld(t, options{https: https})
		b := w.browser()
		begun := b.stay(w.url + "/sign-in")
		at := b.choose(b.open(begun.header.Get("Location")), "alice@acme.example", true)
		done := b.stay(at.header.Get("Location"))
		cookies := append(begun.cookies, done.cookies...)
		if len(cookies) != 3 { // attempt set, attempt deleted, session set
			t.Fatalf("https=%v: got %v", https, cookies)
		}
		for _, c := range cookies {
			if !strings.HasPrefix(c.Name, name) || c.Secure != https || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("https=%v: got %s", https, c)
			}
		}
		session := cookies[2]
		if session.Name != name+"session" || len(session.Value) != 43 || session.MaxAge != int(store.SessionMaxAge.Seconds()) {
			t.Errorf("session: got %s", session)
		}
		for _, p := range []page{begun, done} {
			if p.header.Get("Cache-Control") != "no-store" || p.header.Get("Referrer-Policy") != "same-origin" {
				t.Errorf("headers: got %v", p.header)
			}
		}
		if got := b.open("/x").signedIn(); got != "alice@acme.example" {
			t.Errorf("https=%v: signed in as %q", https, got)
		}
	}
}

func TestEachSignInEndsTheSessionBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signIn("alice@acme.example")
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	copied := w.browser()
	copied.Jar.SetCookies(u, b.Jar.Cookies(u))
	if got := copied.open("/x").signedIn(); got != "alice@acme.example" {
		t.Fatalf("copy of the cookie: signed in as %q", got)
	}
	b.signIn("alice@acme.example")
	if got := copied.open("/x").signedIn(); got != "" {
		t.Errorf("copy of the cookie after the next sign-in: signed in as %q", got)
	}
	if got := b.open("/x").signedIn(); got != "alice@acme.example" {
		t.Errorf("the new session: signed in as %q", got)
	}
}

func TestCallbackInAnotherBrowserIsRefusedAndSpoilsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	mine, theirs := w.browser(), w.browser()
	at := mine.choose(mine.open("/sign-in"), "alice@acme.example", true)
	callback := at.header.Get("Location")

	refused := theirs.open(callback)
	if refused.status != http.StatusBadRequest || refused.document.Find("a.button[href^='/sign-in']").Length() != 1 {
		t.Errorf("another browser: got %d %s, want a page with 400 and a way to try again", refused.status, refused.title())
	}
	// Nor does a cookie of the same name, which anybody can make.
	u, err := url.Parse(callback)
	if err != nil {
		t.Fatal(err)
	}
	theirs.Jar.SetCookies(u, []*http.Cookie{{Name: "signin-" + u.Query().Get("state")[:8], Value: "guessed"}})
	if got := theirs.open(callback); got.status != http.StatusBadRequest {
		t.Errorf("another browser with a made-up cookie: got %d, want 400", got.status)
	}
	if got := theirs.open("/x").signedIn(); got != "" {
		t.Errorf("another browser is signed in as %q", got)
	}
	if got := mine.open(callback); got.signedIn() != "alice@acme.example" {
		t.Errorf("the browser that began it: got %d %s", got.status, got.title())
	}
}

func TestCallbackWorksOnceUnderRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	at := b.choose(b.open("/sign-in"), "alice@acme.example", true)
	callback := at.header.Get("Location")
	var admitted, refused int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			response, err := b.Get(callback)
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			switch response.StatusCode {
			case http.StatusOK:
				admitted++
			case http.StatusBadRequest:
				refused++
			}
		})
	}
	wg.Wait()
	if admitted != 1 || refused != 7 {
		t.Errorf("got %d admitted and %d refused, want 1 and 7", admitted, refused)
	}
}

func TestTwoTabsSignInSideBySide(t *testing.T) {
	t.Parallel()
	b := newWorld(t, options{}).browser()
	first, second := b.open("/sign-in?return_to=/first"), b.open("/sign-in?return_to=/second")
	for _, tab := range []struct {
		page page
		want string
	}{{second, "/second"}, {first, "/first"}} {
		if got := b.choose(tab.page, "bob@acme.example", false); got.at.Path != tab.want || got.signedIn() != "bob@acme.example" {
			t.Errorf("got %q at %s, want bob at %s", got.signedIn(), got.at, tab.want)
		}
	}
}

func TestAbandonedAttemptsDoNotFillTheCookieJar(t *testing.T) {
	t.Parallel()
	b := newWorld(t, options{}).browser()
	for range 40 {
		b.open("/sign-in")
		if got := len(b.cookieNames()); got > 9 {
			t.Fatalf("got %d cookies", got)
		}
	}
	b.signIn("alice@acme.example")
}

func TestAttemptExpiresAfterTenMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	at := b.choose(b.open("/sign-in"), "alice@acme.example", true)
	w.clock.advance(store.SignInLifetime)
	if got := b.open(at.header.Get("Location")); got.status != http.StatusBadRequest {
		t.Errorf("got %d, want 400", got.status)
	}
}

func TestSignOutEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	b.signIn("alice@acme.example")
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	copied := w.browser()
	copied.Jar.SetCookies(u, b.Jar.Cookies(u))

	r, err := http.NewRequestWithContext(t.Context(), "POST", w.url+"/sign-out", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if got := b.read(b.Do(r)); got.status != http.StatusForbidden {
		t.Errorf("from another site: got %d, want 403", got.status)
	}
	if got := b.open("/x").signedIn(); got != "alice@acme.example" {
		t.Errorf("after another site tried: signed in as %q", got)
	}
	for range 2 { // a second time does no harm
		if got := b.read(b.PostForm(w.url+"/sign-out", nil)); got.at.Path != "/" || got.signedIn() != "" {
			t.Errorf("got %q at %s, want nobody at /", got.signedIn(), got.at)
		}
	}
	if diff := cmp.Diff([]string{"clerkdev_client"}, b.cookieNames()); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
	if got := copied.open("/x").signedIn(); got != "" {
		t.Errorf("a copy of the cookie is signed in as %q", got)
	}
	if got := b.open("/sign-out").status; got == http.StatusOK {
		t.Error("a link signs out")
	}
}

func TestCancellingIsNoError(t *testing.T) {
	t.Parallel()
	b := newWorld(t, options{}).browser()
	got := b.choose(b.open("/sign-in?return_to=/there"), "Cancel", false)
	again, _ := got.document.Find("a.button").Attr("href")
	if got.status != http.StatusOK || again != "/sign-in?return_to=%2Fthere" {
		t.Fatalf("got %d %s, again at %s", got.status, got.title(), again)
	}
	if got := b.choose(b.open(again), "alice@acme.example", false); got.at.Path != "/there" || got.signedIn() == "" {
		t.Errorf("again: got %q at %s", got.signedIn(), got.at)
	}
}

func TestClosedAccountsAreNotLetIn(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"ban", "delete-user"} {
		provider := newTamperer(t) // vouches for somebody whom Clerk would not sign in
		provider.claims = func(claims map[string]any) { claims["sub"] = clerkdev.BobID }
		w := newWorld(t, options{provider: provider})
		w.command(action, `{"user":"bob@acme.example"}`)
		b := w.browser()
		got := b.choose(b.open("/sign-in"), "alice@acme.example", false)
		if got.status != http.StatusForbidden || b.open("/x").signedIn() != "" {
			t.Errorf("%s: got %d %s, want 403 and no session", action, got.status, got.title())
		}
		if again, _ := got.document.Find("a.button").Attr("href"); !strings.Contains(again, "prompt=login") {
			t.Errorf("%s: again at %q, want another account", action, again)
		}
	}
}

func TestOutageOfClerkIsAPageAndPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.browser()
	w.command("fail", `{"status":503,"count":1000}`)
	got := b.choose(b.open("/sign-in?return_to=/there"), "alice@acme.example", false)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %v, want 503 with Retry-After", got.status, got.header)
	}
	if b.open("/x").signedIn() != "" {
		t.Error("signed in although nobody knows as whom")
	}
	w.command("fail", `{"count":0}`)
	again, _ := got.document.Find("a.button").Attr("href")
	if got := b.open(again); got.at.Path != "/there" || got.signedIn() != "alice@acme.example" {
		t.Errorf("afterwards: got %q at %s", got.signedIn(), got.at)
	}
}
