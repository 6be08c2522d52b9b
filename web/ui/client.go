package ui

import (
	"net/url"

	"scaling.cloud/mcp/loopback"
)

// Client is how a page speaks of a client: what it calls itself, and what is
// known of it.
type Client struct {
	Name     string
	Verified bool
	// Host is where the client sends people: see RedirectPlace.
	Host string
	// Local: the redirect stays on the person's computer, so that nobody can
	// know which program receives it. Such a client is never shown as verified.
	Local bool
}

// RedirectPlace says where a redirect URI leads, in a form for people: the host
// of an https URI; else, with local set, the loopback host without its port,
// which is another one each time, or the private-use scheme (RFC 8252 §7).
func RedirectPlace(redirectURI string) (host string, local bool) {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return "an unknown place", false
	}
	switch u.Scheme {
	case "https":
		return u.Host, loopback.Host(u.Hostname())
	case "http":
		return u.Hostname(), loopback.Host(u.Hostname())
	}
	return u.Scheme + "://", true
}

func (c Client) proven() bool { return c.Verified && !c.Local }

// possessive is whose computer a local client runs on.
func possessive(mine bool) string {
	if mine {
		return "your"
	}
	return "their"
}
