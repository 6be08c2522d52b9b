// Package ui is the look of every page: the layout, the parts that pages are
// put together from, the stylesheet, and the headers that keep a browser to
// them. Its components take strings and view structs and do no I/O. Pages need
// no script; those of the dashboard carry one that says which time zone the
// browser is in, and the one that says how to connect a client a second. The
// consent page, and whatever else stands alone, has none. No page has a style
// attribute. The headers forbid all others.
//
// What a page says is its own package's business, with one exception: Consent
// is here, because authz shows it and its look is the same product's.
package ui

import (
	"net/http"
	"strings"
)

// SetHeaders sets the headers of an HTML page. Its forms may be posted to our
// own origin, and redirected on to the CSP sources in formAction: an origin, or
// a scheme with its colon (CSP Level 3 §6.4.1 checks the whole redirect chain).
//
// The referrer policy is same-origin and not no-referrer, with which browsers
// post "Origin: null", and the check for cross-origin requests would refuse our
// own forms.
func SetHeaders(h http.Header, formAction ...string) {
	setHeaders(h, "", formAction...)
}

// SetPageHeaders sets the headers of a Page, which may carry a script of ours.
func SetPageHeaders(h http.Header) { setHeaders(h, "script-src 'self'; ") }

// SetAskingHeaders sets those of a Page whose script may also ask our own origin.
func SetAskingHeaders(h http.Header) { setHeaders(h, "script-src 'self'; connect-src 'self'; ") }

func setHeaders(h http.Header, scripts string, formAction ...string) {
	target := strings.Join(append([]string{"'self'"}, formAction...), " ")
	h.Set("Content-Security-Policy", "default-src 'none'; "+scripts+"style-src 'self'; img-src 'self'; form-action "+target+
		"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}
