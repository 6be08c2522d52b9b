package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/wiretest"
)

// TestAllDocumentsAreSeen has every kind of document served once at least, from the
// first look at the metadata to the export of what was done, and each is held
// against its schema. A kind that it does not see is one that no test looks at.
func TestAllDocumentsAreSeen(t *testing.T) {
	t.Parallel()
	database := storetest.OpenURL(t)
	s := startDev(t, "--database-url", database, "--redis-url", storetest.Redis(t))
	alice := newPerson(t, "alice@acme.example")
	alice.ticks = []string{"incidents:publish"}
	c := s.connect(alice, "Test client", clerkdev.AcmeID)

	// MCP, by a client of 2026-07-28, and by hand what only older ones send.
	if _, err := c.session.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	created := c.call("create_incident", map[string]any{"title": "Checkout is slow", "severity": "high"})
	id := created.StructuredContent.(map[string]any)["incident"].(map[string]any)["sequentialId"]
	for _, call := range []struct {
		tool      string
		arguments map[string]any
	}{
		{"list_incidents", nil},
		{"get_incident", map[string]any{"sequentialId": id}},
		{"acknowledge_incident", map[string]any{"sequentialId": id}},
		{"transition_incident_status", map[string]any{"sequentialId": id, "status": "identified"}},
		{"post_incident_update", map[string]any{"sequentialId": id, "body": "We are on it.", "visibility": "internal"}},
		{"resolve_incident", map[string]any{"sequentialId": id}},
		{"get_incident_timeline", map[string]any{"sequentialId": id}},
		{"list_schedules", nil},
		{"who_is_on_call", nil},
	} {
		c.call(call.tool, call.arguments)
	}
	refused, err := c.session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_incident", Arguments: map[string]any{"sequentialId": 1 << 30}})
	if err != nil || !refused.IsError {
		t.Errorf("an incident that is not there: %v, %v", refused, err)
	}
	if _, err := c.session.ListResources(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := c.session.ListResourceTemplates(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := c.session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "scaling://components"}); err != nil {
		t.Error(err)
	}
	if _, err := c.session.ListPrompts(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := c.session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "incident-handoff", Arguments: map[string]string{"sequentialId": "1"}}); err != nil {
		t.Error(err)
	}
	token := c.token()
	bearer := "Bearer " + token.AccessToken
	s.send(t, http.StatusOK, "POST", "/mcp", "application/json", bearer,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
	s.send(t, http.StatusOK, "POST", "/mcp", "application/json", bearer, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	s.send(t, http.StatusUnauthorized, "POST", "/mcp", "application/json", "", `{}`)

	// OAuth, what the client above had no use for.
	const form = "application/x-www-form-urlencoded"
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/mcp", "/.well-known/oauth-protected-resource/", "/oauth/jwks"} {
		s.send(t, http.StatusOK, "GET", path, "", "", "")
	}
	s.send(t, http.StatusBadRequest, "POST", "/oauth/register", "application/json", "", `{"redirect_uris":["javascript:x"]}`)
	registered := s.send(t, http.StatusCreated, "POST", "/oauth/register", "application/json", "", `{"redirect_uris":["`+callback+`"],"client_name":"Confidential"}`)
	member := func(name string) string {
		found := regexp.MustCompile(`"` + name + `":"([^"]+)"`).FindStringSubmatch(registered)
		if found == nil {
			t.Fatalf("no %s in %s", name, registered)
		}
		return found[1]
	}
	clientID := member("client_id")
	s.send(t, http.StatusOK, "GET", "/oauth/register/"+clientID, "", "Bearer "+member("registration_access_token"), "")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(clientID+":"+member("client_secret")))
	request := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {callback}, "code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"}}
	s.send(t, http.StatusCreated, "POST", "/oauth/par", form, basic, request.Encode())
	s.send(t, http.StatusBadRequest, "POST", "/oauth/token", form, basic, "grant_type=password")
	added := good(t, "resource-servers", "add", "Gateway", "--database-url", database)
	credentials := regexp.MustCompile(`id +(\S+)\nsecret +(\S+)\n`).FindStringSubmatch(added)
	for _, asked := range []string{token.AccessToken, "x"} {
		if status, answer := s.introspect(t, credentials[1], credentials[2], asked); status != http.StatusOK || answer["active"] != (asked != "x") {
			t.Errorf("introspection: %d %v", status, answer)
		}
	}

	// The dashboard's export, of which a signed-in person has a link.
	if alice.open(s.url + "/settings/activity.jsonl?org=acme"); alice.status != http.StatusOK {
		t.Errorf("export: %d", alice.status)
	}

	seen, all := s.wire.Seen(), 0
	for _, n := range seen {
		all += n
	}
	want := wiretest.Kinds()
	for _, tool := range []string{"list_incidents", "get_incident", "get_incident_timeline", "list_schedules", "who_is_on_call",
		"create_incident", "post_incident_update", "acknowledge_incident", "resolve_incident", "transition_incident_status"} {
		want = append(want, "output of "+tool)
	}
	for _, kind := range want {
		if seen[kind] == 0 {
			t.Errorf("no document of the kind %q was seen", kind)
		}
	}
	if seen["schema of a tool"] < 20 {
		t.Errorf("%d schemas of tools were seen, want two of each of the ten", seen["schema of a tool"])
	}
	t.Attr("documents", fmt.Sprint(all))
	t.Attr("document-kinds", fmt.Sprint(len(want)))
}

// send sends a request by hand and returns the answer's body.
func (s *system) send(t *testing.T, want int, method, path, contentType, authorization, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": contentType, "Authorization": authorization, "Accept": "application/json, text/event-stream"} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != want {
		t.Errorf("%s %s: %d, want %d: %s", method, path, response.StatusCode, want, answer)
	}
	return string(answer)
}
