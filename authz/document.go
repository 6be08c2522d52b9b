package authz

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"scaling.cloud/mcp/authz/clientdoc"
	"scaling.cloud/mcp/store"
)

// document is a client ID metadata document
// (draft-ietf-oauth-client-id-metadata-document): a registration that its client
// publishes instead of sending it.
type document struct {
	registration
	ClientID string `json:"client_id"`
	// TokenEndpointAuthMethods is no part of RFC 7591: ChatGPT's document says by
	// it that its keys need not be used.
	TokenEndpointAuthMethods []string        `json:"token_endpoint_auth_methods_supported"`
	JWKS                     json.RawMessage `json:"jwks"`
	JWKSURI                  string          `json:"jwks_uri"`
	alsoPublic               bool
}

// parseDocument reads the document at the URL id. It refuses with a phrase for the
// person, "it …", what would be unsafe to believe.
func parseDocument(id string, body []byte) (*document, error) {
	var members map[string]json.RawMessage
	var d document
	if json.Unmarshal(body, &members) != nil || json.Unmarshal(body, &d) != nil {
		return nil, errors.New("it is not a JSON object with members of the types in RFC 7591 §2")
	}
	if string(d.JWKS) == "null" {
		d.JWKS = nil
	}
	if d.ClientID != id {
		return nil, errors.New("it describes another app (client_id is not the address that it is at)")
	}
	for name := range members {
		if strings.HasPrefix(strings.ToLower(name), "client_secret") {
			return nil, errors.New("it contains a secret, which everybody can read (" + name + ")")
		}
	}
	if displayName(d.ClientName) == unnamed {
		return nil, errors.New("it does not say what the app is called (client_name)")
	}
	if err := d.chooseAuthMethod(); err != nil {
		return nil, err
	}
	// A document serves other servers, too: what would not be safe here is left
	// out, and the rest is good.
	d.RedirectURIs = slices.DeleteFunc(d.RedirectURIs, func(uri string) bool { return checkRedirectURI(uri) != "" })
	if err := d.validateMetadata(); err != nil {
		return nil, errors.New("it breaks a rule: " + asError(err).Description)
	}
	return &d, nil
}

// chooseAuthMethod settles how the client authenticates itself: by private_key_jwt
// where it wants to and has keys, and then also not at all if it lists that. Only
// what a client and a server that never met can have is possible: a document that
// asks for a shared secret is refused.
func (d *document) chooseAuthMethod() error {
	preferred := d.TokenEndpointAuthMethod
	if strings.HasPrefix(preferred, "client_secret_") {
		return errors.New("it asks for a shared secret, which nobody has given it (token_endpoint_auth_method)")
	}
	if preferred == "" && len(d.TokenEndpointAuthMethods) == 0 {
		preferred = store.AuthMethodNone
	}
	public := preferred == store.AuthMethodNone || slices.Contains(d.TokenEndpointAuthMethods, store.AuthMethodNone)
	keys := preferred == store.AuthMethodPrivateKeyJWT ||
		preferred != store.AuthMethodNone && slices.Contains(d.TokenEndpointAuthMethods, store.AuthMethodPrivateKeyJWT)
	if keys && d.JWKS != nil && d.JWKSURI != "" {
		return errors.New("it has two sets of keys (jwks and jwks_uri, RFC 7591 §2)")
	}
	hasKeys := d.JWKS != nil || clientdoc.CheckURL(d.JWKSURI) == ""
	switch {
	case keys && hasKeys:
		d.TokenEndpointAuthMethod, d.alsoPublic = store.AuthMethodPrivateKeyJWT, public
	case public:
		d.TokenEndpointAuthMethod = store.AuthMethodNone
	case keys:
		return errors.New("it has no keys that we can get (jwks or an https jwks_uri)")
	default:
		return errors.New("it asks for a kind of authentication that we do not have (token_endpoint_auth_method)")
	}
	return nil
}

// Bounds of a key set. A client that rotates its keys has two or three.
const (
	maxKeys    = 32
	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 8192 // what a stranger may make us calculate with
)

// parseKeySet returns the keys of a JWK set (RFC 7517 §5) that an assertion may be
// signed with, in the form that is stored. Others are left out.
func parseKeySet(raw []byte) ([]byte, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, errors.New("its keys are not a JWK set (RFC 7517 §5)")
	}
	if len(set.Keys) > maxKeys {
		return nil, errors.New("it has more than 32 keys")
	}
	var usable jose.JSONWebKeySet
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !verifies(&key) {
			continue
		}
		usable.Keys = append(usable.Keys, jose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: key.Algorithm, Use: key.Use})
	}
	if len(usable.Keys) == 0 {
		return nil, errors.New("it has no public key that we can use")
	}
	return json.Marshal(usable)
}

// verifies reports whether a key can verify an assertion: it is public, of a kind
// and size for one of assertionAlgorithms, and not meant for encryption.
func verifies(key *jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits && k.N.BitLen() <= maxRSABits
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return true
	}
	return false
}

// documentHash tells documents apart.
func documentHash(body []byte) []byte {
	sum := sha256.Sum256(body)
	return sum[:]
}
