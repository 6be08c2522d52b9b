package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

// person is somebody with a browser that keeps cookies and runs no script. They
// read pages and press buttons; they never touch an API.
type person struct {
	t       testing.TB
	email   string
	browser *http.Client
	page    *goquery.Document
	at      *url.URL
	status  int
	left    *url.URL // where the browser was sent that is not ours: the client
	header  http.Header
	ticks   []string // scopes that they allow although nothing is ticked
}

func newPerson(t testing.TB, email string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, email: email}
	p.browser = &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			p.left = r.URL
			return http.ErrUseLastResponse
		}
		if len(via) > 10 {
			return fmt.Errorf("redirected in circles at %s", r.URL)
		}
		return nil
	}}
	return p
}

// callback is the redirect URI of the clients in these tests. Nobody listens
// there: the browser stops in front of it.
const callback = "http://127.0.0.1:33418/callback"

// open goes to a URL and wherever it redirects.
func (p *person) open(rawURL string) *person {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, rawURL, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.do(r)
}

func (p *person) do(r *http.Request) *person {
	p.t.Helper()
	p.left = nil
	r.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	response, err := p.browser.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	p.status, p.at, p.header = response.StatusCode, response.Request.URL, response.Header
	if p.left != nil {
		return p
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.page, err = goquery.NewDocumentFromReader(strings.NewReader(string(body))); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// press presses the button with the given label, with change made to its form.
func (p *person) press(label string, change func(url.Values)) *person {
	p.t.Helper()
	button := p.page.Find("button").FilterFunction(func(_ int, b *goquery.Selection) bool {
		return strings.Join(strings.Fields(b.Text()), " ") == label
	}).First()
	if button.Length() == 0 {
		p.t.Fatalf("no button %q on %s (%d): %s", label, p.at, p.status, p.text())
	}
	form := button.Closest("form")
	values := url.Values{}
	form.Find("input").Each(func(_ int, input *goquery.Selection) {
		kind := input.AttrOr("type", "text")
		_, checked := input.Attr("checked")
		if (kind == "radio" || kind == "checkbox") && !checked {
			return
		}
		values.Add(input.AttrOr("name", ""), input.AttrOr("value", ""))
	})
	if name, ok := button.Attr("name"); ok {
		values.Set(name, button.AttrOr("value", ""))
	}
	if change != nil {
		change(values)
	}
	action, err := p.at.Parse(form.AttrOr("action", ""))
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, action.String(), strings.NewReader(values.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", p.at.Scheme+"://"+p.at.Host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return p.do(r)
}

// text is what the page says, in one line.
func (p *person) text() string {
	if p.page == nil {
		return ""
	}
	return strings.Join(strings.Fields(p.page.Find("body").Text()), " ")
}

// says fails the test unless the page says all of want.
func (p *person) says(want ...string) *person {
	p.t.Helper()
	for _, w := range want {
		if !strings.Contains(p.text(), w) {
			p.t.Errorf("%s does not say %q, but: %s", p.at, w, p.text())
		}
	}
	return p
}

// signIn goes to a page of ours and signs in at the development Clerk if need be.
func (p *person) signIn(rawURL string) *person {
	p.t.Helper()
	p.open(rawURL)
	if p.left == nil && p.page.Find("button").FilterFunction(func(_ int, b *goquery.Selection) bool {
		return strings.TrimSpace(b.Text()) == p.email
	}).Length() > 0 {
		p.press(p.email, nil)
	}
	return p
}

// allow goes through an authorization request to its end, for an organization,
// and returns what the client gets.
func (p *person) allow(authorizeURL, orgID string) url.Values {
	p.t.Helper()
	p.signIn(authorizeURL)
	p.press("Allow", func(form url.Values) {
		form.Set("org_id", orgID)
		form["scope"] = append(form["scope"], p.ticks...)
	})
	if p.left == nil {
		p.t.Fatalf("Allow led to %s (%d): %s", p.at, p.status, p.text())
	}
	return p.left.Query()
}
