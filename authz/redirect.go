package authz

import (
	"net/url"
	"slices"
	"strings"
)

// maxRedirectURI bounds one redirect URI, in bytes.
const maxRedirectURI = 2048

// privateSchemes are the private-use schemes without a dot that are allowed,
// because well-known clients use them (RFC 8252 §7.1 asks for a reversed domain
// name, which has a dot).
var privateSchemes = []string{"cursor", "vscode", "vscode-insiders"}

// checkRedirectURI says what is wrong with a redirect URI that a client wants to
// register (design §9): empty if nothing. It is an allow-list: javascript:,
// data:, file: and their kind have no dot and are not on it.
func checkRedirectURI(raw string) (problem string) {
	if len(raw) > maxRedirectURI {
		return "is longer than 2048 bytes"
	}
	for _, r := range raw {
		if r <= ' ' || r >= 0x7f || r == '\\' || r == '"' || r == '<' || r == '>' {
			return "contains a character that a URI cannot have"
		}
	}
	u, err := url.Parse(raw)
	if err != nil || !u.IsAbs() {
		return "is not an absolute URI"
	}
	if strings.Contains(raw, "#") {
		return "has a fragment (RFC 6749 §3.1.2)"
	}
	if u.User != nil {
		return "carries user information"
	}
	// net/url lets a host have what a Content-Security-Policy would take for the
	// end of a source: the consent page names the host in one.
	if strings.ContainsAny(u.Host, ";,'*") {
		return "has a host that is neither a name nor an address"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "has a query that cannot be read"
	}
	for _, name := range []string{"code", "state", "iss", "error", "error_description", "error_uri"} {
		if query.Has(name) {
			return "has a query parameter that belongs to the response (RFC 6749 §4.1.2)"
		}
	}
	switch {
	case u.Scheme == "https":
		if u.Hostname() == "" {
			return "has no host"
		}
		return ""
	case u.Scheme == "http":
		if !loopback(u) {
			return "uses http to a host that is not this computer; use https"
		}
		return ""
	case strings.Contains(u.Scheme, "."), slices.Contains(privateSchemes, u.Scheme):
		return ""
	}
	return "uses a scheme that is not allowed"
}

// loopback reports whether u is an http URI on the person's own computer (RFC
// 8252 §7.3). localhost is among them, against that section's advice: Claude
// Code, Codex and others register it.
func loopback(u *url.URL) bool {
	if u.Scheme != "http" {
		return false
	}
	switch u.Hostname() {
	case "127.0.0.1", "::1", "localhost":
		return true
	}
	return false
}

// matchRedirectURI reports whether requested is one of the registered redirect
// URIs: the same string, or the same loopback URI on another port, which a
// native client picks at run time (RFC 8252 §7.3).
func matchRedirectURI(registered []string, requested string) bool {
	if slices.Contains(registered, requested) {
		return true
	}
	portless, ok := withoutLoopbackPort(requested)
	if !ok {
		return false
	}
	return slices.ContainsFunc(registered, func(uri string) bool {
		other, ok := withoutLoopbackPort(uri)
		return ok && other == portless
	})
}

// withoutLoopbackPort returns a loopback redirect URI without its port. ok is
// false for every other URI.
func withoutLoopbackPort(raw string) (uri string, ok bool) {
	if checkRedirectURI(raw) != "" {
		return "", false
	}
	u, err := url.Parse(raw)
	if err != nil || !loopback(u) {
		return "", false
	}
	// The text is cut, not printed anew: what was equal stays equal byte for byte.
	before, after, _ := strings.Cut(raw, u.Host)
	return before + strings.TrimSuffix(u.Host, ":"+u.Port()) + after, true
}

// withParameters returns the redirect URI with parameters added to its query
// (RFC 6749 §3.1.2: the query that it has is kept).
func withParameters(redirectURI string, parameters url.Values) string {
	base, query, found := strings.Cut(redirectURI, "?")
	if found && query != "" {
		query += "&"
	}
	return base + "?" + query + parameters.Encode()
}
