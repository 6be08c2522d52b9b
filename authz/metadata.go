package authz

import (
	"net/http"
	"strconv"
	"time"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"scaling.cloud/mcp/store"
)

// metadataMaxAge is how long clients and caches may keep the metadata and the
// keys. No signing key is used before it has been published for longer.
const metadataMaxAge = 5 * time.Minute

func cacheable(h http.Header) {
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(metadataMaxAge/time.Second)))
}

// serverMetadata is RFC 8414's document with what the SDK's type lacks.
type serverMetadata struct {
	oauthex.AuthServerMeta
	// RFC 9126 §5.
	PushedAuthorizationRequestEndpoint string `json:"pushed_authorization_request_endpoint"`
	RequirePushedAuthorizationRequests bool   `json:"require_pushed_authorization_requests"`
	// OpenID Connect Discovery §3, where absence would mean true. It is about
	// URIs of the client's own, not about pushed requests.
	RequestURIParameterSupported bool `json:"request_uri_parameter_supported"`
}

// metadata serves the authorization server's metadata (RFC 8414 §3). The same
// document answers for OpenID Connect discovery, where MCP clients look second.
func (s *Server) metadata(w http.ResponseWriter, _ *http.Request) error {
	scopes := make([]string, 0, len(store.Scopes()))
	for _, scope := range store.Scopes() {
		scopes = append(scopes, scope.Name)
	}
	authMethods := []string{store.AuthMethodNone, store.AuthMethodBasic, store.AuthMethodPost, store.AuthMethodPrivateKeyJWT}
	algorithms := make([]string, len(assertionAlgorithms))
	for i, algorithm := range assertionAlgorithms {
		algorithms[i] = string(algorithm)
	}
	cacheable(w.Header())
	writeJSON(w, http.StatusOK, serverMetadata{AuthServerMeta: oauthex.AuthServerMeta{
		Issuer:                                 s.PublicURL,
		AuthorizationEndpoint:                  s.PublicURL + "/oauth/authorize",
		TokenEndpoint:                          s.PublicURL + "/oauth/token",
		RegistrationEndpoint:                   s.PublicURL + "/oauth/register",
		RevocationEndpoint:                     s.PublicURL + "/oauth/revoke",
		JWKSURI:                                s.PublicURL + "/oauth/jwks",
		ScopesSupported:                        scopes,
		ResponseTypesSupported:                 []string{store.ResponseTypeCode},
		ResponseModesSupported:                 []string{"query"},
		GrantTypesSupported:                    []string{store.GrantCode, store.GrantRefresh},
		CodeChallengeMethodsSupported:          []string{"S256"},
		TokenEndpointAuthMethodsSupported:      authMethods,
		RevocationEndpointAuthMethodsSupported: authMethods,
		ClientIDMetadataDocumentSupported:      true,

		TokenEndpointAuthSigningAlgValuesSupported:      algorithms,
		RevocationEndpointAuthSigningAlgValuesSupported: algorithms,
		// RFC 7662: for resource servers that an operator registered, not for clients.
		IntrospectionEndpoint:                     s.PublicURL + "/oauth/introspect",
		IntrospectionEndpointAuthMethodsSupported: []string{store.AuthMethodBasic, store.AuthMethodPost},
		// RFC 9207: on success and on error.
		AuthorizationResponseIssParameterSupported: true,
	}, PushedAuthorizationRequestEndpoint: s.PublicURL + "/oauth/par"})
	return nil
}

// jwks serves the public halves of the signing keys (RFC 7517 §5).
func (s *Server) jwks(w http.ResponseWriter, _ *http.Request) error {
	cacheable(w.Header())
	writeJSON(w, http.StatusOK, s.Keys.public())
	return nil
}
