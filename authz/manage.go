package authz

import (
	"errors"
	"net/http"
	"strings"

	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
)

// This file is the client configuration endpoint (RFC 7592): a confidential client
// reads, replaces and deletes its registration with the token that came with it.
// Public clients have none, since one registration serves many installs.

// registrationURI returns where a client manages its registration.
func (s *Server) registrationURI(id string) string { return s.PublicURL + "/oauth/register/" + id }

// managed returns the client whose registration access token a request carries,
// and the token.
func (s *Server) managed(r *http.Request) (c *store.Client, token string, err error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, "", badRegistrationToken(nil)
	}
	c, err = s.Store.ManagedClient(r.Context(), r.PathValue("client_id"), secret.Hash(token))
	if err != nil {
		return nil, "", managedError(err)
	}
	return c, token, nil
}

// managedError turns the outcome of looking for a managed client into its error.
func managedError(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return badRegistrationToken(err)
	}
	return unavailable(err)
}

// badRegistrationToken is the one answer to a token that does not open a
// registration: whether there is such a client is not told (RFC 7592 §2.1).
func badRegistrationToken(err error) error {
	return &Error{Status: http.StatusUnauthorized, Code: codeInvalidToken, Err: err,
		Description: "The registration access token is missing, or is not this client's."}
}

// readRegistration answers with a client's metadata (RFC 7592 §2.1).
func (s *Server) readRegistration(w http.ResponseWriter, r *http.Request) error {
	c, token, err := s.managed(r)
	if err != nil {
		return err
	}
	s.writeRegistration(w, c, token)
	return nil
}

// replaceRegistration replaces a client's metadata under the rules of a new
// registration (RFC 7592 §2.2): what is left out is removed or gets its default.
// The secret stays, and with it that there is one: the authentication method can
// be changed to another with a secret, not to none, since without a secret the
// client would be a public one that many could be.
func (s *Server) replaceRegistration(w http.ResponseWriter, r *http.Request) error {
	c, token, err := s.managed(r)
	if err != nil {
		return err
	}
	var update struct {
		registration
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	if err := decodeJSON(r, &update); err != nil {
		return err
	}
	if update.ClientID != c.ID {
		return refuse(codeInvalidRequest, "client_id must be there, and be this client's (RFC 7592 §2.2).")
	}
	if update.ClientSecret != "" && (secretHasher{}).Compare(r.Context(), c.SecretHash, []byte(update.ClientSecret)) != nil {
		return refuse(codeInvalidRequest, "client_secret is not this client's; it cannot be changed (RFC 7592 §2.2).")
	}
	if err := update.validate(); err != nil {
		return err
	}
	if update.TokenEndpointAuthMethod == store.AuthMethodNone {
		return refuse(codeInvalidClientMetadata, "A client with a secret cannot become one without. Register anew.")
	}
	replacement := update.client(c.ID)
	replacement.RegistrationTokenHash = secret.Hash(token)
	stored, err := s.Store.UpdateClient(r.Context(), replacement, update.hash())
	if err != nil {
		return managedError(err)
	}
	s.writeRegistration(w, stored, token)
	return nil
}

// deleteRegistration makes a client unknown and ends its connections (RFC 7592
// §2.3).
func (s *Server) deleteRegistration(w http.ResponseWriter, r *http.Request) error {
	c, token, err := s.managed(r)
	if err != nil {
		return err
	}
	revoked, err := s.Store.DeleteClient(r.Context(), c.ID, secret.Hash(token), s.Now())
	if err != nil {
		return managedError(err)
	}
	if len(revoked) > 0 {
		s.Revocations.Publish(r.Context(), revoked...)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// writeRegistration writes the client information response (RFC 7592 §3). It
// repeats the token that was presented. It has no secret: only its hash is kept.
func (s *Server) writeRegistration(w http.ResponseWriter, c *store.Client, token string) {
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, registered{
		ClientID:                c.ID,
		ClientIDIssuedAt:        c.CreatedAt.Unix(),
		RegistrationAccessToken: token,
		RegistrationClientURI:   s.registrationURI(c.ID),
		RedirectURIs:            c.RedirectURIs,
		TokenEndpointAuthMethod: c.AuthMethod,
		GrantTypes:              c.GrantTypes,
		ResponseTypes:           []string{store.ResponseTypeCode},
		ClientName:              c.Name,
		ClientURI:               c.ClientURI,
		SoftwareID:              c.SoftwareID,
		SoftwareVersion:         c.SoftwareVersion,
	})
}
