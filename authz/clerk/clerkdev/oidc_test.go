package clerkdev_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
)

// browser has a cookie jar and stops where it would leave the development
// Clerk.
type browser struct {
	t *testing.T
	*http.Client
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectURI) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// answer is a response: a page, or the parameters sent to the redirect URI.
type answer struct {
	status int
	page   *goquery.Document
	sent   url.Values // nil: nothing was sent
}

func (b *browser) read(response *http.Response, err error) answer {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode}
	if location, err := response.Location(); err == nil {
		a.sent = location.Query()
	}
	if a.page, err = goquery.NewDocumentFromReader(response.Body); err != nil {
		b.t.Fatal(err)
	}
	return a
}

func (b *browser) get(url string) answer {
	b.t.Helper()
	return b.read(b.Get(url))
}

// press posts the sign-in form of page with the button that has the label.
func (b *browser) press(s *clerkdev.Server, page *goquery.Document, label string) answer {
	b.t.Helper()
	button := page.Find("form[action='/sign-in'] button").FilterFunction(func(_ int, button *goquery.Selection) bool {
		return button.Text() == label
	})
	if button.Length() != 1 {
		b.t.Fatalf("got %d buttons %q, want 1", button.Length(), label)
	}
	form := url.Values{
		"request":                  {page.Find("input[name=request]").AttrOr("value", "")},
		button.AttrOr("name", "?"): {button.AttrOr("value", "")},
	}
	return b.read(b.PostForm(s.URL()+"/sign-in", form))
}

// client is the OAuth client as the product configures it.
func client(t *testing.T, s *clerkdev.Server) (*oidc.Provider, *oauth2.Config) {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return provider, &oauth2.Config{
		ClientID:     clientID,
		ClientSecret: clientSecret,
		RedirectURL:  redirectURI,
		Endpoint:     endpoint,
		Scopes:       []string{"openid", "profile", "email"},
	}
}

const state = "a-state-of-enough-length"

func TestGoOIDCSignsInWithPKCEAndNonce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	provider, config := client(t, s)
	verifier := oauth2.GenerateVerifier()
	b := newBrowser(t)

	page := b.get(config.AuthCodeURL(state, oidc.Nonce("the-nonce"), oauth2.S256ChallengeOption(verifier)))
	labels := page.page.Find(".people button").Map(func(_ int, s *goquery.Selection) string { return s.Text() })
	if diff := cmp.Diff([]string{"alice@acme.example", "bob@acme.example", "carol@globex.example", "dave@solo.example"}, labels); diff != "" {
		t.Fatalf("buttons (-want +got):\n%s", diff)
	}
	back := b.press(s, page.page, "alice@acme.example")
	if got := back.sent.Get("state"); got != state {
		t.Fatalf("state: got %q, want %q", got, state)
	}
	token, err := config.Exchange(t.Context(), back.sent.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: clientID, SupportedSigningAlgs: []string{"RS256"}}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if idToken.Nonce != "the-nonce" {
		t.Errorf("nonce: got %q", idToken.Nonce)
	}
	var claims, info struct {
		Subject       string `json:"sub"`
		Name          string `json:"name"`
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified"`
	}
	if err := idToken.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	want := claims
	want.Subject, want.Name, want.Email, want.EmailVerified = clerkdev.AliceID, "Alice Archer", "alice@acme.example", true
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("ID token (-want +got):\n%s", diff)
	}
	userinfo, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatal(err)
	}
	if err := userinfo.Claims(&info); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("userinfo (-want +got):\n%s", diff)
	}
}

func TestPromptDecidesWhetherASignedInBrowserIsAsked(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, config := client(t, s)
	b := newBrowser(t)
	authorize := func(prompt string) answer {
		t.Helper()
		u := config.AuthCodeURL(state, oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))
		if prompt != "" {
			u += "&prompt=" + prompt
		}
		return b.get(u)
	}
	if got := authorize("none").sent.Get("error"); got != "login_required" {
		t.Errorf("none, signed out: got error %q, want login_required", got)
	}
	page := authorize("")
	if page.sent != nil {
		t.Fatalf("no prompt, signed out: sent %v, want a page", page.sent)
	}
	if b.press(s, page.page, "bob@acme.example").sent.Get("code") == "" {
		t.Fatal("no code after signing in")
	}
	for _, silent := range []string{"", "none"} {
		if got := authorize(silent); got.sent.Get("code") == "" {
			t.Errorf("prompt %q, signed in: got %d %v, want a code", silent, got.status, got.sent)
		}
	}
	if got := authorize("login").page.Find(".people button").Length(); got != 4 {
		t.Errorf("login, signed in: got %d people, want 4", got)
	}
	if got := authorize("consent").page.Find(".people button").Text(); got != "bob@acme.example" {
		t.Errorf("consent, signed in: got %q, want bob@acme.example alone", got)
	}
	mustDo(t, s, "revoke-sessions", `{"user":"bob@acme.example"}`)
	if got := authorize("none").sent.Get("error"); got != "login_required" {
		t.Errorf("none, sessions revoked: got error %q, want login_required", got)
	}
}

func TestCancelAndBannedPeopleGetNoCode(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, config := client(t, s)
	b := newBrowser(t)
	page := b.get(config.AuthCodeURL(state, oauth2.S256ChallengeOption(oauth2.GenerateVerifier())))
	cancelled := b.press(s, page.page, "Cancel").sent
	if cancelled.Get("error") != "access_denied" || cancelled.Get("state") != state || cancelled.Has("code") {
		t.Errorf("cancel: got %v, want access_denied with the state", cancelled)
	}
	mustDo(t, s, "ban", `{"user":"bob@acme.example"}`)
	banned := b.press(s, page.page, "bob@acme.example")
	if banned.status != http.StatusForbidden || banned.sent != nil {
		t.Errorf("banned: got %d %v, want the page again with 403", banned.status, banned.sent)
	}
}

func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	valid := url.Values{
		"response_type":         {"code"},
		"client_id":             {clientID},
		"redirect_uri":          {redirectURI},
		"state":                 {state},
		"scope":                 {"openid profile email"},
		"code_challenge":        {oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())},
		"code_challenge_method": {"S256"},
	}
	for name, test := range map[string]struct {
		set  url.Values
		want string // error sent to the redirect URI; empty: a page, nothing sent
	}{
		"RFC 6749 §4.1.2.1: unknown client":           {url.Values{"client_id": {"other"}}, ""},
		"RFC 6749 §4.1.2.1: client twice":             {url.Values{"client_id": {clientID, clientID}}, ""},
		"RFC 6749 §4.1.2.1: unregistered redirect":    {url.Values{"redirect_uri": {redirectURI + "/more"}}, ""},
		"RFC 6749 §4.1.2.1: redirect to another host": {url.Values{"redirect_uri": {"https://evil.example/"}}, ""},
		"RFC 6749 §4.1.2.1: no redirect":              {url.Values{"redirect_uri": nil}, ""},
		"RFC 6749 §3.1: parameter twice":              {url.Values{"scope": {"openid", "email"}}, "invalid_request"},
		"response_type token":                         {url.Values{"response_type": {"token"}}, "unsupported_response_type"},
		"response_mode form_post":                     {url.Values{"response_mode": {"form_post"}}, "invalid_request"},
		"Clerk: state of 7 characters":                {url.Values{"state": {"1234567"}}, "invalid_request"},
		"Clerk: no state":                             {url.Values{"state": nil}, "invalid_request"},
		"RFC 7636 §4.3: no challenge":                 {url.Values{"code_challenge": nil}, "invalid_request"},
		"RFC 7636 §4.3: method absent means plain":    {url.Values{"code_challenge_method": nil}, "invalid_request"},
		"RFC 7636 §4.3: plain":                        {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		"unknown scope":                               {url.Values{"scope": {"openid admin"}}, "invalid_scope"},
		"unknown prompt":                              {url.Values{"prompt": {"select_account"}}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			q := url.Values{}
			for key, value := range valid {
				q[key] = value
			}
			for key, value := range test.set {
				q[key] = value
			}
			got := newBrowser(t).get(s.URL() + "/oauth/authorize?" + q.Encode())
			if test.want == "" {
				if got.sent != nil || got.status != http.StatusBadRequest || got.page.Find("[role=alert]").Length() != 1 {
					t.Errorf("got %d, sent %v, want an error page and nothing sent", got.status, got.sent)
				}
				return
			}
			if got.sent.Get("error") != test.want || got.sent.Get("state") != q.Get("state") {
				t.Errorf("got %v, want %s with the request's state", got.sent, test.want)
			}
		})
	}
}

// newCode signs alice in and returns a code and its verifier.
func newCode(t *testing.T, s *clerkdev.Server, config *oauth2.Config) (code, verifier string) {
	t.Helper()
	verifier = oauth2.GenerateVerifier()
	b := newBrowser(t)
	page := b.get(config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)))
	return b.press(s, page.page, "alice@acme.example").sent.Get("code"), verifier
}

func TestCodeRedeemedOnceUnderRace(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, config := client(t, s)
	code, verifier := newCode(t, s, config)
	var redeemed atomic.Int32
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			_, err := config.Exchange(context.WithoutCancel(t.Context()), code, oauth2.VerifierOption(verifier))
			if err == nil {
				redeemed.Add(1)
				return
			}
			if code := errorCode(err); code != "invalid_grant" {
				t.Errorf("got %v, want invalid_grant", err)
			}
		})
	}
	wg.Wait()
	if got := redeemed.Load(); got != 1 {
		t.Errorf("redeemed %d times, want once", got)
	}
}

func errorCode(err error) string {
	if failed, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return failed.ErrorCode
	}
	return ""
}

func TestTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	now := &clock{now: time.Now()}
	s := start(t, func(c *clerkdev.Config) { c.Now = now.Now })
	for name, test := range map[string]struct {
		change func(*oauth2.Config)
		before func()
		option oauth2.AuthCodeOption
		want   string
	}{
		"RFC 7636 §4.6: verifier differs": {option: oauth2.VerifierOption(oauth2.GenerateVerifier()), want: "invalid_grant"},
		"RFC 7636 §4.6: no verifier":      {option: oauth2.SetAuthURLParam("code_verifier", ""), want: "invalid_grant"},
		"RFC 6749 §4.1.3: redirect URI differs": {
			change: func(c *oauth2.Config) { c.RedirectURL += "/" }, want: "invalid_grant"},
		"RFC 6749 §5.2: wrong secret": {
			change: func(c *oauth2.Config) { c.ClientSecret = "wrong" }, want: "invalid_client"},
		"RFC 6749 §5.2: no secret": {
			change: func(c *oauth2.Config) { c.ClientSecret, c.Endpoint.AuthStyle = "", oauth2.AuthStyleInParams }, want: "invalid_client"},
		"RFC 6749 §2.3: two methods at once": {
			option: oauth2.SetAuthURLParam("client_secret", clientSecret), want: "invalid_request"},
		"RFC 6749 §5.2: unknown grant type": {
			option: oauth2.SetAuthURLParam("grant_type", "password"), want: "unsupported_grant_type"},
		"RFC 6749 §4.1.2: code after ten minutes": {
			before: func() { now.now = now.now.Add(10 * time.Minute) }, want: "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			_, config := client(t, s)
			code, verifier := newCode(t, s, config)
			if test.change != nil {
				test.change(config)
			}
			if test.before != nil {
				test.before()
			}
			options := []oauth2.AuthCodeOption{oauth2.VerifierOption(verifier)}
			if test.option != nil {
				options = append(options, test.option)
			}
			_, err := config.Exchange(t.Context(), code, options...)
			if got := errorCode(err); got != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestClientMayAuthenticateInTheBody(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, config := client(t, s)
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	code, verifier := newCode(t, s, config)
	if _, err := config.Exchange(t.Context(), code, oauth2.VerifierOption(verifier)); err != nil {
		t.Fatal(err)
	}
}

func TestRefreshTokenIsSpentAtEachUse(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	_, config := client(t, s)
	config.Scopes = append(config.Scopes, oidc.ScopeOfflineAccess)
	code, verifier := newCode(t, s, config)
	first, err := config.Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	refresh := func(token string) (*oauth2.Token, error) {
		return config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token}).Token()
	}
	second, err := refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refresh(first.RefreshToken); errorCode(err) != "invalid_grant" {
		t.Errorf("second use: got %v, want invalid_grant", err)
	}
	if _, err := refresh(second.RefreshToken); err != nil {
		t.Errorf("the new one: %v", err)
	}
}

func TestAccessTokenEndsWithRevocationAndWithTheBan(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	provider, config := client(t, s)
	access := func() *oauth2.Token {
		code, verifier := newCode(t, s, config)
		token, err := config.Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	form := func(path string, token *oauth2.Token) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+path, strings.NewReader(url.Values{"token": {token.AccessToken}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(clientSecret))
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	works := func(token *oauth2.Token) bool {
		_, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
		return err == nil
	}
	revoked, banned := access(), access()
	if !works(revoked) || !works(banned) {
		t.Fatal("a fresh access token does not work")
	}
	if got := form("/oauth/token/revoke", revoked).StatusCode; got != http.StatusOK {
		t.Fatalf("revoke: got %d, want 200", got)
	}
	if works(revoked) {
		t.Error("a revoked access token works")
	}
	mustDo(t, s, "ban", `{"user":"alice@acme.example"}`)
	if works(banned) {
		t.Error("the access token of a banned person works")
	}
}
