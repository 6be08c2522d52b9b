package authz

import (
	"strings"
	"testing"

	"scaling.cloud/mcp/store"
)

// TestIdentity is design §9, by row: what a client must have to be taken for a
// well-known one.
func TestIdentity(t *testing.T) {
	t.Parallel()
	registered := func(name string) *store.Client {
		return &store.Client{ID: "scl_client_x", Kind: store.ClientRegistered, Name: name}
	}
	document := func(id, name string) *store.Client {
		return &store.Client{ID: id, Kind: store.ClientDocument, Name: name}
	}
	const (
		claude     = "https://claude.ai/oauth/mcp-oauth-client-metadata"
		claudeCode = "https://claude.ai/oauth/claude-code-client-metadata"
		chatGPT    = "https://chatgpt.com/oauth/client.json"
		vscode     = "https://vscode.dev/oauth/client-metadata.json"
		goose      = "https://goose-docs.ai/oauth/client-metadata.json"
	)
	for _, tt := range []struct {
		why         string
		client      *store.Client
		redirectURI string
		want        identity
	}{
		{"its redirect URI, whatever it is called", registered("x"), "https://claude.ai/api/mcp/auth_callback", identity{"catalogue:claude", "Claude", true}},
		{"its other redirect URI", registered("Claude"), "https://claude.com/api/mcp/auth_callback", identity{"catalogue:claude", "Claude", true}},
		{"Insiders is Visual Studio Code", registered("VS Code Insiders"), "https://insiders.vscode.dev/redirect", identity{"catalogue:vscode", "Visual Studio Code", true}},
		{"its document and its site", document(claude, "Claude"), "https://claude.ai/api/mcp/auth_callback", identity{"catalogue:claude", "Claude", true}},
		{"its document and another site that it lists", document(chatGPT, "ChatGPT"), "https://chatgpt.com/connector/oauth/x", identity{"catalogue:chatgpt", "ChatGPT", true}},
		{"its document, whatever it calls itself", document(chatGPT, "Something"), "https://chatgpt.com/x", identity{"catalogue:chatgpt", "ChatGPT", true}},
		{"a stranger's document, answered at a well-known site", document("https://tool.example/c.json", "Tool"), "https://vscode.dev/redirect", identity{"catalogue:vscode", "Visual Studio Code", true}},

		{"its document, on this computer", document(claudeCode, "Claude Code"), "http://localhost:1/callback", identity{"catalogue:claude-code", "Claude Code", false}},
		{"its document, on this computer by address", document(goose, "Goose"), "http://127.0.0.1:1/callback", identity{"catalogue:goose", "Goose", false}},
		{"its document, on this computer over https", document(vscode, "Visual Studio Code"), "https://localhost/cb", identity{"catalogue:vscode", "Visual Studio Code", false}},
		{"its document, in an app", document(vscode, "Visual Studio Code"), "vscode://x/cb", identity{"catalogue:vscode", "Visual Studio Code", false}},

		{"chatgpt.com has a document for any id", document("https://chatgpt.com/oauth/evil/client.json", "ChatGPT"), "https://evil.example/cb", identity{"document:https://chatgpt.com/oauth/evil/client.json", "ChatGPT", false}},
		{"an address that is nearly it", document(claude+"/", "Claude"), "https://claude.ai/x", identity{"document:" + claude + "/", "Claude", false}},
		{"an address that is nearly it, with a query", document(claude+"?x", "Claude"), "https://claude.ai/x", identity{"document:" + claude + "?x", "Claude", false}},
		{"a registered client with a document's URL for a name", registered(claude), "https://evil.example/cb", identity{"name:" + claude + "@evil.example", claude, false}},
		{"a stranger's document", document("https://tool.example/c.json", "Tool"), "https://tool.example/cb", identity{"document:https://tool.example/c.json", "Tool", false}},
		{"a redirect URI that is nearly it", registered("Claude"), "https://claude.ai/api/mcp/auth_callback/", identity{"name:claude@claude.ai", "Claude", false}},
		{"the path of it elsewhere", registered("Claude"), "https://claude.ai.evil.example/api/mcp/auth_callback", identity{"name:claude@claude.ai.evil.example", "Claude", false}},
		{"nothing but the name", registered("Claude"), "https://evil.example/cb", identity{"name:claude@evil.example", "Claude", false}},
		{"the name in capitals is the name", registered("CLAUDE"), "https://evil.example/cb", identity{"name:claude@evil.example", "CLAUDE", false}},
		{"a Cyrillic а", registered("Cl\u0430ude"), "https://evil.example/cb", identity{`name:cl\u{430}ude@evil.example`, `Cl\u{430}ude`, false}},
		{"the name, on this computer", registered("Claude Code"), "http://localhost:1/callback", identity{"name:claude code@localhost", "Claude Code", false}},
		{"the name, in an app", registered("Cursor"), "cursor://anysphere.cursor-mcp/oauth/callback", identity{"name:cursor@cursor://", "Cursor", false}},
	} {
		if got := identify(tt.client, tt.redirectURI); got != tt.want {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.why, got, tt.want)
		}
	}
}

// TestNamesCannotPassForOthers has names as clients send them and as people see
// them.
func TestNamesCannotPassForOthers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ why, name, want string }{
		{"a Cyrillic а", "Cl\u0430ude", `Cl\u{430}ude`},
		{"Cyrillic, but for one Greek letter", "\u0421\u04cf\u0430\u03c5\u0501\u0435", `\u{421}\u{4cf}\u{430}\u{3c5}\u{501}\u{435}`},
		{"a Cyrillic word beside a Latin one", "Claude \u0421\u043ede", `Claude \u{421}\u{43e}de`},
		{"Greek capitals", "\u03a4est", `\u{3a4}est`},
		{"Cherokee", "\u13df\u13deaude", `\u{13df}\u{13de}aude`},
		{"a capital I for an l", "CIaude", `C\u{49}aude`},
		{"a digit for an l", "C1aude Desktop", `C\u{31}aude Desktop`},
		{"digits for letters", "G00se", `G\u{30}\u{30}se`},
		{"digits among capitals", "CURS0R", `CURS\u{30}R`},
		{"a Ukrainian І", "C\u0406aude", `C\u{406}aude`},
		{"wide letters are those letters", "\uff23\uff4c\uff41\uff55\uff44\uff45", "Claude"},
		{"so are mathematical ones", "\U0001d402laude", "Claude"},
		{"and Roman numerals", "\u216dlaude", "Claude"},
		{"zero-width space", "C\u200blaude", "Claude"},
		{"right-to-left override", "\u202eedualC", "edualC"},
		{"tag characters", "Claude\U000e0041\U000e0042", "Claude"},
		{"nothing that is seen", "\u200b\u2060", unnamed},
		{"the name itself", "Claude", "Claude"},
		{"capitals", "CLAUDE", "CLAUDE"},
		{"Russian", "Яндекс", "Яндекс"},
		{"Russian and Latin words", "Привет Bot", "Привет Bot"},
		{"Greek", "Βοηθός", "Βοηθός"},
		{"Chinese and Latin", "北京AI", "北京AI"},
		{"accents", "Müller & Señor", "Müller & Señor"},
		{"numbers", "mcp-remote 0.1.15", "mcp-remote 0.1.15"},
		{"a capital I in its place", "IDE for Claude", "IDE for Claude"},
		{"long", strings.Repeat("x", 65), strings.Repeat("x", 64) + "…"},
	} {
		if got := displayName(tt.name); got != tt.want {
			t.Errorf("%s: %q is shown as %q, want %q", tt.why, tt.name, got, tt.want)
		}
	}
}

// TestTheCatalogueIsExact: a client id must be fetchable, a redirect URI must be
// https, and neither may stand for two clients.
func TestTheCatalogueIsExact(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, known := range catalogue() {
		for _, uri := range known.redirectURIs {
			if !strings.HasPrefix(uri, "https://") || checkRedirectURI(uri) != "" || seen[uri] {
				t.Errorf("%s: redirect URI %s", known.key, uri)
			}
			seen[uri] = true
		}
		for _, id := range known.clientIDs {
			if !inCatalogue(id) || seen[id] {
				t.Errorf("%s: client id %s", known.key, id)
			}
			seen[id] = true
		}
		if displayName(known.name) != known.name {
			t.Errorf("%s is shown as %q", known.name, displayName(known.name))
		}
	}
}
