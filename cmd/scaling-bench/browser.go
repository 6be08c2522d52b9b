package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"github.com/PuerkitoBio/goquery"
)

// browser is that of a person who consents to everything: it keeps cookies and
// presses buttons.
type browser struct {
	person string
	http   *http.Client
}

func newBrowser(person string) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // without options it cannot fail
	}
	return &browser{person, &http.Client{Transport: newTransport(), Timeout: requestBound, Jar: jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		if len(via) > 10 {
			return fmt.Errorf("redirected in circles at %s", r.URL)
		}
		return nil
	}}}
}

// allow goes through an authorization request and returns its answer: signs in
// at the development Clerk if need be, and presses Allow for the first
// organization with what is ticked.
func (p *browser) allow(ctx context.Context, authorizeURL string) (url.Values, error) {
	at, page, err := p.do(ctx, http.MethodGet, authorizeURL, nil)
	if err != nil {
		return nil, err
	}
	for _, label := range []string{p.person, "Allow"} {
		button := page.Find("button").FilterFunction(func(_ int, b *goquery.Selection) bool {
			return strings.Join(strings.Fields(b.Text()), " ") == label
		}).First()
		if button.Length() == 0 && label == p.person {
			continue // signed in already
		}
		if button.Length() == 0 {
			return nil, fmt.Errorf("no button %q at %s", label, at)
		}
		action, form := fill(button)
		to, err := at.Parse(action)
		if err != nil {
			return nil, err
		}
		if at, page, err = p.do(ctx, http.MethodPost, to.String(), form); err != nil {
			return nil, err
		}
	}
	if page != nil {
		return nil, fmt.Errorf("Allow led to %s: %s", at, strings.Join(strings.Fields(page.Find("main").Text()), " "))
	}
	return at.Query(), nil
}

// fill returns what pressing a button posts, and where. Of radio buttons without
// a choice the first is chosen.
func fill(button *goquery.Selection) (action string, form url.Values) {
	of := button.Closest("form")
	form = url.Values{}
	of.Find("input").Each(func(_ int, input *goquery.Selection) {
		name, value := input.AttrOr("name", ""), input.AttrOr("value", "")
		_, checked := input.Attr("checked")
		switch input.AttrOr("type", "text") {
		case "checkbox":
			if !checked {
				return
			}
		case "radio":
			if !checked && form.Has(name) {
				return
			}
			form.Set(name, value)
			return
		}
		form.Add(name, value)
	})
	if name, ok := button.Attr("name"); ok {
		form.Set(name, button.AttrOr("value", ""))
	}
	return of.AttrOr("action", ""), form
}

// do opens a page, or posts a form to it, and follows redirects. page is nil
// where they led to the client: at is then its redirect URI with the answer.
func (p *browser) do(ctx context.Context, method, to string, form url.Values) (at *url.URL, page *goquery.Document, err error) {
	r, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	response, err := p.http.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, err
	}
	if at, err := response.Location(); err == nil {
		return at, nil, nil
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, errors.New(response.Request.URL.String() + ": " + response.Status)
	}
	page, err = goquery.NewDocumentFromReader(strings.NewReader(string(body)))
	return response.Request.URL, page, err
}
