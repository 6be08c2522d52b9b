package authz

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
)

// Bounds of a registration.
const (
	maxRedirectURIs   = 10
	maxClientMetadata = 255 // of a name or a URI that is only shown, in code points
)

// registration is a client's description of itself (RFC 7591 §2). Fields that we
// do not know are ignored, as §2 asks. Of those that it knows, jwks, jwks_uri,
// request URIs and logos are deliberately not read: nothing that a stranger
// registers is ever fetched.
type registration struct {
	RedirectURIs            []string `json:"redirect_uris"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method"`
	GrantTypes              []string `json:"grant_types"`
	ResponseTypes           []string `json:"response_types"`
	ClientName              string   `json:"client_name"`
	ClientURI               string   `json:"client_uri"`
	Scope                   string   `json:"scope"`
	SoftwareID              string   `json:"software_id"`
	SoftwareVersion         string   `json:"software_version"`
	ApplicationType         string   `json:"application_type"`
}

// registered is the answer (RFC 7591 §3.2.1). It has no nulls: clients that parse
// strictly refuse them.
type registered struct {
	ClientID                string   `json:"client_id"`
	ClientSecret            string   `json:"client_secret,omitempty"`
	ClientSecretExpiresAt   *int64   `json:"client_secret_expires_at,omitempty"`  // 0: never; required beside a secret
	ClientIDIssuedAt        int64    `json:"client_id_issued_at"`                 // Unix seconds
	RegistrationAccessToken string   `json:"registration_access_token,omitempty"` // RFC 7592 §3
	RegistrationClientURI   string   `json:"registration_client_uri,omitempty"`
	RedirectURIs            []string `json:"redirect_uris"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method"`
	GrantTypes              []string `json:"grant_types"`
	ResponseTypes           []string `json:"response_types"`
	ClientName              string   `json:"client_name,omitempty"`
	ClientURI               string   `json:"client_uri,omitempty"`
	Scope                   string   `json:"scope,omitempty"`
	SoftwareID              string   `json:"software_id,omitempty"`
	SoftwareVersion         string   `json:"software_version,omitempty"`
	ApplicationType         string   `json:"application_type,omitempty"`
}

// register serves dynamic client registration (RFC 7591 §3): lenient in form,
// strict in safety (design §9).
func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	var reg registration
	if err := decodeJSON(r, &reg); err != nil {
		return err
	}
	if err := reg.validate(); err != nil {
		return err
	}
	client := reg.client(clientIDPrefix + rand.Text())
	client.CreatedAt = s.Now()
	var clientSecret, token, tokenURI string
	if !client.Public() {
		clientSecret, token, tokenURI = secret.New(clientSecretPrefix), secret.New(registrationTokenPrefix), s.registrationURI(client.ID)
		client.SecretHash, client.RegistrationTokenHash = secret.Hash(clientSecret), secret.Hash(token)
	}
	full, err := s.Limits.registration(r)
	if err != nil {
		return err
	}
	stored, err := s.storeClient(r.Context(), client, reg.hash(), full)
	if err != nil {
		return err
	}
	if stored.ID == client.ID {
		s.Limits.registered(r)
	}
	answer := registered{
		ClientID:                stored.ID,
		ClientSecret:            clientSecret,
		ClientIDIssuedAt:        stored.CreatedAt.Unix(),
		RegistrationAccessToken: token,
		RegistrationClientURI:   tokenURI,
		RedirectURIs:            reg.RedirectURIs,
		TokenEndpointAuthMethod: reg.TokenEndpointAuthMethod,
		GrantTypes:              reg.GrantTypes,
		ResponseTypes:           reg.ResponseTypes,
		ClientName:              reg.ClientName,
		ClientURI:               reg.ClientURI,
		Scope:                   reg.Scope,
		SoftwareID:              reg.SoftwareID,
		SoftwareVersion:         reg.SoftwareVersion,
		ApplicationType:         reg.ApplicationType,
	}
	if clientSecret != "" {
		answer.ClientSecretExpiresAt = new(int64)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusCreated, answer)
	return nil
}

// storeClient stores a client, or finds the one that was registered alike. Where
// it is full, and that is the error, it stores none.
func (s *Server) storeClient(ctx context.Context, c store.Client, hash []byte, full error) (*store.Client, error) {
	if full != nil {
		known, err := s.Store.HandOutClient(ctx, hash, c.CreatedAt)
		if errors.Is(err, store.ErrNotFound) {
			return nil, full
		}
		if err != nil {
			return nil, unavailable(err)
		}
		return known, nil
	}
	stored, err := s.Store.RegisterClient(ctx, c, hash)
	if err != nil {
		return nil, unavailable(err)
	}
	return stored, nil
}

// decodeJSON reads the body of a registration into v.
func decodeJSON(r *http.Request, v any) error {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return refuse(codeInvalidClientMetadata, "The body must be JSON, and Content-Type must say application/json.")
	}
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return &Error{Status: http.StatusRequestEntityTooLarge, Code: codeInvalidClientMetadata, Description: "The body is larger than 64 KiB."}
		}
		return refuse(codeInvalidClientMetadata, "The body is not a JSON object with members of the types in RFC 7591 §2.")
	}
	return nil
}

// client returns the client that a valid registration describes.
func (reg *registration) client(id string) store.Client {
	return store.Client{
		ID:              id,
		Kind:            store.ClientRegistered,
		AuthMethod:      reg.TokenEndpointAuthMethod,
		RedirectURIs:    reg.RedirectURIs,
		GrantTypes:      reg.GrantTypes,
		Name:            reg.ClientName,
		ClientURI:       reg.ClientURI,
		SoftwareID:      reg.SoftwareID,
		SoftwareVersion: reg.SoftwareVersion,
	}
}

// validate refuses what is unsafe and replaces what is merely unknown: the
// registration is then what the client gets.
func (reg *registration) validate() error {
	if err := reg.validateMetadata(); err != nil {
		return err
	}
	switch reg.TokenEndpointAuthMethod {
	case "":
		reg.TokenEndpointAuthMethod = store.AuthMethodBasic // RFC 7591 §2
	case store.AuthMethodNone, store.AuthMethodBasic, store.AuthMethodPost:
	default:
		return refuse(codeInvalidClientMetadata, "token_endpoint_auth_method must be none, client_secret_basic or client_secret_post.")
	}
	return nil
}

// validateMetadata is validate for all but the authentication method, of which a
// document has other ones.
func (reg *registration) validateMetadata() error {
	if len(reg.RedirectURIs) == 0 {
		return refuse(codeInvalidRedirectURI, "redirect_uris must name at least one URI.")
	}
	if len(reg.RedirectURIs) > maxRedirectURIs {
		return refuse(codeInvalidRedirectURI, "redirect_uris names more than ten URIs.")
	}
	for _, uri := range reg.RedirectURIs {
		if problem := checkRedirectURI(uri); problem != "" {
			return refuse(codeInvalidRedirectURI, "A redirect URI "+problem+".")
		}
	}
	for name, value := range map[string]string{
		"client_name": reg.ClientName, "client_uri": reg.ClientURI, "software_id": reg.SoftwareID,
		"software_version": reg.SoftwareVersion, "application_type": reg.ApplicationType,
	} {
		if utf8.RuneCountInString(value) > maxClientMetadata {
			return refuse(codeInvalidClientMetadata, name+" is longer than 255 characters.")
		}
		if !isTextValue(value) {
			return refuse(codeInvalidClientMetadata, name+" is not text.")
		}
	}
	if u, err := url.Parse(reg.ClientURI); err != nil || (reg.ClientURI != "" && u.Scheme != "https" && u.Scheme != "http") {
		reg.ClientURI = "" // only shown; a client is not refused for it
	}
	if len(reg.ResponseTypes) > 0 && !slices.Contains(reg.ResponseTypes, store.ResponseTypeCode) {
		return refuse(codeInvalidClientMetadata, "response_types must contain code.")
	}
	reg.ResponseTypes = []string{store.ResponseTypeCode}
	if len(reg.GrantTypes) == 0 {
		reg.GrantTypes = []string{store.GrantCode, store.GrantRefresh}
	}
	// VS Code registers every grant type that it has heard of.
	known := reg.GrantTypes[:0:0]
	for _, grant := range []string{store.GrantCode, store.GrantRefresh} {
		if slices.Contains(reg.GrantTypes, grant) {
			known = append(known, grant)
		}
	}
	reg.GrantTypes = known
	if !slices.Contains(reg.GrantTypes, store.GrantCode) {
		return refuse(codeInvalidClientMetadata, "grant_types must contain authorization_code.")
	}
	return nil
}

// hash identifies a registration: the same for the same client however it orders
// its lists and whichever loopback port it happened to pick.
func (reg *registration) hash() []byte {
	uris := make([]string, len(reg.RedirectURIs))
	for i, uri := range reg.RedirectURIs {
		if portless, ok := withoutLoopbackPort(uri); ok {
			uri = portless
		}
		uris[i] = uri
	}
	slices.Sort(uris)
	canonical, err := json.Marshal([]any{
		slices.Compact(uris), reg.TokenEndpointAuthMethod, reg.GrantTypes, reg.ClientName, reg.ClientURI,
		reg.SoftwareID, reg.SoftwareVersion, reg.ApplicationType,
	})
	if err != nil {
		panic(err) // strings always encode
	}
	sum := sha256.Sum256(canonical)
	return sum[:]
}
