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

// wellKnown is a client that everybody knows, with what proves it: the URLs of its
// metadata document, and https redirect URIs that nobody but its maker can
// receive an answer at. Both are compared byte for byte. A prefix proves nothing:
// chatgpt.com publishes a document under any id that one makes up.
//
// Sources: Claude, claude.com/docs/connectors/building/authentication and
// anthropics/claude-code#37747; ChatGPT, Altinity/altinity-mcp#118; Cursor,
// agent-connector-for-wp#111; Visual Studio Code, oauth.ts in microsoft/vscode;
// Antigravity, google-gemini/gemini-cli; Goose, block/goose#9670. Codex, Gemini
// CLI, OpenCode and Zed are not here: no document or https redirect URI of theirs
// is the same for everybody and known exactly.
type wellKnown struct {
	key, name    string
	clientIDs    []string
	redirectURIs []string
	// forwards: the redirect URI hands the answer to whichever computer asked, so
	// two connections through it are two installs.
	forwards bool
}

// catalogue returns the well-known clients. A name alone proves nothing.
func catalogue() []wellKnown {
	return []wellKnown{
		{
			key: "claude", name: "Claude",
			clientIDs:    []string{"https://claude.ai/oauth/mcp-oauth-client-metadata"},
			redirectURIs: []string{"https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"},
		},
		{
			key: "claude-code", name: "Claude Code",
			clientIDs: []string{"https://claude.ai/oauth/claude-code-client-metadata"},
		},
		{
			key: "chatgpt", name: "ChatGPT",
			clientIDs:    []string{"https://chatgpt.com/oauth/client.json"},
			redirectURIs: []string{"https://chatgpt.com/connector_platform_oauth_redirect"},
		},
		{
			key: "cursor", name: "Cursor",
			redirectURIs: []string{"https://www.cursor.com/agents/mcp/oauth/callback"},
		},
		{
			key: "vscode", name: "Visual Studio Code",
			clientIDs:    []string{"https://vscode.dev/oauth/client-metadata.json"},
			redirectURIs: []string{"https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect"},
			forwards:     true,
		},
		{
			key: "antigravity", name: "Antigravity",
			redirectURIs: []string{"https://antigravity.google/oauth-callback"},
		},
		{
			key: "goose", name: "Goose",
			clientIDs: []string{"https://goose-docs.ai/oauth/client-metadata.json"},
		},
	}
}

// lookUp returns the well-known client that receives answers at redirectURI.
func lookUp(redirectURI string) (known wellKnown, ok bool) {
	return findKnown(func(k wellKnown) bool { return slices.Contains(k.redirectURIs, redirectURI) })
}

// lookUpDocument returns the well-known client that describes itself at id.
func lookUpDocument(id string) (known wellKnown, ok bool) {
	return findKnown(func(k wellKnown) bool { return slices.Contains(k.clientIDs, id) })
}

func findKnown(is func(wellKnown) bool) (known wellKnown, ok bool) {
	all := catalogue()
	i := slices.IndexFunc(all, is)
	if i < 0 {
		return wellKnown{}, false
	}
	return all[i], true
}

// inCatalogue reports whether id is the document of a well-known client.
func inCatalogue(id string) bool {
	_, ok := lookUpDocument(id)
	return ok
}

// identify tells who a client is in a request that goes back to redirectURI, which
// it has registered or lists in its document. First comes where the answer goes:
// to a well-known place, whoever asks. Then the document: it proves a well-known
// client where the answer goes to a site that the document lists. An answer that
// stays on the person's computer proves nothing, since any program there may
// receive it; the client is then the one that it says it is, unverified.
func identify(c *store.Client, redirectURI string) identity {
	if known, ok := lookUp(redirectURI); ok {
		return identity{Key: "catalogue:" + known.key, Name: known.name, Verified: true}
	}
	name := displayName(c.Name)
	place, local := ui.RedirectPlace(redirectURI)
	if c.Kind == store.ClientDocument {
		if known, ok := lookUpDocument(c.ID); ok {
			return identity{Key: "catalogue:" + known.key, Name: known.name, Verified: !local && strings.HasPrefix(redirectURI, "https://")}
		}
		return identity{Key: "document:" + c.ID, Name: name}
	}
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
// another: compatibility forms are resolved, characters that nobody sees dropped,
// and those that look like others written out.
func displayName(name string) string {
	name = withoutLookalikes(visible.Only(norm.NFKC.String(name)))
	if runes := []rune(name); len(runes) > maxNameShown {
		name = strings.TrimSpace(string(runes[:maxNameShown])) + "…"
	}
	if name == "" {
		return unnamed
	}
	return name
}
