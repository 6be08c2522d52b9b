package authz

import (
	"slices"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/visible"
	"scaling.cloud/mcp/web/ui"
)

// identity is who a client is, for the purposes of one request (design §9).
type identity struct {
	Key      string // groups connections, and what policies name
	Name     string // shown to people
	Verified bool   // proven by where the answer is sent, not only claimed
}

// wellKnown is a client that everybody knows, and the https redirect URIs that
// nobody but its maker can receive an answer at. Sources: Claude,
// claude.com/docs/connectors/building/authentication; ChatGPT,
// Altinity/altinity-mcp#118; Cursor, agent-connector-for-wp#111; Visual Studio
// Code, oauth.ts in microsoft/vscode; Antigravity, google-gemini/gemini-cli.
type wellKnown struct {
	key, name    string
	redirectURIs []string
	// forwards: the redirect URI hands the answer to whichever computer asked, so
	// two connections through it are two installs.
	forwards bool
}

// catalogue returns the well-known clients. A name alone proves nothing: a
// client is one of these only by the redirect URI of the request at hand.
func catalogue() []wellKnown {
	return []wellKnown{
		{"claude", "Claude", []string{"https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"}, false},
		{"chatgpt", "ChatGPT", []string{"https://chatgpt.com/connector_platform_oauth_redirect"}, false},
		{"cursor", "Cursor", []string{"https://www.cursor.com/agents/mcp/oauth/callback"}, false},
		{"vscode", "Visual Studio Code", []string{"https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect"}, true},
		{"antigravity", "Antigravity", []string{"https://antigravity.google/oauth-callback"}, false},
	}
}

// lookUp returns the well-known client that receives answers at redirectURI.
func lookUp(redirectURI string) (known wellKnown, ok bool) {
	for _, known := range catalogue() {
		if slices.Contains(known.redirectURIs, redirectURI) {
			return known, true
		}
	}
	return wellKnown{}, false
}

// identify tells who a client is in a request that goes back to redirectURI.
func identify(c *store.Client, redirectURI string) identity {
	if known, ok := lookUp(redirectURI); ok {
		return identity{Key: "catalogue:" + known.key, Name: known.name, Verified: true}
	}
	name := displayName(c.Name)
	place, _ := ui.RedirectPlace(redirectURI)
	return identity{Key: "name:" + cases.Fold().String(name) + "@" + place, Name: name}
}

// supersedes reports whether a new connection that goes back to redirectURI takes
// the place of the older ones of the same person, organization and client
// (design §8): only where one address means one install.
func supersedes(redirectURI string) bool {
	known, _ := lookUp(redirectURI)
	return strings.HasPrefix(redirectURI, "https://") && !known.forwards
}

// maxNameShown is how much of a client's name is shown, in code points.
const maxNameShown = 64

// unnamed stands where a client gave no name that can be shown.
const unnamed = "An unnamed client"

// displayName returns a client's name in a form that cannot pretend to be
// another by characters that nobody sees: compatibility forms are resolved and
// invisible characters dropped.
func displayName(name string) string {
	name = visible.Only(norm.NFKC.String(name))
	if runes := []rune(name); len(runes) > maxNameShown {
		name = strings.TrimSpace(string(runes[:maxNameShown])) + "…"
	}
	if name == "" {
		return unnamed
	}
	return name
}
