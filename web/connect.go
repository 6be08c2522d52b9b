package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

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
	arrival     arrivalView
}

// arrivalView says whether a client has been connected since the person began to
// look.
type arrivalView struct {
	since   time.Time
	arrived *store.ListedConnection // nil: not yet
}

const connectPath = "/settings/connect"

// query is what tells a later request since when.
func (v arrivalView) query() string {
	return "?" + url.Values{"since": {v.since.UTC().Format(time.RFC3339Nano)}}.Encode()
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
	arrival, err := s.arrival(r, session.UserID)
	if err != nil {
		return err
	}
	return renderUnder(r.Context(), w, http.StatusOK, connectPage(connectView{
		page:        ui.PageData{Title: "Connect a client", Current: connectPath, Account: account(session), Script: ui.ConnectScriptPath()},
		mcpURL:      s.mcpURL(),
		guides:      guides(s.mcpURL()),
		unreachable: strings.HasPrefix(s.publicURL, "http:"),
		arrival:     arrival,
	}), ui.SetAskingHeaders)
}

// arrived answers the page's script: nothing as long as no client has arrived,
// then what takes the place of the wait.
func (s *Server) arrived(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	arrival, err := s.arrival(r, session.UserID)
	if err != nil {
		return err
	}
	if arrival.arrived == nil {
		ui.SetHeaders(w.Header())
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return render(r.Context(), w, arrivalNotice(arrival))
}

// arrival looks for a connection that the person has made since the instant that
// the request names. One that names none begins to wait, and so does one that
// cannot be read: it comes from no page of ours.
func (s *Server) arrival(r *http.Request, userID string) (arrivalView, error) {
	since, err := time.Parse(time.RFC3339Nano, r.FormValue("since"))
	if err != nil {
		return arrivalView{since: s.now()}, nil
	}
	c, err := s.store.NewestConnectionSince(r.Context(), userID, since, s.now())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return arrivalView{}, err
	}
	return arrivalView{since, c}, nil
}

func guides(mcpURL string) []guide {
	return []guide{
		{"Claude on the web", []step{
			{"At claude.ai, open Settings → Connectors and choose Add custom connector. In a Team or Enterprise plan, an owner adds it first, under Organization settings → Connectors.", ""},
			{"Name it scaling.cloud and paste the MCP URL.", mcpURL},
			{"Press Connect, sign in, and choose what it may do.", ""},
		}},
		{"Claude Desktop", []step{
			{"In the app, open Settings → Connectors. What you connected on the web is there already; else choose Add custom connector.", ""},
			{"Name it scaling.cloud and paste the MCP URL.", mcpURL},
			{"Press Connect. Your browser opens: sign in there, and choose what it may do.", ""},
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
