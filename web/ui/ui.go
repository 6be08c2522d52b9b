// Package ui is the look of every page: the layout, the parts that pages are
// put together from, the stylesheet, and the headers that keep a browser to
// them. Its components take strings and view structs and do no I/O. Pages need
// no script, and all but the one that says how to connect a client carry none;
// none has a style attribute. SetHeaders forbids both.
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

// SetScriptedHeaders sets the headers of an HTML page that carries a script of
// ours, which may ask our own origin.
func SetScriptedHeaders(h http.Header) { setHeaders(h, "script-src 'self'; connect-src 'self'; ") }

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
