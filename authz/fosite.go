package authz

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	josev3 "github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"

	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
)

// This file is the only one that knows fosite, which parses and validates
// requests, authenticates clients and dispatches grants. What it lacks or gets
// wrong for MCP clients is around it: redirect URIs with localhost ports,
// absent state, resource indicators, iss; and its handlers for codes and
// refresh tokens, which turn a parallel refresh into a logout, are replaced by
// ours (token_code.go, token_refresh.go).

// provider is fosite, set up for this server.
type provider struct{ fosite *fosite.Fosite }

func newProvider(s *Server) provider {
	config := &fosite.Config{
		ScopeStrategy:            fosite.ExactScopeStrategy,
		AudienceMatchingStrategy: fosite.ExactAudienceMatchingStrategy,
		// state may be short or absent: PKCE does its work (OAuth 2.1 §7.12). Zero
		// would mean eight; see absentState for none.
		MinParameterEntropy:       1,
		ClientSecretsHasher:       secretHasher{},
		JWKSFetcherStrategy:       noFetch{},
		TokenURL:                  s.PublicURL + "/oauth/token",
		AuthorizeEndpointHandlers: fosite.AuthorizeEndpointHandlers{codeIssuer{}},
		TokenEndpointHandlers: fosite.TokenEndpointHandlers{
			grantHandler{store.GrantCode, s.redeemCode},
			grantHandler{store.GrantRefresh, s.refresh},
		},
	}
	p := provider{fosite.NewOAuth2Provider(clients{newClientCache(s.Store, s.Now)}, config)}
	config.ClientAuthenticationStrategy = func(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
		if !hasAssertion(form) {
			return p.fosite.DefaultClientAuthenticationStrategy(ctx, r, form)
		}
		c, err := s.assertedClient(ctx, r, form)
		if err != nil {
			return nil, err
		}
		return newClient(c), nil
	}
	return p
}

// absentState stands for a state that the client did not send, towards fosite
// alone, which insists on one.
const absentState = "absent"

// validate checks an authorization request whose client, redirect URI, scopes
// and resource are known good.
func (p provider) validate(ctx context.Context, a *authorizationRequest) error {
	_, err := p.authorizeRequest(ctx, a)
	return err
}

// issueCode answers an authorization request that its person has allowed. grant
// makes the code; the result is the authorization response (RFC 6749 §4.1.2).
func (p provider) issueCode(ctx context.Context, a *authorizationRequest, grant func() (code string, err error)) (url.Values, error) {
	request, err := p.authorizeRequest(ctx, a)
	if err != nil {
		return nil, err
	}
	response, err := p.fosite.NewAuthorizeResponse(ctx, request, &grantSession{grant: grant})
	if err != nil {
		return nil, oauthError(err)
	}
	return response.GetParameters(), nil
}

func (p provider) authorizeRequest(ctx context.Context, a *authorizationRequest) (fosite.AuthorizeRequester, error) {
	form := url.Values{
		"client_id":     {a.client.ID},
		"redirect_uri":  {a.redirectURI},
		"response_type": {a.form.Get("response_type")},
		"response_mode": {a.form.Get("response_mode")},
		"state":         {a.state},
		"audience":      {a.resource},
	}
	for _, scope := range a.scopes {
		form.Set("scope", strings.TrimSpace(form.Get("scope")+" "+scope.Name))
	}
	if a.state == "" {
		form.Set("state", absentState)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/oauth/authorize?"+form.Encode(), nil)
	if err != nil {
		return nil, err
	}
	// Our own check has matched the redirect URI by the rules of design §9, which
	// are wider than fosite's for loopback ports and narrower for schemes.
	asked := *a.client
	asked.RedirectURIs = []string{a.redirectURI}
	authorize, err := p.fosite.NewAuthorizeRequest(withClient(ctx, &asked, a.resource), request)
	if err != nil {
		return nil, oauthError(err)
	}
	return authorize, nil
}

// token answers a token request (RFC 6749 §3.2): the client is authenticated,
// and the grant's handler called.
func (p provider) token(ctx context.Context, r *http.Request) (map[string]any, error) {
	request, err := p.fosite.NewAccessRequest(ctx, r, &tokenSession{})
	if err != nil {
		return nil, oauthError(err)
	}
	response, err := p.fosite.NewAccessResponse(ctx, request)
	if err != nil {
		return nil, oauthError(err)
	}
	return response.ToMap(), nil
}

// authenticate returns the client that r comes from (RFC 6749 §2.3).
func (p provider) authenticate(ctx context.Context, r *http.Request) (*store.Client, error) {
	c, err := p.fosite.AuthenticateClient(ctx, r, r.PostForm)
	if err != nil {
		return nil, oauthError(err)
	}
	return c.(*client).stored, nil
}

// oauthError turns an error of fosite into one of ours. An error of ours that
// passed through fosite comes out as it was: fosite would call a database that
// is away an unknown client, and the client would throw its registration away.
func oauthError(err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	theirs, ok := errors.AsType[*fosite.RFC6749Error](err)
	if !ok {
		return err
	}
	description := theirs.HintField
	if description == "" || theirs.ErrorField == codeInvalidClient {
		description = theirs.DescriptionField
	}
	return &Error{Status: theirs.CodeField, Code: theirs.ErrorField, Description: description, Err: theirs.Unwrap()}
}

// clients is the store as fosite sees it.
type clients struct{ cache *clientCache }

type askedClient struct{}

// withClient gives fosite a client that was read already, with what it may ask
// for in this request.
func withClient(ctx context.Context, c *store.Client, resource string) context.Context {
	return context.WithValue(ctx, askedClient{}, newClient(c, resource))
}

func (cs clients) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if c, ok := ctx.Value(askedClient{}).(*client); ok {
		return c, nil
	}
	stored, err := cs.cache.client(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return newClient(stored), nil
}

// Assertions are verified by assertedClient, never by fosite.
var errNoAssertions = errors.New("client assertions are not verified here")

func (clients) ClientAssertionJWTValid(context.Context, string) error { return errNoAssertions }
func (clients) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return errNoAssertions
}

// client is a store.Client as fosite sees it. It is an OpenID Connect client
// only because fosite pins the authentication method of no other kind.
type client struct {
	fosite.DefaultOpenIDConnectClient
	stored *store.Client
}

func newClient(c *store.Client, audience ...string) *client {
	var scopes []string
	for _, scope := range store.Scopes() {
		scopes = append(scopes, scope.Name)
	}
	// fosite authenticates only clients without an assertion: among them one that
	// need not use its keys is public.
	method := c.AuthMethod
	if c.AlsoPublic {
		method = store.AuthMethodNone
	}
	return &client{
		DefaultOpenIDConnectClient: fosite.DefaultOpenIDConnectClient{
			DefaultClient: &fosite.DefaultClient{
				ID:            c.ID,
				Secret:        c.SecretHash,
				RedirectURIs:  c.RedirectURIs,
				GrantTypes:    c.GrantTypes,
				ResponseTypes: []string{store.ResponseTypeCode},
				Scopes:        scopes,
				Audience:      audience,
				Public:        method == store.AuthMethodNone,
			},
			TokenEndpointAuthMethod: method,
		},
		stored: c,
	}
}

// GetResponseModes lets a client say response_mode=query, which is the default.
func (*client) GetResponseModes() []fosite.ResponseModeType {
	return []fosite.ResponseModeType{fosite.ResponseModeDefault, fosite.ResponseModeQuery}
}

// secretHasher compares client secrets. They are ours, of 256 random bits: bcrypt,
// fosite's default, would add half a second of CPU and no security.
type secretHasher struct{}

func (secretHasher) Compare(_ context.Context, hash, presented []byte) error {
	if subtle.ConstantTimeCompare(hash, secret.Hash(string(presented))) != 1 {
		return errors.New("the client secret is another")
	}
	return nil
}

func (secretHasher) Hash(_ context.Context, presented []byte) ([]byte, error) {
	return secret.Hash(string(presented)), nil
}

// noFetch keeps fosite from fetching key sets that a client names.
type noFetch struct{}

func (noFetch) Resolve(context.Context, string, bool) (*josev3.JSONWebKeySet, error) {
	return nil, errors.New("key sets of clients are not fetched")
}

// grantSession carries the answer to an authorization request through fosite.
type grantSession struct {
	fosite.DefaultSession
	grant func() (code string, err error)
}

// codeIssuer is fosite's authorize handler: it stores no code before the person
// has allowed it, and the PKCE challenge lies in the code's own row.
type codeIssuer struct{}

func (codeIssuer) HandleAuthorizeEndpointRequest(_ context.Context, request fosite.AuthorizeRequester, response fosite.AuthorizeResponder) error {
	if !request.GetResponseTypes().ExactOne(store.ResponseTypeCode) {
		return nil
	}
	code, err := request.GetSession().(*grantSession).grant()
	if err != nil {
		return err
	}
	response.AddParameter("code", code)
	request.SetResponseTypeHandled(store.ResponseTypeCode)
	return nil
}

// tokenSession carries the answer to a token request through fosite.
type tokenSession struct {
	fosite.DefaultSession
	tokens *tokens
}

// grantHandler is fosite's token handler for one grant type. The grant is decided
// and stored in one call, since it is one transaction; fosite's second call only
// writes the answer down.
type grantHandler struct {
	grantType string
	grant     func(ctx context.Context, c *store.Client, form url.Values) (*tokens, error)
}

func (g grantHandler) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

func (g grantHandler) CanHandleTokenEndpointRequest(_ context.Context, request fosite.AccessRequester) bool {
	return request.GetGrantTypes().ExactOne(g.grantType)
}

func (g grantHandler) HandleTokenEndpointRequest(ctx context.Context, request fosite.AccessRequester) error {
	c := request.GetClient().(*client).stored
	if !slices.Contains(c.GrantTypes, g.grantType) {
		return refuse(codeUnauthorizedClient, "The client did not register the grant type "+g.grantType+".")
	}
	issued, err := g.grant(ctx, c, request.GetRequestForm())
	if err != nil {
		return err
	}
	request.GetSession().(*tokenSession).tokens = issued
	return nil
}

func (g grantHandler) PopulateTokenEndpointResponse(ctx context.Context, request fosite.AccessRequester, response fosite.AccessResponder) error {
	if !g.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	issued := request.GetSession().(*tokenSession).tokens
	response.SetAccessToken(issued.access)
	response.SetTokenType("Bearer")
	response.SetExpiresIn(issued.expiresIn)
	response.SetScopes(issued.scopes)
	if issued.refresh != "" {
		response.SetExtra("refresh_token", issued.refresh)
	}
	return nil
}
