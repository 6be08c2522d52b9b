package authz_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/store"
)

// TestConsentSaysWhoAsksAndWhere has one client of each kind (design §9): what
// its name is worth, and what the page lets the browser do.
func TestConsentSaysWhoAsksAndWhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	for redirectURI, want := range map[string]struct{ heading, badge, where, warning, formAction string }{
		claudeRedirect: {"Connect Claude?", "Verified", "claude.ai", "", "https://claude.ai"},
		"https://stranger.example:8443/cb": {"Connect “Test client”?", "Unverified", "stranger.example:8443",
			"Continue only if you started this yourself, just now, and trust that site with your incidents.", "https://stranger.example:8443"},
		"http://127.0.0.1:33418/cb": {"Connect “Test client”?", "Local app", "127.0.0.1",
			"Continue only if you started this yourself, just now, on this computer.", "http://127.0.0.1:33418"},
		"http://[::1]/cb": {"Connect “Test client”?", "Local app", "::1",
			"Continue only if you started this yourself, just now, on this computer.", "http:"},
		"cursor://anysphere.cursor-mcp/oauth/callback": {"Connect “Test client”?", "Local app", "cursor://",
			"Continue only if you started this yourself, just now, on this computer.", "cursor:"},
	} {
		c := s.register(redirectURI)
		page, _ := c.consentPage(c.request())
		doc := page.page(t)
		for selector, want := range map[string]string{
			"h1": want.heading, ".asker .badge": want.badge, ".asker p b": want.where, ".asker .notice": want.warning,
			".whoami p": "Signed in as Alice alice@acme.example",
		} {
			if got := strings.Join(strings.Fields(doc.Find(selector).Text()), " "); got != want {
				t.Errorf("%s: %s says %q, want %q", redirectURI, selector, got, want)
			}
		}
		policy := "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' " + want.formAction + "; base-uri 'none'; frame-ancestors 'none'"
		if diff := cmp.Diff(policy, page.Header.Get("Content-Security-Policy")); diff != "" {
			t.Errorf("%s: Content-Security-Policy (-want +got):\n%s", redirectURI, diff)
		}
	}
}

// TestConsentPageKeepsToItself: nothing of others on it, no script, no frame
// around it, no trace of it elsewhere (RFC 9700 §4.2, §4.16).
func TestConsentPageKeepsToItself(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register("https://stranger.example/cb")
	page, location := c.consentPage(c.request())
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8",
	} {
		if got := page.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	doc := page.page(t)
	if n := doc.Find("script, iframe, object, embed, img, style, [style], base, [onload], [onerror], [onclick], meta[http-equiv]").Length(); n != 0 {
		t.Errorf("the page has %d elements that it must not have", n)
	}
	doc.Find("[src], [href], [action]").Each(func(_ int, e *goquery.Selection) {
		for _, name := range []string{"src", "href", "action"} {
			if target := e.AttrOr(name, "/"); !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
				t.Errorf("%s leads elsewhere: %q", name, target)
			}
		}
	})
	another := url.Values{"prompt": {"login"}, "return_to": {location}}
	if got, want := doc.Find(".whoami a").AttrOr("href", ""), "/sign-in?"+another.Encode(); got != want {
		t.Errorf("Use another account leads to %q, want %q", got, want)
	}
}

func TestConsentOffersWhatTheClientMayHave(t *testing.T) {
	t.Parallel()
	s := start(t)
	noRefresh := s.postJSON("/oauth/register", `{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"none","grant_types":["authorization_code"]}`).json(t)["client_id"].(string)
	ticked := func(names ...string) map[string]bool {
		boxes := map[string]bool{}
		for _, name := range names {
			boxes[name] = name != store.ScopeIncidentsPublish
		}
		return boxes
	}
	c := s.register(claudeRedirect)
	for name, row := range map[string]struct {
		client *oauthClient
		scope  string
		want   map[string]bool // name: ticked
	}{
		"everything": {c, strings.Join(store.ResourceScopes(), " "), ticked(store.ScopeIncidentsRead, store.ScopeSchedulesRead,
			store.ScopeIncidentsWrite, store.ScopeIncidentsPublish, store.ScopeOfflineAccess)},
		"nothing":            {c, "", ticked(store.ScopeIncidentsRead, store.ScopeSchedulesRead, store.ScopeIncidentsWrite, store.ScopeOfflineAccess)},
		"only unknown ones":  {c, "openid admin", ticked(store.ScopeIncidentsRead, store.ScopeSchedulesRead, store.ScopeIncidentsWrite, store.ScopeOfflineAccess)},
		"one, and unknown":   {c, "admin " + store.ScopeSchedulesRead, ticked(store.ScopeSchedulesRead, store.ScopeOfflineAccess)},
		"the risky one":      {c, store.ScopeIncidentsPublish, ticked(store.ScopeIncidentsPublish, store.ScopeOfflineAccess)},
		"to stay connected":  {c, store.ScopeOfflineAccess, ticked(store.ScopeIncidentsRead, store.ScopeSchedulesRead, store.ScopeIncidentsWrite, store.ScopeOfflineAccess)},
		"without refreshing": {&oauthClient{s: s, id: noRefresh, redirectURI: "https://a.example/cb", verifier: c.verifier}, store.ScopeIncidentsRead + " " + store.ScopeOfflineAccess, ticked(store.ScopeIncidentsRead)},
	} {
		f := row.client.request()
		f.Set("scope", row.scope)
		page, _ := row.client.consentPage(f)
		got := map[string]bool{}
		page.page(t).Find("label.choice:has(input[type=checkbox][name=scope])").Each(func(_ int, label *goquery.Selection) {
			box := label.Find("input")
			_, got[box.AttrOr("value", "")] = box.Attr("checked")
			if want := store.ScopeWords([]string{box.AttrOr("value", "")}); len(want) != 1 || strings.TrimSpace(label.Text()) != want[0] {
				t.Errorf("%s: %s reads %q, want %q", name, box.AttrOr("value", ""), label.Text(), want)
			}
		})
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestOnlyWhatWasOfferedIsGranted: a form is the browser's to change.
func TestOnlyWhatWasOfferedIsGranted(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	answer := c.allow(func(request, consent url.Values) {
		request.Set("scope", store.ScopeIncidentsRead+" "+store.ScopeSchedulesRead)
		consent["scope"] = []string{store.ScopeIncidentsPublish, store.ScopeSchedulesRead, "admin", store.ScopeSchedulesRead}
		consent["redirect_uri"] = []string{"https://evil.example/"}
		consent["state"] = []string{"other"}
		consent["client_id"] = []string{"other"}
	})
	if answer.Get("state") != "s" {
		t.Errorf("state is %q, want the request's", answer.Get("state"))
	}
	tokens := c.token(c.redemption(answer.Get("code"))).tokens(t)
	if tokens.Scope != store.ScopeSchedulesRead || tokens.Refresh != "" {
		t.Errorf("scope is %q, refresh token %q; want what was offered and ticked", tokens.Scope, tokens.Refresh)
	}
}

func TestOrganizationsAreChosenFromOnesOwn(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, _ := c.consentPage(c.request())
	radios := page.page(t).Find("fieldset input[type=radio][name=org_id]")
	if radios.Length() != 2 || radios.Filter("[checked]").Length() != 0 || radios.Filter("[required]").Length() != 2 {
		t.Errorf("of two organizations: %d radios, %d checked; want two, and the person to choose", radios.Length(), radios.Filter("[checked]").Length())
	}
	answer := c.allow(func(_, consent url.Values) { consent.Set("org_id", globex.ID) })
	if got := s.claims(c.token(c.redemption(answer.Get("code"))).tokens(t).Access).OrgID; got != globex.ID {
		t.Errorf("the token is for %s, want %s", got, globex.ID)
	}

	s.people.mu.Lock()
	s.people.memberships = s.people.memberships[:1]
	s.people.mu.Unlock()
	page, location := c.consentPage(c.request())
	doc := page.page(t)
	if got := strings.TrimSpace(doc.Find("fieldset .only").Text()); got != "Acme" || doc.Find("input[type=hidden][name=org_id]").AttrOr("value", "") != acme.ID {
		t.Errorf("the only organization reads %q, want Acme", got)
	}

	s.people.mu.Lock()
	s.people.memberships = nil
	s.people.mu.Unlock()
	doc = s.get(location).page(t)
	if doc.Find("button[value=allow]:not([disabled])").Length() != 0 || doc.Find("button[value=deny]:not([disabled])").Length() != 1 {
		t.Error("somebody without an organization can press Allow, or cannot press Deny")
	}
	if doc.Find("form .notice.warn").Length() != 1 || doc.Find("[name=scope], [name=org_id]").Length() != 0 {
		t.Error("somebody without an organization is not told so, or is asked more")
	}
	if got := doc.Find(".whoami a").AttrOr("href", ""); !strings.Contains(got, url.QueryEscape(location)) {
		t.Errorf("Use another account leads to %q, want back to this consent", got)
	}
	posted := form(t, page)
	if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("Allow of an organization left meanwhile: %d, want the form again", a.StatusCode)
	}
}

func TestLookingDecidesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, location := c.consentPage(c.request())
	posted := form(t, page)
	for _, action := range []string{"allow", "deny"} {
		posted.Set("action", action)
		if a := s.get(location + "&" + posted.Encode()); a.StatusCode != http.StatusOK || a.Header.Get("Location") != "" {
			t.Errorf("GET with %s: %d, Location %q, want the page", action, a.StatusCode, a.Header.Get("Location"))
		}
		// The parameters of a form are in its body alone.
		if a := s.post(s.browser, "/oauth/consent?"+posted.Encode(), url.Values{}); a.StatusCode != http.StatusNotFound {
			t.Errorf("POST with %s in the query: %d, want 404", action, a.StatusCode)
		}
	}
	posted.Set("action", "maybe")
	if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusBadRequest {
		t.Errorf("neither button: %d, want 400", a.StatusCode)
	}
	posted.Set("action", "allow")
	if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusSeeOther {
		t.Errorf("after all that, Allow: %d, want a redirect", a.StatusCode)
	}
}

func TestDenyTellsTheClientAndMakesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, _ := c.consentPage(c.request())
	posted := form(t, page)
	posted.Set("action", "deny")
	location, err := s.post(s.browser, "/oauth/consent", posted).Location()
	if err != nil {
		t.Fatal(err)
	}
	if got := location.Query(); got.Get("error") != "access_denied" || got.Get("state") != "s" || got.Get("iss") != s.url || got.Has("code") {
		t.Errorf("answer is %v, want access_denied with state and iss", got)
	}
	posted.Set("action", "allow")
	if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusNotFound {
		t.Errorf("Allow after Deny: %d, want 404", a.StatusCode)
	}
}

func TestConsentFormComesBackWithWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	for name, change := range map[string]func(url.Values){
		"nothing ticked":              func(f url.Values) { f.Del("scope") },
		"only offline access":         func(f url.Values) { f["scope"] = []string{store.ScopeOfflineAccess} },
		"a scope that was not asked":  func(f url.Values) { f["scope"] = []string{"admin"} },
		"no organization":             func(f url.Values) { f.Del("org_id") },
		"somebody else's":             func(f url.Values) { f.Set("org_id", "org_other") },
		"an organization that is SQL": func(f url.Values) { f.Set("org_id", "' OR 1=1 --") },
	} {
		page, _ := c.consentPage(c.request())
		posted := form(t, page)
		change(posted)
		a := s.post(s.browser, "/oauth/consent", posted)
		doc := a.page(t)
		if a.StatusCode != http.StatusUnprocessableEntity || doc.Find("input[name=request]").Length() != 1 || doc.Find(".notice.bad[role=alert]").Length() != 1 {
			t.Errorf("%s: %d, want the form again with what is wrong", name, a.StatusCode)
		}
		// What was ticked and chosen stays.
		doc.Find("input[name=scope], input[name=org_id]").Each(func(_ int, input *goquery.Selection) {
			_, checked := input.Attr("checked")
			if want := slices.Contains(posted[input.AttrOr("name", "")], input.AttrOr("value", "")); checked != want {
				t.Errorf("%s: %s is checked: %v, want %v", name, input.AttrOr("value", ""), checked, want)
			}
		})
		if s.post(s.browser, "/oauth/consent", form(t, page)).StatusCode != http.StatusSeeOther {
			t.Errorf("%s: the form cannot be sent again", name)
		}
	}
}

// TestConsentIsBoundToBrowserAndPerson is the confused deputy of the MCP security
// practices, and its relatives.
func TestConsentIsBoundToBrowserAndPerson(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, location := c.consentPage(c.request())
	posted := form(t, page)

	victim := newBrowser(t)
	if a := s.post(victim, "/oauth/consent", posted); a.StatusCode != http.StatusNotFound {
		t.Errorf("posted by another browser: %d, want 404", a.StatusCode)
	}
	mine := s.browser
	s.browser = victim
	if a := s.get(location); a.StatusCode != http.StatusNotFound {
		t.Errorf("opened in another browser: %d, want 404", a.StatusCode)
	}
	s.browser = mine

	s.people.mu.Lock()
	s.people.signedIn = "user_bob"
	s.people.mu.Unlock()
	if _, _, err := s.people.Sync(t.Context(), "user_bob"); err != nil {
		t.Fatal(err)
	}
	if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusNotFound {
		t.Errorf("posted by another person than looked at it: %d, want 404", a.StatusCode)
	}
	if a := s.get(location); a.StatusCode != http.StatusOK {
		t.Errorf("looked at by that person: %d, want the page", a.StatusCode)
	}
	s.people.mu.Lock()
	s.people.signedIn = "user_alice"
	s.people.mu.Unlock()
	if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusNotFound {
		t.Errorf("posted by the first person, whose page is no longer the last: %d, want 404", a.StatusCode)
	}

	s.people.mu.Lock()
	s.people.signedIn = ""
	s.people.mu.Unlock()
	if a := s.get(location); !strings.HasPrefix(a.Header.Get("Location"), "/sign-in?return_to=") {
		t.Errorf("signed out: %d, Location %q, want the sign-in", a.StatusCode, a.Header.Get("Location"))
	}

	s.people.mu.Lock()
	s.people.signedIn = "user_alice"
	s.people.mu.Unlock()
	posted = form(t, s.get(location))
	for _, row := range []struct {
		site, origin string
		want         int
	}{
		{"cross-site", "https://evil.example", http.StatusForbidden},
		{"same-site", "https://other.scaling.cloud", http.StatusForbidden},
		{"", "https://evil.example", http.StatusForbidden},
		{"", "null", http.StatusForbidden},
		{"same-origin", s.url, http.StatusSeeOther},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/oauth/consent", strings.NewReader(posted.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", row.origin)
		if row.site != "" {
			r.Header.Set("Sec-Fetch-Site", row.site)
		}
		if a := s.do(s.browser, r); a.StatusCode != row.want {
			t.Errorf("posted from %s (%s): %d, want %d", row.origin, row.site, a.StatusCode, row.want)
		}
	}
}

func TestAllowPressedTwiceMakesOneConnection(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, _ := c.consentPage(c.request())
	posted := form(t, page)
	codes := 0
	for _, a := range race(8, func() answer { return s.post(s.browser, "/oauth/consent", posted) }) {
		switch a.StatusCode {
		case http.StatusSeeOther:
			codes++
		case http.StatusNotFound:
		default:
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
	if codes != 1 {
		t.Errorf("%d codes were issued, want 1", codes)
	}
	var connections int
	if err := s.store.Pool().QueryRow(t.Context(), `SELECT count(*) FROM connections`).Scan(&connections); err != nil || connections != 1 {
		t.Errorf("%d connections were made, %v, want 1", connections, err)
	}
}

func TestConsentWithoutClerkOrForTheBanned(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	page, location := c.consentPage(c.request())
	posted := form(t, page)
	s.people.mu.Lock()
	s.people.away = errors.New("clerk is away")
	s.people.mu.Unlock()
	for name, a := range map[string]answer{"page": s.get(location), "Allow": s.post(s.browser, "/oauth/consent", posted)} {
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("Clerk away, %s: %d, want 503 with Retry-After", name, a.StatusCode)
		}
		if got := a.page(t).Find(".actions a").AttrOr("href", ""); got != location {
			t.Errorf("Clerk away, %s: Try again leads to %q, want %q", name, got, location)
		}
	}
	s.people.mu.Lock()
	s.people.away, s.people.banned = nil, true
	s.people.mu.Unlock()
	for name, a := range map[string]answer{"page": s.get(location), "Allow": s.post(s.browser, "/oauth/consent", posted)} {
		if a.StatusCode != http.StatusForbidden {
			t.Errorf("banned, %s: %d, want 403", name, a.StatusCode)
		}
		another := "/sign-in?" + url.Values{"prompt": {"login"}, "return_to": {location}}.Encode()
		if link := a.page(t).Find(".actions a"); link.Text() != "Use another account" || link.AttrOr("href", "") != another {
			t.Errorf("banned, %s: %q leads to %q, want another account", name, link.Text(), link.AttrOr("href", ""))
		}
	}
	s.people.mu.Lock()
	s.people.banned = false
	s.people.mu.Unlock()
	if a := s.post(s.browser, "/oauth/consent", posted); a.StatusCode != http.StatusSeeOther {
		t.Errorf("after all that, Allow: %d, want a redirect: the request was still open", a.StatusCode)
	}
}

func TestPersonWhomClerkDoesNotKnowIsTurnedAway(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.register(claudeRedirect)
	_, location := c.consentPage(c.request())
	s.people.mu.Lock()
	s.people.away = fmt.Errorf("at Clerk: %w", store.ErrNotFound)
	s.people.mu.Unlock()
	if a := s.get(location); a.StatusCode != http.StatusForbidden {
		t.Errorf("%d, want 403: trying again does not help", a.StatusCode)
	}
}

// signIn makes alice's session one that began now.
func (s *server) signIn(prompted bool) {
	s.people.mu.Lock()
	defer s.people.mu.Unlock()
	s.people.session = store.Session{CreatedAt: s.clock.Now(), Prompted: prompted}
}

// TestSigningInAnewCannotBeSkipped: where the client demands it (prompt=login,
// OpenID Connect Core §3.1.2.1), an older session neither sees nor decides the
// request, and nor does one that Clerk gave without asking.
func TestSigningInAnewCannotBeSkipped(t *testing.T) {
	t.Parallel()
	for _, prompt := range []string{"login", "select_account", "consent login"} {
		s := start(t)
		c := s.register(claudeRedirect)
		s.signIn(true)
		s.clock.advance(time.Second)
		f := c.request()
		f.Set("prompt", prompt)
		a := s.get("/oauth/authorize?" + f.Encode())
		at, err := a.Location()
		if err != nil || at.Path != "/sign-in" || at.Query().Get("prompt") != "login" {
			t.Fatalf("%s: Location is %v, want the sign-in with prompt=login", prompt, at)
		}
		consent := at.Query().Get("return_to")
		u, err := url.Parse(consent)
		if err != nil {
			t.Fatal(err)
		}
		allow := url.Values{"request": {u.Query().Get("request")}, "action": {"allow"}, "org_id": {acme.ID}, "scope": {store.ScopeIncidentsRead}}
		demands := func(when string) {
			t.Helper()
			for name, a := range map[string]answer{"page": s.get(consent), "Allow": s.post(s.browser, "/oauth/consent", allow)} {
				if got := a.Header.Get("Location"); got != at.RequestURI() {
					t.Errorf("%s, %s, %s: %d, Location %q, want %q", prompt, when, name, a.StatusCode, got, at.RequestURI())
				}
			}
		}
		demands("signed in before")
		s.clock.advance(time.Second)
		s.signIn(false)
		demands("signed in silently")
		s.signIn(true)
		if page := s.get(consent); page.StatusCode != http.StatusOK {
			t.Errorf("%s, signed in anew: %d, want the consent page", prompt, page.StatusCode)
		}
		if a := s.post(s.browser, "/oauth/consent", allow); !strings.HasPrefix(a.Header.Get("Location"), claudeRedirect+"?") {
			t.Errorf("%s, signed in anew, Allow: %d %s", prompt, a.StatusCode, a.body)
		}
	}
}

func TestTwoTabsDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, d := s.register(claudeRedirect), s.register("https://other.example/cb")
	first, _ := c.consentPage(c.request())
	second, _ := d.consentPage(d.request())
	for name, page := range map[string]answer{"first": first, "second": second} {
		if a := s.post(s.browser, "/oauth/consent", form(t, page)); a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s tab: %d", name, a.StatusCode)
		}
	}
}

func TestClientNamesCannotDisguiseThemselves(t *testing.T) {
	t.Parallel()
	s := start(t)
	body, err := json.Marshal(map[string]any{
		"client_name":   "Cla\u200bu\u1160de\u202e\u2800 <b>Desk</b>\u3164\n\ntop\u2066 Ｃ" + strings.Repeat("x", 100),
		"redirect_uris": []string{"https://evil.example/cb"}, "token_endpoint_auth_method": "none",
	})
	if err != nil {
		t.Fatal(err)
	}
	id := s.postJSON("/oauth/register", string(body)).json(t)["client_id"].(string)
	c := &oauthClient{s: s, id: id, redirectURI: "https://evil.example/cb", verifier: strings.Repeat("v", 43)}
	page, _ := c.consentPage(c.request())
	text := page.page(t).Find("body").Text()
	if strings.ContainsAny(text, "\u200b\u202e\u2066\u1160\u3164\u2800") {
		t.Error("invisible characters are on the page")
	}
	if !strings.Contains(text, "Claude <b>Desk</b> top C") || strings.Contains(text, strings.Repeat("x", 65)) {
		t.Errorf("the name is not shown as plain, short text: %q", text)
	}
}
