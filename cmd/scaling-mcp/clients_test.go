package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

// moduleVersion returns the version of a module that this program is built with.
func moduleVersion(t *testing.T, path string) string {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("this program does not know what it is built with")
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	t.Fatalf("this program is built without %s", path)
	return ""
}

// TestGoSDKClient: several processes of one client have a file with its tokens in
// common.
func TestGoSDKClient(t *testing.T) {
	t.Parallel()
	t.Attr("client", "github.com/modelcontextprotocol/go-sdk "+moduleVersion(t, "github.com/modelcontextprotocol/go-sdk"))
	s := newStory(t)
	const name = "Client with the Go SDK"
	var kept struct {
		config *oauth2.Config
		token  *oauth2.Token
	}
	configure := func(initial oauth2.TokenSource, ask auth.AuthorizationCodeFetcher) *auth.AuthorizationCodeHandler {
		handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
			DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName: name, RedirectURIs: []string{callback}, GrantTypes: []string{"authorization_code", "refresh_token"},
				TokenEndpointAuthMethod: "none",
			}},
			RequestRefreshToken: true,
			InitialTokenSource:  initial,
			NewTokenSource: func(ctx context.Context, config *oauth2.Config, token *oauth2.Token) (oauth2.TokenSource, error) {
				kept.config, kept.token = config, token
				return config.TokenSource(ctx, token), nil
			},
			AuthorizationCodeFetcher: ask,
		})
		if err != nil {
			t.Fatal(err)
		}
		return handler
	}
	askAlice := func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		answer := s.allow(args.URL)
		return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, nil
	}
	askNobody := func(context.Context, *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		return nil, errors.New("the client wants to ask for consent")
	}
	c := &client{t: t, log: s.log}
	s.tell(foreign{
		name: name,
		call: func(tool string, arguments map[string]any) map[string]any {
			if c.session == nil {
				var err error
				if c.session, err = s.dial(t, name, configure(nil, askAlice)); err != nil {
					t.Fatal(err)
				}
			}
			return c.call(tool, arguments).StructuredContent.(map[string]any)
		},
		race: func(n int) {
			expired := *kept.token
			expired.Expiry = time.Now().Add(-time.Minute)
			var processes sync.WaitGroup
			for range n {
				handler := configure(kept.config.TokenSource(t.Context(), &expired), askNobody)
				processes.Go(func() {
					session, err := s.dial(t, name, handler)
					if err != nil {
						t.Error(err)
						return
					}
					if result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "list_schedules"}); err != nil || result.IsError {
						t.Errorf("list_schedules: %v %v", result, err)
					}
				})
			}
			processes.Wait()
		},
	}, 8)
}

// TestXOAuth2Client: x/oauth2 speaks no MCP, and is told by the metadata where to
// go. What it does is ask, redeem, refresh and send the token.
func TestXOAuth2Client(t *testing.T) {
	t.Parallel()
	t.Attr("client", "golang.org/x/oauth2 "+moduleVersion(t, "golang.org/x/oauth2"))
	s := newStory(t)
	c := &simpleClient{story: s, name: "Client with x/oauth2"}
	s.tell(foreign{name: c.name, call: c.call, race: c.race}, 8)
}

// simpleClient is what somebody writes with x/oauth2.
type simpleClient struct {
	*story
	name   string
	config *oauth2.Config
	token  *oauth2.Token
}

// call calls a tool. An answer of 401 means that the token must be refreshed, and
// where it cannot be, that the person must be asked.
func (c *simpleClient) call(tool string, arguments map[string]any) map[string]any {
	c.t.Helper()
	for range 3 {
		browser := http.DefaultClient
		if c.token != nil {
			browser = c.config.Client(c.t.Context(), c.token)
		}
		response, result, err := c.send(browser, tool, arguments)
		if err != nil {
			c.t.Fatal(err)
		}
		switch {
		case response.StatusCode == http.StatusOK:
			return result
		case response.StatusCode != http.StatusUnauthorized:
			c.t.Fatalf("%s: %s", tool, response.Status)
		case c.token == nil:
			c.discover(response)
			c.authorize()
		default:
			fresh, err := c.refresh()
			if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
				c.authorize()
				continue
			}
			if err != nil {
				c.t.Fatal(err)
			}
			c.token = fresh
		}
	}
	c.t.Fatalf("%s is refused again and again", tool)
	return nil
}

// send sends one call, as 2025-03-26 allows without a session.
func (c *simpleClient) send(browser *http.Client, tool string, arguments map[string]any) (*http.Response, map[string]any, error) {
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": arguments},
	})
	if err != nil {
		return nil, nil, err
	}
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+"/mcp", strings.NewReader(string(body)))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	response, err := browser.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, nil, err
	}
	var answer struct {
		Result struct {
			StructuredContent map[string]any `json:"structuredContent"`
		} `json:"result"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, nil, err
	}
	return response, answer.Result.StructuredContent, nil
}

// discover goes from the challenge to the endpoints, and registers.
func (c *simpleClient) discover(refused *http.Response) {
	c.t.Helper()
	challenges, err := oauthex.ParseWWWAuthenticate(refused.Header["Www-Authenticate"])
	if err != nil || len(challenges) == 0 {
		c.t.Fatalf("a 401 with the challenges %v: %v", challenges, err)
	}
	resource, err := oauthex.GetProtectedResourceMetadata(c.t.Context(), challenges[0].Params["resource_metadata"], c.url+"/mcp", http.DefaultClient)
	if err != nil {
		c.t.Fatal(err)
	}
	server, err := auth.GetAuthServerMetadata(c.t.Context(), resource.AuthorizationServers[0], http.DefaultClient)
	if err != nil {
		c.t.Fatal(err)
	}
	registered, err := oauthex.RegisterClient(c.t.Context(), server.RegistrationEndpoint, &oauthex.ClientRegistrationMetadata{
		ClientName: c.name, RedirectURIs: []string{callback}, TokenEndpointAuthMethod: "client_secret_post",
	}, http.DefaultClient)
	if err != nil {
		c.t.Fatal(err)
	}
	c.config = &oauth2.Config{
		ClientID: registered.ClientID, ClientSecret: registered.ClientSecret, RedirectURL: callback,
		Scopes: strings.Fields(challenges[0].Params["scope"]),
		Endpoint: oauth2.Endpoint{
			AuthURL: server.AuthorizationEndpoint, TokenURL: server.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

func (c *simpleClient) authorize() {
	c.t.Helper()
	verifier := oauth2.GenerateVerifier()
	resource := oauth2.SetAuthURLParam("resource", c.url+"/mcp")
	answer := c.allow(c.config.AuthCodeURL("some-state", oauth2.S256ChallengeOption(verifier), resource))
	var err error
	if c.token, err = c.config.Exchange(c.t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier), resource); err != nil {
		c.t.Fatal(err)
	}
}

// refresh has x/oauth2 find that the token has expired.
func (c *simpleClient) refresh() (*oauth2.Token, error) {
	expired := *c.token
	expired.Expiry = time.Now().Add(-time.Minute)
	return c.config.TokenSource(c.t.Context(), &expired).Token()
}

// race is what programs do that keep their token in one place.
func (c *simpleClient) race(n int) {
	fresh := make([]*oauth2.Token, n)
	var programs sync.WaitGroup
	for i := range n {
		programs.Go(func() {
			token, err := c.refresh()
			if err != nil {
				c.t.Error(err)
				return
			}
			response, _, err := c.send(c.config.Client(c.t.Context(), token), "list_schedules", nil)
			if err != nil || response.StatusCode != http.StatusOK {
				c.t.Errorf("list_schedules: %v %v", response, err)
			}
			fresh[i] = token
		})
	}
	programs.Wait()
	c.token = fresh[n-1]
}
