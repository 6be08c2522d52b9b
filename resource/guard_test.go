package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/store"
)

// TestTheGuardDecidesByWhatIsExecuted: even if the gate in front of the SDK
// read another name, the tool is not reached.
func TestTheGuardDecidesByWhatIsExecuted(t *testing.T) {
	s := New(Config{PublicURL: "https://mcp.example", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	reached := false
	guarded := s.guard(func(context.Context, string, mcp.Request) (mcp.Result, error) {
		reached = true
		return &mcp.CallToolResult{}, nil
	})
	call := func(tool, arguments string, scopes ...string) error {
		reached = false
		x := &exchange{claims: &accesstoken.Claims{Scopes: scopes}}
		_, err := guarded(t.Context(), "tools/call", &mcp.CallToolRequest{
			Params: &mcp.CallToolParamsRaw{Name: tool, Arguments: json.RawMessage(arguments)},
			Extra:  &mcp.RequestExtra{TokenInfo: &auth.TokenInfo{Extra: map[string]any{exchangeExtra: x}}},
		})
		return err
	}
	type row struct{ tool, arguments, scope string }
	rows := []row{
		{"post_incident_update", `{"visibility":"internal"}`, store.ScopeIncidentsWrite},
		{"post_incident_update", `{"visibility":"public"}`, store.ScopeIncidentsPublish},
	}
	for _, registered := range s.catalog.list {
		if registered.argument == "" {
			rows = append(rows, row{registered.Name, `{}`, registered.scope})
		}
	}
	for _, r := range rows {
		if err := call(r.tool, r.arguments, r.scope); err != nil || !reached {
			t.Errorf("%s %s with its scope: reached %v, %v", r.tool, r.arguments, reached, err)
		}
		for _, scope := range store.ResourceScopes() {
			if scope == r.scope {
				continue
			}
			if err := call(r.tool, r.arguments, scope); err == nil || reached {
				t.Errorf("%s %s with %s: reached %v, %v, want a refusal", r.tool, r.arguments, scope, reached, err)
			}
		}
	}
	err := call("nope", `{}`, store.ResourceScopes()...)
	if e, ok := err.(*jsonrpc.Error); !ok || e.Code != jsonrpc.CodeInvalidParams || reached {
		t.Errorf("an unknown tool: reached %v, %v", reached, err)
	}
}

// TestACallThatIsStuckEndsInTime: it keeps a connection of the pool, and in
// older protocols its client's going away does not end it.
func TestACallThatIsStuckEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{PublicURL: "https://mcp.example", Log: slog.New(slog.DiscardHandler), Now: time.Now})
		guarded := s.guard(func(ctx context.Context, _ string, _ mcp.Request) (mcp.Result, error) {
			<-ctx.Done()
			var r mcp.CallToolResult
			r.SetError(handlerError{fmt.Errorf("waiting for a lock: %w", ctx.Err())})
			return &r, nil
		})
		x := &exchange{claims: &accesstoken.Claims{Scopes: store.ResourceScopes()}}
		begun := time.Now()
		result, err := guarded(t.Context(), "tools/call", &mcp.CallToolRequest{
			Params: &mcp.CallToolParamsRaw{Name: "create_incident"},
			Extra:  &mcp.RequestExtra{TokenInfo: &auth.TokenInfo{Extra: map[string]any{exchangeExtra: x}}},
		})
		if waited := time.Since(begun); waited != callTimeout {
			t.Errorf("it took %v, want %v", waited, callTimeout)
		}
		if err != nil {
			t.Fatal(err)
		}
		e, ok := result.(*mcp.CallToolResult).Meta["scaling.cloud/error"].(*toolError)
		if !ok || e.Code != "unavailable" {
			t.Errorf("got %+v, want the tool error unavailable", result)
		}
	})
}
