package resource_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/resource"
	"scaling.cloud/mcp/store"
)

// smuggled are bodies that one parser may read as a call of create_incident and
// another as something harmless.
var smuggled = []string{
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_incident","Name":"list_incidents","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"list_incidents","name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","METHOD":"ping","params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}},"Params":{"name":"list_incidents"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_incidents","name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_incident","name":"list_incidents","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_incident","name":null,"arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":null,"name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools\/call","params":{"n\u0061me":"create\u005fincident","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_incidents"},"params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	"\ufeff" + `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}}}]`,
	`{"jsonrpc":"2.0","id":1,"result":{},"method":"tools/call","params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"title":"x","severity":"low"},"_meta":{"name":"list_incidents"},"name":"create_incident"}}`,
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"create_incident\\u0000\",\"arguments\":{}}}",
}

// smuggledPublic are bodies that one parser may read as a public update and
// another as an internal one.
func smuggledPublic() []string {
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"post_incident_update",` + params + `}}`
	}
	const rest = `"sequentialId":1,"body":"x"`
	return []string{
		call(`"arguments":{` + rest + `,"visibility":"public"}`),
		call(`"arguments":{` + rest + `,"visibility":"internal","visibility":"public"}`),
		call(`"arguments":{` + rest + `,"visibility":"public","visibility":"internal"}`),
		call(`"arguments":{` + rest + `,"visibility":"public","visibility":null}`),
		call(`"arguments":{` + rest + `,"visibility":null,"visibility":"public"}`),
		call(`"arguments":{` + rest + `,"visibility":"","visibility":"public"}`),
		call(`"arguments":{` + rest + `,"visibility":"internal","Visibility":"public"}`),
		call(`"arguments":{` + rest + `,"Visibility":"public"}`),
		call(`"arguments":{` + rest + `,"VISIBILITY":"internal","visibility":"public"}`),
		call(`"arguments":{` + rest + `,"visibility":"public"}`),
		call(`"arguments":{` + rest + `,"visibility":"public"}`),
		call(`"arguments":{` + rest + `,"visibility":"Public"}`),
		call(`"arguments":{` + rest + `,"visibility":["public"]}`),
		call(`"arguments":{` + rest + `,"visibility":{"visibility":"public"}}`),
		call(`"arguments":{` + rest + `,"visibility":"internal"},"arguments":{` + rest + `,"visibility":"public"}`),
		call(`"arguments":{` + rest + `,"visibility":"public"},"arguments":{` + rest + `,"visibility":"internal"}`),
		call(`"arguments":{` + rest + `,"visibility":"internal"},"Arguments":{` + rest + `,"visibility":"public"}`),
		call(`"Arguments":{` + rest + `,"visibility":"internal"},"arguments":{` + rest + `,"visibility":"public"}`),
		call(`"arguments":null,"arguments":{` + rest + `,"visibility":"public"}`),
		call(`"arguments":"{"sequentialId":1,"body":"x","visibility":"public"}"`),
		call(`"arguments":[{` + rest + `,"visibility":"public"}]`),
		call(`"arguments":{` + rest + `,"visibility":"public"}`),
		call(`"arguments":{"sequentialId":1,"body":"{"visibility":"internal"}","visibility":"public"}`),
		`[` + call(`"arguments":{`+rest+`,"visibility":"internal"}`) + `,` + call(`"arguments":{`+rest+`,"visibility":"public"}`) + `]`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"post_incident_update","arguments":{` + rest + `,"visibility":"internal"}},"params":{"name":"post_incident_update","arguments":{` + rest + `,"visibility":"public"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{` + rest + `,"visibility":"public"},"name":"list_incidents","name":"post_incident_update"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{` + rest + `,"visibility":"public"},"name":"post_incident_update","name":"list_incidents"}}`,
	}
}

// TestNoBodyPublishesWithoutTheScope: whatever a parser may make of a body, a
// connection that may only write publishes nothing, and one that may only
// publish posts nothing internal.
func TestNoBodyPublishesWithoutTheScope(t *testing.T) {
	st := newStore(t)
	f := newFixture(t, st, nil)
	session := f.connect(t, "/mcp", "2025-11-25", everything...)
	if created, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "create_incident",
		Arguments: map[string]any{"title": "t", "severity": "low", "componentIds": []string{componentAPI.String()}}}); err != nil || created.IsError {
		t.Fatalf("%+v %v", created, err)
	}
	count := func(visibility string) (n int) {
		t.Helper()
		if err := st.Pool().QueryRow(t.Context(), `SELECT count(*) FROM incident_updates WHERE visibility = $1`, visibility).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, body := range smuggledPublic() {
		f.do(t, "POST", "/mcp", f.bearer(t, store.ScopeIncidentsRead, store.ScopeIncidentsWrite), body)
		if count("public") != 0 {
			t.Fatalf("%s\nwas published without the scope", body)
		}
	}
	internal := count("internal")
	for _, body := range smuggledPublic() {
		f.do(t, "POST", "/mcp", f.bearer(t, store.ScopeIncidentsPublish), body)
		if count("internal") != internal {
			t.Fatalf("%s\nwas posted for members without the scope", body)
		}
	}
	if count("public") == 0 {
		t.Error("nothing at all was published with the scope")
	}
}

// smuggledReads are bodies that one parser may read as reading the members, or
// getting a prompt, and another as something harmless.
var smuggledReads = []string{
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"scaling://members"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"scaling://members?after=a"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"scaling://members","URI":"scaling://nothing"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"scaling://nothing","uri":"scaling://members"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"scaling://members","uri":"scaling://nothing"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"scaling://members","uri":null}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","METHOD":"ping","params":{"u\u0072i":"scaling:\/\/members"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"scaling:\/\/members"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"scaling://nothing"},"params":{"uri":"scaling://members"}}`,
	`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"scaling://incidents/1"}}]`,
	`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"incident-handoff","arguments":{"sequentialId":"1"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"nothing","name":"incident-handoff","arguments":{"sequentialId":"1"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"Name":"nothing","name":"draft-public-update"}}`,
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":\"scaling://members\\u0000\"}}",
}

// TestNoBodyReadsWhatTheScopesForbid: a connection without scopes is shown
// nothing, and told nothing but what it lacks.
func TestNoBodyReadsWhatTheScopesForbid(t *testing.T) {
	f := newFixture(t, newStore(t), nil)
	for _, body := range smuggledReads {
		a := f.do(t, "POST", "/mcp", f.bearer(t, store.ScopeOfflineAccess), body)
		if strings.Contains(a.body, `"contents"`) || strings.Contains(a.body, `"messages"`) || strings.Contains(a.body, "alice") {
			t.Errorf("%s\nwas answered: %s", body, a.body)
		}
	}
	for _, body := range []string{smuggledReads[0], smuggledReads[7], smuggledReads[10]} {
		if a := f.do(t, "POST", "/mcp", f.bearer(t, store.ScopeOfflineAccess), body); a.StatusCode != http.StatusForbidden || parameters(t, a)["error"] != "insufficient_scope" {
			t.Errorf("%s\ngot %d %s, want 403 insufficient_scope", body, a.StatusCode, a.body)
		}
	}
}

// TestNoBodyCallsWhatTheScopesForbid: whatever a parser may make of a body, a
// connection that may only read creates nothing.
func TestNoBodyCallsWhatTheScopesForbid(t *testing.T) {
	st := newStore(t)
	f := newFixture(t, st, nil)
	for _, body := range smuggled {
		a := f.do(t, "POST", "/mcp", f.bearer(t, store.ScopeIncidentsRead), body)
		if a.StatusCode == 200 && f.noted("tool") == "create_incident" {
			t.Errorf("%s\nreached the tool: %s", body, a.body)
		}
	}
	incidents, err := st.Incidents(t.Context(), "org_acme", store.IncidentQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(incidents) != 0 {
		t.Error("an incident was created")
	}
	plain := f.do(t, "POST", "/mcp", f.bearer(t, store.ScopeIncidentsRead), smuggled[0])
	if plain.StatusCode != http.StatusForbidden || parameters(t, plain)["error"] != "insufficient_scope" {
		t.Errorf("the plain call: got %d %s, want 403 insufficient_scope", plain.StatusCode, plain.body)
	}
}

// FuzzScopeDecision: of whatever body, if the SDK executes a tool, reads an MCP
// resource or gets a prompt for a connection that may, then the same body is a 403
// for one that may not. So the gate reads every body at least as the SDK does.
func FuzzScopeDecision(f *testing.F) {
	for _, body := range slices.Concat(smuggled, smuggledPublic(), smuggledReads) {
		f.Add(body)
	}
	s := newFixture(f, nil, nil)
	full, none := s.bearer(f, everything...), s.bearer(f, store.ScopeOfflineAccess)
	without := map[string]http.Header{ // the scope that a visibility needs
		"public":   s.bearer(f, store.ScopeIncidentsRead, store.ScopeIncidentsWrite, store.ScopeSchedulesRead),
		"internal": s.bearer(f, store.ScopeIncidentsRead, store.ScopeIncidentsPublish, store.ScopeSchedulesRead),
	}
	f.Fuzz(func(t *testing.T, body string) {
		s.forget()
		w := s.record(full, body)
		executed, visibility := cmp.Or(s.noted("tool"), s.noted("reads")), s.noted("visibility")
		if looksLikeGo(w.Body.String()) && !looksLikeGo(body) {
			t.Errorf("%s\nanswer speaks of Go: %s", body, w.Body)
		}
		if executed == "" || executed == "unknown" {
			return
		}
		if w := s.record(none, body); w.Code != http.StatusForbidden {
			t.Errorf("%s\nexecutes %s, and is %d without the scope, want 403", body, executed, w.Code)
		}
		if header, ok := without[visibility]; ok {
			if w := s.record(header, body); w.Code != http.StatusForbidden {
				t.Errorf("%s\nexecutes an update that is %s, and is %d without the scope, want 403", body, visibility, w.Code)
			}
		}
	})
}

// TestHeadersDecideNothing: before 2026-07-28 nobody compares Mcp-Method and
// Mcp-Name with the body.
func TestHeadersDecideNothing(t *testing.T) {
	f := newFixture(t, newStore(t), nil)
	for _, version := range []string{"", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		header := f.bearer(t, store.ScopeIncidentsRead)
		header.Set("Mcp-Method", "tools/call")
		header.Set("Mcp-Name", "list_incidents")
		if version != "" {
			header.Set("Mcp-Protocol-Version", version)
		}
		if a := f.do(t, "POST", "/mcp", header, smuggled[0]); a.StatusCode != http.StatusForbidden {
			t.Errorf("version %q: got %d %s, want 403", version, a.StatusCode, a.body)
		}
	}
}

// TestToolsListIsShort: every client loads it, and pays for it, before it does
// anything.
func TestToolsListIsShort(t *testing.T) {
	f := newFixture(t, nil, nil)
	a := f.do(t, "POST", "/mcp", f.bearer(t, store.ResourceScopes()...), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	if a.StatusCode != http.StatusOK || len(a.body) > 24<<10 {
		t.Errorf("got %s and %d bytes, want at most 24 KiB", a.Status, len(a.body))
	}
}

// TestScopesShowTools: tools/list holds what the connection may call.
func TestScopesShowTools(t *testing.T) {
	f := newFixture(t, nil, nil)
	for _, row := range []struct {
		scopes []string
		want   string
	}{
		{nil, ""},
		{[]string{store.ScopeSchedulesRead, store.ScopeOfflineAccess}, "list_schedules who_is_on_call"},
		{[]string{store.ScopeIncidentsRead}, "get_incident get_incident_timeline list_incidents"},
		{[]string{store.ScopeIncidentsWrite}, "acknowledge_incident create_incident post_incident_update resolve_incident transition_incident_status"},
		{[]string{store.ScopeIncidentsPublish}, "post_incident_update"},
		{everything, "acknowledge_incident create_incident get_incident get_incident_timeline list_incidents list_schedules post_incident_update resolve_incident transition_incident_status who_is_on_call"},
	} {
		a := f.do(t, "POST", "/mcp", f.bearer(t, row.scopes...), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		var list struct {
			Result struct{ Tools []struct{ Name string } }
		}
		if err := json.Unmarshal([]byte(a.body), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range list.Result.Tools {
			names = append(names, tool.Name)
		}
		if got := strings.Join(names, " "); got != row.want {
			t.Errorf("scopes %v: got tools %q, want %q", row.scopes, got, row.want)
		}
	}
}

const create = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_incident","arguments":{"title":"x","severity":"low"}}}`

// TestAPanicEndsOneCall: the SDK runs tools in goroutines of its own, where a
// panic would end the process.
func TestAPanicEndsOneCall(t *testing.T) {
	f := newFixture(t, nil, func(c *resource.Config) {
		c.ClientName = func(context.Context, uuid.UUID) (string, error) { panic("kaboom") }
	})
	a := f.do(t, "POST", "/mcp", f.bearer(t, everything...), create)
	if e := rpcError(t, a.body); e.Code != -32603 || strings.Contains(a.body, "kaboom") {
		t.Errorf("got %s, want an internal error without its cause", a.body)
	}
	if log := f.log.String(); !strings.Contains(log, "kaboom") || !strings.Contains(log, "createIncident") {
		t.Errorf("the log lacks the panic or its stack: %s", log)
	}
	if a := f.do(t, "POST", "/mcp", f.bearer(t, everything...), ping); a.StatusCode != 200 {
		t.Errorf("the next request: got %d, want 200", a.StatusCode)
	}
}

// TestAFaultIsLoggedAndNotTold: what went wrong here is no business of a model.
func TestAFaultIsLoggedAndNotTold(t *testing.T) {
	f := newFixture(t, nil, func(c *resource.Config) {
		c.ClientName = func(context.Context, uuid.UUID) (string, error) { return "", errors.New("table is on fire") }
	})
	a := f.do(t, "POST", "/mcp", f.bearer(t, everything...), create)
	if !strings.Contains(a.body, `"isError":true`) || !strings.Contains(a.body, `"code":"server_error"`) || strings.Contains(a.body, "fire") {
		t.Errorf("got %s, want a server_error without its cause", a.body)
	}
	if !strings.Contains(f.log.String(), "table is on fire") {
		t.Error("the cause did not reach the log")
	}
	if f.noted("outcome") != "server_error" || f.noted("tool") != "create_incident" {
		t.Errorf("annotations: got %v", f.notes)
	}
}

// TestARefusalSaysThatItIsNoQuestion: since 2026-07-28 every result says what kind it
// is, and those that stand in for the SDK's own say so too.
func TestARefusalSaysThatItIsNoQuestion(t *testing.T) {
	t.Parallel()
	const said = `"resultType":"complete"`
	mishaps := map[string]func(*resource.Config){
		"arguments that do not fit": nil,
		"a call that cannot be recorded": func(c *resource.Config) {
			c.Audit = func(context.Context, store.AuditEvent) error { return errors.New("the log is full") }
		},
	}
	for mishap, change := range mishaps {
		f := newFixture(t, nil, change)
		call := func(version, meta string) string {
			return f.do(t, "POST", "/mcp", http.Header{
				"Authorization": f.bearer(t, everything...)["Authorization"], "Mcp-Protocol-Version": {version}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"get_incident"},
			}, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_incident","arguments":{"sequentialId":0}`+meta+`}}`).body
		}
		now := call("2026-07-28", `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`)
		if !strings.Contains(now, `"isError":true`) || !strings.Contains(now, said) {
			t.Errorf("%s: got %s, want a tool error with %s", mishap, now, said)
		}
		before := call("2025-11-25", "")
		if !strings.Contains(before, `"isError":true`) || strings.Contains(before, "resultType") {
			t.Errorf("%s, before that: got %s, want a tool error without resultType", mishap, before)
		}
	}
}
