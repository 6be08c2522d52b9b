package resource

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/store"
)

// TestTheGuardDecidesByWhatIsRead: even if the gate in front of the SDK read
// another URI or name, nothing that the scopes forbid is reached.
func TestTheGuardDecidesByWhatIsRead(t *testing.T) {
	s := New(Config{PublicURL: "https://mcp.example", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	reached := false
	guarded := s.guard(func(context.Context, string, mcp.Request) (mcp.Result, error) {
		reached = true
		return &mcp.ReadResourceResult{}, nil
	})
	extra := func(scopes []string) *mcp.RequestExtra {
		x := &exchange{claims: &accesstoken.Claims{Scopes: scopes}}
		return &mcp.RequestExtra{TokenInfo: &auth.TokenInfo{Extra: map[string]any{exchangeExtra: x}}}
	}
	read := func(uri string) func([]string) error {
		return func(scopes []string) error {
			_, err := guarded(t.Context(), "resources/read", &mcp.ReadResourceRequest{Params: &mcp.ReadResourceParams{URI: uri}, Extra: extra(scopes)})
			return err
		}
	}
	get := func(name string) func([]string) error {
		return func(scopes []string) error {
			_, err := guarded(t.Context(), "prompts/get", &mcp.GetPromptRequest{Params: &mcp.GetPromptParams{Name: name}, Extra: extra(scopes)})
			return err
		}
	}
	for _, row := range []struct {
		name   string
		ask    func(scopes []string) error
		needed []string
	}{
		{"components", read("scaling://components"), []string{store.ScopeIncidentsRead}},
		{"the rest of the components", read("scaling://components?after=x"), []string{store.ScopeIncidentsRead}},
		{"an incident", read("scaling://incidents/1"), []string{store.ScopeIncidentsRead}},
		{"members", read("scaling://members"), []string{store.ScopeSchedulesRead}},
		{"the rest of the members", read("scaling://members?after=x"), []string{store.ScopeSchedulesRead}},
		{"escalation policies", read("scaling://escalation-policies"), []string{store.ScopeSchedulesRead}},
		{"the hand-over", get("incident-handoff"), []string{store.ScopeIncidentsRead}},
		{"the draft", get("draft-public-update"), []string{store.ScopeIncidentsRead, store.ScopeIncidentsPublish}},
	} {
		reached = false
		if err := row.ask(row.needed); err != nil || !reached {
			t.Errorf("%s with %v: reached %v, %v", row.name, row.needed, reached, err)
		}
		for _, lacking := range row.needed {
			reached = false
			scopes := slices.DeleteFunc(store.ResourceScopes(), func(s string) bool { return s == lacking })
			if err := row.ask(scopes); err == nil || reached {
				t.Errorf("%s without %s: reached %v, %v, want a refusal", row.name, lacking, reached, err)
			}
		}
	}
	for _, unknown := range []string{"", "scaling://", "scaling://incidents/", "scaling://incidents/1/x", "scaling://incidents/%31", "scaling://members/",
		"scaling://members?after=", "scaling://members?after=a&after=b", "scaling://members?before=a", "SCALING://members", "scaling://incidents/\x00", "file:///etc/passwd"} {
		reached = false
		if err := read(unknown)(store.ResourceScopes()); err == nil || reached {
			t.Errorf("%q: reached %v, %v, want a refusal", unknown, reached, err)
		}
	}
	reached = false
	if err := get("nope")(store.ResourceScopes()); err == nil || reached {
		t.Errorf("an unknown prompt: reached %v, %v, want a refusal", reached, err)
	}
}
