package signin

import (
	"net/url"
	"strings"
)

// defaultReturn is where a person lands who was not going anywhere.
const defaultReturn = "/settings/connections"

// maxReturn bounds what is kept for an attempt. An authorization request's path
// is far shorter.
const maxReturn = 4096

// localPath returns target if it is a path (and query) on our own origin, else
// defaultReturn. Everything that a browser could read as another origin is
// refused, by the URL Standard and not only RFC 3986: "//host", a backslash for
// a slash, tabs and newlines, which browsers drop before they look.
func localPath(target string) string {
	if len(target) > maxReturn || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return defaultReturn
	}
	for _, c := range []byte(target) {
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return defaultReturn
		}
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil {
		return defaultReturn
	}
	return target
}
