package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"scaling.cloud/mcp/loopback"
)

// callback is the redirect URI of the clients. Nobody listens there: browsers
// stop in front of it.
const callback = "http://127.0.0.1:33418/callback"

// requestBound bounds one request; a server that hangs must not hang the bench.
const requestBound = 30 * time.Second

// bench is a server under measurement and the clients that measure it.
type bench struct {
	*command
	server   *oauthex.AuthServerMeta
	clients  []*http.Client
	browsers []*browser

	clientID string    // of all clients: one install of each is one connection
	codes    [][]grant // by client, not yet redeemed
	tokens   []tokens  // by client, the latest
}

// grant is a person's consent that has not been redeemed.
type grant struct{ code, verifier string }

// tokens is what the token endpoint answers (RFC 6749 §5.1).
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
}

// onlyThisComputer refuses to connect to an address that is not this computer's,
// whatever name or redirect led to it.
func onlyThisComputer(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if !loopback.Host(host) {
		return fmt.Errorf("%s is not on this computer, and scaling-bench talks to no other", host)
	}
	return nil
}

// newTransport returns a transport of one client: one connection to a host, kept
// alive.
func newTransport() *http.Transport {
	dialer := net.Dialer{Control: onlyThisComputer}
	return &http.Transport{DialContext: dialer.DialContext, MaxConnsPerHost: 1, DisableCompression: true}
}

func newBench(ctx context.Context, c *command) (*bench, error) {
	u, err := url.Parse(c.URL)
	if err != nil || !loopback.Host(u.Hostname()) {
		return nil, fmt.Errorf("%s is not a URL on this computer, and scaling-bench talks to no other", c.URL)
	}
	b := &bench{command: c, codes: make([][]grant, c.Clients), tokens: make([]tokens, c.Clients)}
	for range c.Clients {
		b.clients = append(b.clients, &http.Client{Transport: newTransport(), Timeout: requestBound})
		b.browsers = append(b.browsers, newBrowser(c.Person))
	}
	issuer := strings.TrimSuffix(c.URL, "/")
	b.server, err = oauthex.GetAuthServerMeta(ctx, issuer+"/.well-known/oauth-authorization-server", issuer, b.clients[0])
	if err != nil {
		return nil, err
	}
	if b.server == nil {
		return nil, fmt.Errorf("%s has no authorization server metadata", issuer)
	}
	return b, nil
}

// phases are all phases, in their order.
func (b *bench) phases() []phase {
	return []phase{
		{
			name:    "code",
			prepare: func(ctx context.Context) error { return b.consent(ctx, (b.Codes+b.Clients-1)/b.Clients) },
			request: func(ctx context.Context, client, _ int) error { return b.redeem(ctx, client) },
			finish:  b.callWithEach,
		},
		{
			name:    "refresh",
			prepare: b.connect,
			request: func(ctx context.Context, client, _ int) error { return b.refresh(ctx, client) },
			finish:  b.callWithEach,
		},
		{
			name:    "call",
			prepare: b.connect,
			request: func(ctx context.Context, client, _ int) error { return b.call(ctx, client) },
		},
		{
			name:    "register",
			prepare: func(context.Context) error { return nil },
			request: func(ctx context.Context, client, _ int) error {
				_, err := b.register(ctx, client, "scaling-bench "+rand.Text())
				return err
			},
		},
	}
}

// register registers a public client (RFC 7591) and returns its id.
func (b *bench) register(ctx context.Context, client int, name string) (string, error) {
	body, err := json.Marshal(oauthex.ClientRegistrationMetadata{
		ClientName: name, RedirectURIs: []string{callback}, TokenEndpointAuthMethod: "none",
		GrantTypes: []string{"authorization_code", "refresh_token"}, ApplicationType: "native",
	})
	if err != nil {
		return "", err
	}
	var answer struct {
		ClientID string `json:"client_id"`
	}
	if err := b.post(ctx, client, b.server.RegistrationEndpoint, "application/json", body, http.StatusCreated, &answer); err != nil {
		return "", err
	}
	if answer.ClientID == "" {
		return "", failure{"registered without a client_id"}
	}
	return answer.ClientID, nil
}

// consent gives each client n codes. A code lives for a minute, so what is left
// of an earlier phase is thrown away.
func (b *bench) consent(ctx context.Context, n int) error {
	if b.clientID == "" {
		id, err := b.register(ctx, 0, "scaling-bench")
		if err != nil {
			return err
		}
		b.clientID = id
	}
	return b.each(func(client int) error {
		b.codes[client] = b.codes[client][:0]
		for range n {
			verifier := rand.Text() + rand.Text()
			sum := sha256.Sum256([]byte(verifier))
			answer, err := b.browsers[client].allow(ctx, b.server.AuthorizationEndpoint+"?"+url.Values{
				"response_type": {"code"}, "client_id": {b.clientID}, "redirect_uri": {callback}, "state": {rand.Text()},
				"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
			}.Encode())
			if err != nil {
				return err
			}
			if answer.Get("code") == "" || answer.Get("iss") != b.server.Issuer {
				return fmt.Errorf("the answer to the authorization request is %v", answer)
			}
			b.codes[client] = append(b.codes[client], grant{answer.Get("code"), verifier})
		}
		return nil
	})
}

// connect gives a connection to each client that has none.
func (b *bench) connect(ctx context.Context) error {
	if !slices.Contains(b.tokens, tokens{}) {
		return nil
	}
	if err := b.consent(ctx, 1); err != nil {
		return err
	}
	return b.each(func(client int) error { return b.redeem(ctx, client) })
}

// redeem exchanges a client's next code for tokens.
func (b *bench) redeem(ctx context.Context, client int) error {
	if len(b.codes[client]) == 0 {
		return errUsedUp
	}
	next := b.codes[client][0]
	b.codes[client] = b.codes[client][1:]
	return b.token(ctx, client, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {b.clientID}, "code": {next.code},
		"redirect_uri": {callback}, "code_verifier": {next.verifier},
	})
}

// refresh rotates a client's refresh token.
func (b *bench) refresh(ctx context.Context, client int) error {
	return b.token(ctx, client, url.Values{
		"grant_type": {"refresh_token"}, "client_id": {b.clientID}, "refresh_token": {b.tokens[client].Refresh},
	})
}

// token asks the token endpoint. What it answers is the client's from then on,
// and must be new: a replay of an earlier answer is none.
func (b *bench) token(ctx context.Context, client int, form url.Values) error {
	var got tokens
	if err := b.post(ctx, client, b.server.TokenEndpoint, "application/x-www-form-urlencoded", []byte(form.Encode()), http.StatusOK, &got); err != nil {
		return err
	}
	if got.Type != "Bearer" || strings.Count(got.Access, ".") != 2 || got.Refresh == "" || got.Expires <= 0 {
		return failure{"an answer without usable tokens"}
	}
	if old := b.tokens[client]; got.Access == old.Access || got.Refresh == old.Refresh {
		return failure{"the tokens that were there"}
	}
	b.tokens[client] = got
	return nil
}

// listIncidents is a page of 20 incidents.
const listIncidents = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_incidents","arguments":{"limit":20}}}`

// call calls a tool with a client's access token.
func (b *bench) call(ctx context.Context, client int) error {
	var answer struct {
		Result struct {
			IsError           bool            `json:"isError"`
			StructuredContent json.RawMessage `json:"structuredContent"`
		} `json:"result"`
	}
	if err := b.post(ctx, client, b.server.Issuer+"/mcp", "application/json", []byte(listIncidents), http.StatusOK, &answer); err != nil {
		return err
	}
	if answer.Result.IsError || len(answer.Result.StructuredContent) == 0 {
		return failure{"a result without content"}
	}
	return nil
}

// callWithEach shows that the tokens which each client ended with are usable.
func (b *bench) callWithEach(ctx context.Context) error {
	if err := b.each(func(client int) error { return b.call(ctx, client) }); err != nil {
		return fmt.Errorf("calling a tool with the tokens that were issued: %w", err)
	}
	return nil
}

// post sends one request of a client and decodes its answer, which must have the
// wanted status.
func (b *bench) post(ctx context.Context, client int, to, contentType string, body []byte, want int, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", contentType)
	if access := b.tokens[client].Access; to == b.server.Issuer+"/mcp" {
		r.Header.Set("Authorization", "Bearer "+access)
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("MCP-Protocol-Version", "2025-11-25")
	}
	response, err := b.clients[client].Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body) // to its end, or the connection is not used again
	if err != nil {
		return err
	}
	if response.StatusCode != want {
		var refused struct {
			Code string `json:"error"`
		}
		_ = json.Unmarshal(raw, &refused) // what is not JSON is told by its status
		return failure{strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, refused.Code))}
	}
	if mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); mediaType != "application/json" {
		return failure{"an answer that is not JSON"}
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return failure{"an answer that is not JSON"}
	}
	return nil
}
