package resource

import (
	"context"
	"log/slog"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/store"
)

// TestTheGuardDecidesByWhatIsExecuted: even if the gate in front of the SDK
// read another name, the tool is not reached.
func TestTheGuardDecidesByWhatIsExecuted(t *testing.T) {
	s := New(Config{PublicURL: "https://mcp.example", Log: slog.New(slog.DiscardHandler)})
	reached := false
	guarded := s.guard(func(context.Context, string, mcp.Request) (mcp.Result, error) {
		reached = true
		return &mcp.CallToolResult{}, nil
	})
	call := func(tool string, scopes ...string) error {
		reached = false
		x := &exchange{claims: &accesstoken.Claims{Scopes: scopes}}
		_, err := guarded(t.Context(), "tools/call", &mcp.CallToolRequest{
			Params: &mcp.CallToolParamsRaw{Name: tool},
			Extra:  &mcp.RequestExtra{TokenInfo: &auth.TokenInfo{Extra: map[string]any{exchangeExtra: x}}},
		})
		return err
	}
	for _, registered := range s.catalog.list {
		if err := call(registered.Name, registered.scope); err != nil || !reached {
			t.Errorf("%s with its scope: reached %v, %v", registered.Name, reached, err)
		}
		for _, scope := range store.ResourceScopes() {
			if scope == registered.scope {
				continue
			}
			if err := call(registered.Name, scope); err == nil || reached {
				t.Errorf("%s with %s: reached %v, %v, want a refusal", registered.Name, scope, reached, err)
			}
		}
	}
	err := call("nope", store.ResourceScopes()...)
	if e, ok := err.(*jsonrpc.Error); !ok || e.Code != jsonrpc.CodeInvalidParams || reached {
		t.Errorf("an unknown tool: reached %v, %v", reached, err)
	}
}
