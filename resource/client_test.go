package resource_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/store"
)

// authorized adds an access token to every request.
type authorized struct{ header http.Header }

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", a.header.Get("Authorization"))
	return http.DefaultTransport.RoundTrip(r)
}

// connect connects the SDK's own client.
func (f *fixture) connect(t *testing.T, path, version string, scopes ...string) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint:   f.url + path,
		HTTPClient: &http.Client{Transport: authorized{f.bearer(t, scopes...)}},
		MaxRetries: -1,
	}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatalf("version %s: %v", version, err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// TestTheSDKsClientInEveryProtocolVersion connects, lists and calls at both
// paths, as somebody else's code understands the protocol.
func TestTheSDKsClientInEveryProtocolVersion(t *testing.T) {
	f := newFixture(t, newStore(t), nil)
	tools := len(outputSchemas(t, f))
	for _, version := range mcp.SupportedProtocolVersions() {
		for _, path := range []string{"/mcp", "/"} {
			t.Run(version+path, func(t *testing.T) {
				session := f.connect(t, path, version, everything...)
				if got := session.InitializeResult(); got.Instructions == "" || got.ServerInfo.Name != "scaling" {
					t.Errorf("initialize: got %+v", got)
				}
				list, err := session.ListTools(t.Context(), nil)
				if err != nil || len(list.Tools) != tools {
					t.Fatalf("tools/list: %v, %v, want %d tools", list, err, tools)
				}
				created, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "create_incident",
					Arguments: map[string]any{"title": "From " + version, "severity": "low"}})
				if err != nil || created.IsError {
					t.Fatalf("create_incident: %v, %v", created, err)
				}
				refused, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_incident",
					Arguments: map[string]any{"sequentialId": 12345}})
				if err != nil || !refused.IsError {
					t.Fatalf("get_incident: %v, %v", refused, err)
				}
				if text := refused.Content[0].(*mcp.TextContent).Text; !strings.HasPrefix(text, "not_found: ") {
					t.Errorf("error text: got %q", text)
				}
				incident, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "scaling://incidents/1"})
				if err != nil || !strings.Contains(incident.Contents[0].Text, "Incident #1") {
					t.Errorf("resources/read: %v, %v", incident, err)
				}
				prompt, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "incident-handoff", Arguments: map[string]string{"sequentialId": "1"}})
				if err != nil || len(prompt.Messages) != 3 {
					t.Errorf("prompts/get: %v, %v", prompt, err)
				}
				if code := refused.Meta["scaling.cloud/error"].(map[string]any)["code"]; code != "not_found" {
					t.Errorf("error of _meta: got %v", code)
				}
			})
		}
	}
}

// page is list_incidents's structured content.
type page struct {
	Incidents []struct {
		SequentialID int
		Title        string
	}
	NextCursor *string
}

func listPage(t *testing.T, session *mcp.ClientSession, arguments map[string]any) (page, string) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "list_incidents", Arguments: arguments})
	if err != nil || result.IsError {
		t.Fatalf("list_incidents: %v, %v", result, err)
	}
	raw, err := json.Marshal(result.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	var p page
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	return p, result.Content[0].(*mcp.TextContent).Text
}

// TestALongListIsCutAndGoesOn: a page whose text would be too long ends
// earlier, and its cursor misses nothing.
func TestALongListIsCutAndGoesOn(t *testing.T) {
	st := newStore(t)
	f := newFixture(t, st, nil)
	session := f.connect(t, "/mcp", "2025-11-25", everything...)
	// Every character of these titles is shown as nine.
	title := strings.Repeat("\U000E0061", 97)
	for n := range 60 {
		_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "create_incident",
			Arguments: map[string]any{"title": fmt.Sprint(title, n), "severity": "low"}})
		if err != nil {
			t.Fatal(err)
		}
	}
	arguments := map[string]any{"limit": 100}
	next := 60
	for pages := 1; ; pages++ {
		p, text := listPage(t, session, arguments)
		if len(text) > 24<<10 {
			t.Errorf("page %d: text of %d bytes, want at most 24 KiB", pages, len(text))
		}
		if got := strings.Count(text, "\n#"); got != len(p.Incidents) {
			t.Errorf("page %d: %d incidents in text, %d in structured content", pages, got, len(p.Incidents))
		}
		for _, i := range p.Incidents {
			if i.SequentialID != next || !strings.HasPrefix(i.Title, title) {
				t.Errorf("page %d: got incident %d, want %d with its title verbatim", pages, i.SequentialID, next)
			}
			next--
		}
		if p.NextCursor == nil {
			if pages == 1 {
				t.Error("the list was not cut")
			}
			break
		}
		if !strings.Contains(text, *p.NextCursor) || !strings.Contains(text, "cut") {
			t.Errorf("page %d does not say how to go on", pages)
		}
		arguments["cursor"] = *p.NextCursor
	}
	if next != 0 {
		t.Errorf("incident %d and those before it were never listed", next)
	}
}

// TestALongDescriptionIsCutInTextOnly: there is no other way to read the rest.
func TestALongDescriptionIsCutInTextOnly(t *testing.T) {
	f := newFixture(t, newStore(t), nil)
	session := f.connect(t, "/mcp", "2026-07-28", everything...)
	description := strings.Repeat("ö\U000E0061", 5000)
	_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "create_incident",
		Arguments: map[string]any{"title": "x", "severity": "low", "description": description}})
	if err != nil {
		t.Fatal(err)
	}
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_incident", Arguments: map[string]any{"sequentialId": 1}})
	if err != nil {
		t.Fatal(err)
	}
	text := result.Content[0].(*mcp.TextContent).Text
	if len(text) > 24<<10 || len(text) < 20<<10 || !strings.Contains(text, "cut here") {
		t.Errorf("text: got %d bytes, want just under 24 KiB and a note", len(text))
	}
	if strings.ContainsRune(text, '\U000E0061') {
		t.Error("a tag character reached the text as it is")
	}
	incident := result.StructuredContent.(map[string]any)["incident"].(map[string]any)
	if incident["description"] != description {
		t.Error("the description is not verbatim in structured content")
	}
}

// TestOneKeyOneIncidentUnderRace: a client that repeats itself all at once gets
// one incident and the same answer each time.
func TestOneKeyOneIncidentUnderRace(t *testing.T) {
	st := newStore(t)
	f := newFixture(t, st, nil)
	session := f.connect(t, "/mcp", "2025-11-25", everything...)
	var group sync.WaitGroup
	results := make([]map[string]any, 16)
	for n := range results {
		group.Go(func() {
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "create_incident",
				Arguments: map[string]any{"title": "x", "severity": "low", "idempotencyKey": "once"}})
			if err != nil || result.IsError {
				t.Errorf("call %d: %v, %v", n, result, err)
				return
			}
			results[n] = result.StructuredContent.(map[string]any)
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	first := 0
	for n, result := range results {
		if result["replayed"] == false {
			first++
		}
		if got, want := result["incident"].(map[string]any)["id"], results[0]["incident"].(map[string]any)["id"]; got != want {
			t.Errorf("call %d: got incident %v, want %v", n, got, want)
		}
	}
	if first != 1 {
		t.Errorf("%d calls say that they were the first, want 1", first)
	}
	incidents, err := st.Incidents(t.Context(), "org_acme", store.IncidentQuery{Limit: 10})
	if err != nil || len(incidents) != 1 {
		t.Errorf("got %d incidents, %v, want 1", len(incidents), err)
	}
}

// TestOrganizationsAreSeparate: a token speaks for one organization.
func TestOrganizationsAreSeparate(t *testing.T) {
	f := newFixture(t, newStore(t), nil)
	session := f.connect(t, "/mcp", "2025-11-25", everything...)
	_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "create_incident", Arguments: map[string]any{"title": "Acme's", "severity": "low"}})
	if err != nil {
		t.Fatal(err)
	}
	globex := claims(everything...)
	globex.OrgID, globex.Subject = "org_globex", "user_carol"
	header := http.Header{"Authorization": {"Bearer " + f.sign(t, globex)}}
	list := f.do(t, "POST", "/mcp", header, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_incidents"}}`)
	if strings.Contains(list.body, "Acme") {
		t.Errorf("Globex sees %s", list.body)
	}
	for tool, arguments := range map[string]string{
		"get_incident": "", "get_incident_timeline": "", "acknowledge_incident": "", "resolve_incident": "",
		"transition_incident_status": `,"status":"identified"`,
	} {
		a := f.do(t, "POST", "/mcp", header, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":{"sequentialId":1`+arguments+`}}}`)
		if !strings.Contains(a.body, `"code":"not_found"`) {
			t.Errorf("%s: Globex gets %s", tool, a.body)
		}
	}
}

// TestSubscriptionsEndAtOnce: nothing here ever changes under a connection, so
// no client parks a stream.
func TestSubscriptionsEndAtOnce(t *testing.T) {
	f := newFixture(t, nil, nil)
	header := f.bearer(t, everything...)
	header.Set("Mcp-Protocol-Version", "2026-07-28")
	header.Set("Mcp-Method", "subscriptions/listen")
	a := f.do(t, "POST", "/mcp", header, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},
		"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
	if a.StatusCode != 200 || !strings.Contains(a.body, `"id":1,"result"`) {
		t.Errorf("got %d %s, want the end of the subscription", a.StatusCode, a.body)
	}
}
