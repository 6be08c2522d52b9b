package resource_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestArgumentsThatModelsSend: a refusal names the argument and what it must be,
// whatever was sent; and null or an empty string leaves an optional one out.
func TestArgumentsThatModelsSend(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newStore(t), nil)
	const none = "01940000-0000-7000-8000-0000000000ff"
	for _, row := range []struct{ name, tool, arguments, want string }{
		{"a number beyond float64", "get_incident", `{"sequentialId":1e400}`, "invalid_arguments: Correct the arguments and call again: sequentialId must be from 1 to 2147483647."},
		{"a number below it", "get_incident", `{"sequentialId":-1e400}`, "sequentialId must be from 1 to 2147483647."},
		{"a fraction", "get_incident", `{"sequentialId":1.5}`, "sequentialId must be an integer."},
		{"a number of 1000 digits", "list_incidents", `{"limit":1` + strings.Repeat("0", 999) + `}`, "limit must be from 1 to 100."},
		{"a number as text", "list_incidents", `{"limit":"20"}`, "limit must be an integer."},
		{"a list", "list_incidents", `[1]`, "The arguments must be a JSON object."},
		{"blanks for everything optional", "list_incidents", `{"status":"","severity":"","from":"","to":"","cursor":"","limit":""}`, "No incidents match."},
		{"nulls for everything optional", "list_incidents", `{"status":null,"severity":null,"from":null,"to":null,"cursor":null,"limit":null}`, "No incidents match."},
		{"a blank for what is required", "create_incident", `{"title":"x","severity":""}`, "severity must be one of critical, high, medium, low."},
		{"a blank for what is unknown", "list_incidents", `{"state":""}`, "some arguments are unknown"},
		{"too many components", "create_incident", `{"title":"x","severity":"low","componentIds":["` + strings.Repeat(none+`","`, 100) + none + `"]}`, "componentIds must have at most 100 items."},
		{"an owner of characters that show nothing", "create_incident", "{\"title\":\"x\",\"severity\":\"low\",\"ownerId\":\"\u3164\u2800\"}", `ownerId "\u{3164}\u{2800}" is not a member`},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := f.do(t, "POST", "/mcp", f.bearer(t, everything...),
				`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+row.tool+`","arguments":`+row.arguments+`}}`)
			var got struct {
				Result struct{ Content []struct{ Text string } }
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || len(got.Result.Content) != 1 {
				t.Fatalf("got %s, want a tool result", a.body)
			}
			if text := got.Result.Content[0].Text; !strings.Contains(text, row.want) {
				t.Errorf("got %q, want %q", text, row.want)
			}
		})
	}
}
