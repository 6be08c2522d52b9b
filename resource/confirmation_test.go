package resource_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/resource"
	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// asker is a client that can show forms, on a server whose clock it moves.
type asker struct {
	*testing.T
	*fixture
	store *store.Store
	now   time.Time
}

// newAsker returns one, and the incidents 1 and 2 of Acme, and 1 of Globex, all
// of which a status page shows.
func newAsker(t *testing.T) *asker {
	t.Helper()
	a := &asker{T: t, store: newStore(t), now: now}
	a.fixture = newFixture(t, a.store, func(c *resource.Config) { c.Now = func() time.Time { return a.now } })
	for _, sql := range []string{
		`INSERT INTO status_pages (org_id, slug, name, published, created_at) VALUES ('org_globex', 'globex', 'Globex', true, now())`,
		`INSERT INTO status_page_components (org_id, component_id, position) SELECT org_id, id, 1 FROM components WHERE org_id = 'org_globex'`,
	} {
		if _, err := a.store.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct{ org, component string }{
		{"org_acme", componentAPI.String()}, {"org_acme", componentAPI.String()}, {"org_globex", componentGlobex.String()},
	} {
		c := claims(everything...)
		c.OrgID = row.org
		answer := a.call(c, "create_incident", map[string]any{"title": "t", "severity": "low", "componentIds": []string{row.component}}, nil)
		if answer.code != "" {
			t.Fatalf("creating an incident: %+v", answer)
		}
	}
	return a
}

// told is what an answer to a call comes to.
type told struct {
	state    string // of a question
	message  string // of a question
	code     string // of a refusal
	posted   bool
	replayed bool
}

// call calls a tool over HTTP in the protocol of 2026-07-28, with forms.
// more is merged into the params.
func (a *asker) call(c accesstoken.Claims, tool string, arguments any, more map[string]any) told {
	a.Helper()
	params := map[string]any{"name": tool, "arguments": arguments, "_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
		"io.modelcontextprotocol/clientCapabilities": map[string]any{"elicitation": map[string]any{"form": map[string]any{}}},
	}}
	for name, value := range more {
		params[name] = value
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
	if err != nil {
		a.Fatal(err)
	}
	response := a.do(a.T, "POST", "/mcp", http.Header{
		"Authorization": {"Bearer " + a.sign(a.T, c)}, "Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {tool},
	}, string(body))
	var got struct {
		Result struct {
			ResultType    string
			RequestState  string
			InputRequests map[string]struct{ Params struct{ Message string } }
			Meta          struct {
				Error struct{ Code string } `json:"scaling.cloud/error"`
			} `json:"_meta"`
			StructuredContent struct {
				Update   *struct{}
				Replayed bool
			}
		}
		Error any
	}
	if err := json.Unmarshal([]byte(response.body), &got); err != nil || response.StatusCode != 200 || got.Error != nil {
		a.Fatalf("%s: %d %s %v", body, response.StatusCode, response.body, err)
	}
	r := got.Result
	return told{r.RequestState, r.InputRequests["confirm"].Params.Message, r.Meta.Error.Code, r.StructuredContent.Update != nil, r.StructuredContent.Replayed}
}

// post posts a public update on an incident, with the answer to a question.
func (a *asker) post(c accesstoken.Claims, sequentialID int, body string, answer map[string]any) told {
	a.Helper()
	return a.call(c, "post_incident_update", map[string]any{"sequentialId": sequentialID, "body": body, "visibility": "public"}, answer)
}

// yesTo is the person's yes to the question with the given state.
func yesTo(state string) map[string]any {
	return map[string]any{"requestState": state, "inputResponses": map[string]any{
		"confirm": map[string]any{"action": "accept", "content": map[string]any{"publish": true}},
	}}
}

// changed returns text with another first letter.
func changed(text string) string {
	if text[0] == 'A' {
		return "B" + text[1:]
	}
	return "A" + text[1:]
}

func (a *asker) updates() (n int) {
	a.Helper()
	if err := a.store.Pool().QueryRow(a.Context(), `SELECT count(*) FROM incident_updates`).Scan(&n); err != nil {
		a.Fatal(err)
	}
	return n
}

// TestAYesIsGoodForNothingElse: whatever is not the call that was asked about is
// asked about itself.
func TestAYesIsGoodForNothingElse(t *testing.T) {
	t.Parallel()
	a := newAsker(t)
	mine := claims(everything...)
	change := func(f func(*accesstoken.Claims)) accesstoken.Claims {
		c := mine
		f(&c)
		return c
	}
	other := newFixture(t, a.store, nil) // another key, as after a restart without one
	state := a.post(mine, 1, "We are on it.", nil).state
	foreign := (&asker{T: t, fixture: other, store: a.store}).post(mine, 1, "We are on it.", nil).state
	for name, row := range map[string]struct {
		claims       accesstoken.Claims
		sequentialID int
		body         string
		answer       map[string]any
	}{
		"another text":             {mine, 1, "We are not on it.", yesTo(state)},
		"one space more":           {mine, 1, "We are on it. ", yesTo(state)},
		"another incident":         {mine, 2, "We are on it.", yesTo(state)},
		"another person":           {change(func(c *accesstoken.Claims) { c.Subject = "user_bob" }), 1, "We are on it.", yesTo(state)},
		"another connection":       {change(func(c *accesstoken.Claims) { c.ConnectionID = uuid.New() }), 1, "We are on it.", yesTo(state)},
		"another organization":     {change(func(c *accesstoken.Claims) { c.OrgID = "org_globex" }), 1, "We are on it.", yesTo(state)},
		"no state":                 {mine, 1, "We are on it.", yesTo("")},
		"a made-up state":          {mine, 1, "We are on it.", yesTo(strings.Repeat("A", len(state)))},
		"a state that was changed": {mine, 1, "We are on it.", yesTo(changed(state))},
		"a shorter state":          {mine, 1, "We are on it.", yesTo(state[:len(state)-4])},
		"a longer state":           {mine, 1, "We are on it.", yesTo(state + "AAAA")},
		"not base64":               {mine, 1, "We are on it.", yesTo(state[:len(state)-1] + "=")},
		"another server's state":   {mine, 1, "We are on it.", yesTo(foreign)},
		"a state without a yes":    {mine, 1, "We are on it.", map[string]any{"requestState": state}},
		"a yes to something else": {mine, 1, "We are on it.", map[string]any{"requestState": state, "inputResponses": map[string]any{
			"other": map[string]any{"action": "accept", "content": map[string]any{"publish": true}}}}},
	} {
		if got := a.post(row.claims, row.sequentialID, row.body, row.answer); got.state == "" || got.posted || got.state == state {
			t.Errorf("%s: got %+v, want a question of its own", name, got)
		}
	}
	for name, answer := range map[string]map[string]any{
		"no":        {"action": "decline"},
		"never":     {"action": "cancel"},
		"a typo":    {"action": "Accept", "content": map[string]any{"publish": true}},
		"not yes":   {"action": "accept", "content": map[string]any{"publish": false}},
		"the word":  {"action": "accept", "content": map[string]any{"publish": "true"}},
		"one":       {"action": "accept", "content": map[string]any{"publish": 1}},
		"nothing":   {"action": "accept"},
		"elsewhere": {"action": "accept", "content": map[string]any{"Publish": true}},
	} {
		question := a.post(mine, 1, "We are on it.", nil)
		got := a.post(mine, 1, "We are on it.", map[string]any{"requestState": question.state, "inputResponses": map[string]any{"confirm": answer}})
		if got.code != "not_confirmed" {
			t.Errorf("%s: got %+v, want a refusal", name, got)
		}
	}
	if n := a.updates(); n != 0 {
		t.Fatalf("%d updates were posted", n)
	}

	a.now = now.Add(5*time.Minute - time.Millisecond)
	if got := a.post(mine, 1, "We are on it.", yesTo(state)); !got.posted {
		t.Errorf("the yes itself: got %+v", got)
	}
	if got := a.post(mine, 1, "We are on it.", yesTo(state)); got.code != "confirmation_used" {
		t.Errorf("the same once more: got %+v", got)
	}
	if n := a.updates(); n != 1 {
		t.Errorf("%d updates were posted, want 1", n)
	}
}

func TestAYesThatComesLateIsAskedForAgain(t *testing.T) {
	t.Parallel()
	a := newAsker(t)
	mine := claims(everything...)
	mine.ExpiresAt = now.Add(24 * time.Hour)
	state := a.post(mine, 1, "We are on it.", nil).state
	a.now = now.Add(5 * time.Minute)
	again := a.post(mine, 1, "We are on it.", yesTo(state))
	if again.state == "" || again.posted {
		t.Fatalf("got %+v, want a question", again)
	}
	if got := a.post(mine, 1, "We are on it.", yesTo(again.state)); !got.posted {
		t.Errorf("a yes in time: got %+v", got)
	}
}

// TestTheScopeIsNeededForTheAnswerToo: a person who took it back in the meantime
// said so.
func TestTheScopeIsNeededForTheAnswerToo(t *testing.T) {
	t.Parallel()
	a := newAsker(t)
	state := a.post(claims(everything...), 1, "We are on it.", nil).state
	less := claims(store.ScopeIncidentsRead, store.ScopeIncidentsWrite)
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{
		"name": "post_incident_update", "arguments": map[string]any{"sequentialId": 1, "body": "We are on it.", "visibility": "public"},
		"requestState": state,
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := a.do(t, "POST", "/mcp", http.Header{"Authorization": {"Bearer " + a.sign(t, less)}}, string(body))
	if got.StatusCode != http.StatusForbidden {
		t.Errorf("got %d %s, want 403", got.StatusCode, got.body)
	}
}

// TestTheSDKsClientAsksItsPerson, who reads what will be published, and says yes
// and then no.
func TestTheSDKsClientAsksItsPerson(t *testing.T) {
	t.Parallel()
	a := newAsker(t)
	var shown []string
	says := &mcp.ElicitResult{Action: "accept", Content: map[string]any{"publish": true}}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			shown = append(shown, r.Params.Message)
			return says, nil
		},
	})
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: a.url + "/mcp", HTTPClient: &http.Client{Transport: authorized{a.bearer(t, everything...)}}, MaxRetries: -1,
	}, &mcp.ClientSessionOptions{ProtocolVersion: "2026-07-28"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	post := func(body string) *mcp.CallToolResult {
		t.Helper()
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "post_incident_update",
			Arguments: map[string]any{"sequentialId": 1, "body": body, "visibility": "public"}})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if got := post("Payments work again.\u200b"); got.IsError || a.updates() != 1 {
		t.Errorf("after a yes: got %+v with %d updates", got, a.updates())
	}
	if len(shown) != 1 || !strings.Contains(shown[0], "\n> Payments work again.\\u{200b}\n") || !strings.Contains(shown[0], `Incident #1: "t"`) {
		t.Errorf("the person was shown %q", shown)
	}
	says = &mcp.ElicitResult{Action: "decline"}
	if got := post("Not really."); !got.IsError || !strings.HasPrefix(got.Content[0].(*mcp.TextContent).Text, "not_confirmed: ") || a.updates() != 1 {
		t.Errorf("after a no: got %+v with %d updates", got, a.updates())
	}
	if len(shown) != 2 {
		t.Errorf("the person was asked %d times, want twice", len(shown))
	}
}

// TestAClientThatShowsLinksTakesItsPersonToTheDraft, who publishes it there
// before the client goes on; or does not.
func TestAClientThatShowsLinksTakesItsPersonToTheDraft(t *testing.T) {
	t.Parallel()
	a := newAsker(t)
	incidents := incident.New(a.store, incident.Config{Now: func() time.Time { return a.now }, PublicURL: publicURL})
	var visited []string
	decide := incidents.PublishDraft
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		Capabilities: &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{URL: &mcp.URLElicitationCapabilities{}}},
		ElicitationHandler: func(ctx context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			visited = append(visited, r.Params.URL)
			id, ok := strings.CutPrefix(r.Params.URL, publicURL+"/settings/drafts/")
			if r.Params.Mode != "url" || !ok || id != r.Params.ElicitationID {
				t.Errorf("got %+v, want the link of a draft", r.Params)
			}
			if decide != nil {
				if err := decide(ctx, "org_acme", "user_alice", uuid.MustParse(id), ""); err != nil {
					t.Error(err)
				}
			}
			return &mcp.ElicitResult{Action: "accept"}, nil
		},
	})
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: a.url + "/mcp", HTTPClient: &http.Client{Transport: authorized{a.bearer(t, everything...)}}, MaxRetries: -1,
	}, &mcp.ClientSessionOptions{ProtocolVersion: "2026-07-28"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for _, row := range []struct {
		body    string
		decide  func(ctx context.Context, orgID, authorID string, id uuid.UUID, requestID string) error
		text    string
		updates int
	}{
		{"one", incidents.PublishDraft, "Published an update", 1},
		{"two", incidents.DiscardDraft, "draft_discarded: ", 1},
		{"three", nil, "NOTHING has been published", 1},
	} {
		decide = row.decide
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "post_incident_update",
			Arguments: map[string]any{"sequentialId": 1, "body": row.body, "visibility": "public", "idempotencyKey": row.body}})
		if err != nil {
			t.Fatal(err)
		}
		if text := result.Content[0].(*mcp.TextContent).Text; !strings.Contains(text, row.text) || a.updates() != row.updates {
			t.Errorf("%s: got %q with %d updates", row.body, text, a.updates())
		}
	}
	if len(visited) != 3 {
		t.Errorf("the person was taken to %q, want three pages", visited)
	}
}

// TestWhatATextSaysIsNotWhatWeSay: no line of it stands where ours do.
func TestWhatATextSaysIsNotWhatWeSay(t *testing.T) {
	t.Parallel()
	a := newAsker(t)
	text := "x\r\n\nThe exact text:\n\rIncident #2: \"all is well\"\u2028Publish nothing\x1b[2K"
	lines := strings.Split(a.post(claims(everything...), 1, text, nil).message, "\n")
	ours := 0
	for _, line := range lines {
		if strings.Contains(line, "exact text") && !strings.HasPrefix(line, "> ") {
			ours++
		}
		if strings.Contains(line, "#2") && !strings.HasPrefix(line, "> ") {
			t.Errorf("a line of the text looks like ours: %q", line)
		}
	}
	if ours != 1 {
		t.Errorf("%d lines of ours announce the text, want 1: %q", ours, lines)
	}
	if strings.ContainsAny(fmt.Sprint(lines), "\r\u2028\x1b") {
		t.Errorf("something does not show: %q", lines)
	}
}
