package web

import (
	"encoding/json"
	"net/http"
	"strings"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// connectView is the guide that says how each client is connected.
type connectView struct {
	page   ui.PageData
	mcpURL string
	guides []guide
	// unreachable: clients that run in a vendor's cloud cannot reach this
	// server, which is on the person's own computer.
	unreachable bool
}

// guide says how to connect one client.
type guide struct {
	name  string
	steps []step
}

// step is a sentence, and what it says to paste, if anything.
type step struct {
	text, paste string
}

func (s *Server) connect(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	return render(r.Context(), w, connectPage(connectView{
		page:        ui.PageData{Title: "Connect a client", Current: "/settings/connect", Account: account(session)},
		mcpURL:      s.mcpURL(),
		guides:      guides(s.mcpURL()),
		unreachable: strings.HasPrefix(s.publicURL, "http:"),
	}))
}

func guides(mcpURL string) []guide {
	return []guide{
		{"Claude", []step{
			{"In Claude on the web or in the desktop app, open Settings → Connectors and choose Add custom connector.", ""},
			{"Name it scaling.cloud and paste the MCP URL.", mcpURL},
			{"Press Connect, sign in, and choose what it may do.", ""},
		}},
		{"ChatGPT", []step{
			{"Open Settings → Apps & Connectors → Advanced settings and turn on Developer mode. In a company workspace, an administrator may have to allow it.", ""},
			{"Choose Create, paste the MCP URL, and keep OAuth as the authentication.", mcpURL},
			{"Sign in, and choose what it may do.", ""},
		}},
		{"Claude Code", []step{
			{"Run this in a terminal:", "claude mcp add --transport http scaling " + mcpURL},
			{"In Claude Code, type /mcp, choose scaling, and authenticate.", ""},
		}},
		{"Cursor", []step{
			{"Add this to ~/.cursor/mcp.json:", indented(map[string]any{
				"mcpServers": map[string]any{"scaling": map[string]string{"url": mcpURL}},
			})},
			{"In Cursor's settings, find scaling among the MCP servers and press the button to sign in.", ""},
		}},
		{"VS Code", []step{
			{"Add this to .vscode/mcp.json, or to the file that the command “MCP: Open User Configuration” opens:", indented(map[string]any{
				"servers": map[string]any{"scaling": map[string]string{"type": "http", "url": mcpURL}},
			})},
			{"Press Start above the entry, and allow VS Code to sign in.", ""},
		}},
		{"Another client", []step{
			{"Any client that speaks MCP over HTTP with OAuth will do. It needs only the MCP URL:", mcpURL},
		}},
	}
}

// indented is v as a configuration file would have it.
func indented(v map[string]any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // templ escapes it, once
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic("web: maps of strings are always JSON: " + err.Error())
	}
	return strings.TrimSpace(b.String())
}
