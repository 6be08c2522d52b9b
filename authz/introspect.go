package authz

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/authz/secret"
	"scaling.cloud/mcp/store"
)

// Liveness knows whether connections are alive (design §8).
type Liveness interface {
	// Check returns nil if the connection lives and its epoch is epoch, and
	// store.ErrNotFound if not. Any other error means that nobody could say.
	Check(ctx context.Context, connection uuid.UUID, epoch int) error
}

// introspection is what a resource server learns of a live access token (RFC 7662
// §2.2). org and conn are extensions: the organization that the token acts for,
// and the connection that it belongs to.
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope"`
	ClientID  string `json:"client_id"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	Issuer    string `json:"iss"`
	TokenType string `json:"token_type"`
	ExpiresAt int64  `json:"exp"` // Unix seconds, as iat
	IssuedAt  int64  `json:"iat"`
	ID        string `json:"jti"`
	OrgID     string `json:"org"`
	Conn      string `json:"conn"`
}

// introspect serves token introspection (RFC 7662) for resource servers that an
// operator registered. Any of them may ask about any access token of ours: all
// are for the one protected resource, under either of its names. Of whatever
// else is asked about, refresh tokens included, the answer says that it is not
// active and no more (§2.2).
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	server, err := s.authenticateResourceServer(r, form)
	if err != nil {
		return err
	}
	if err := s.Limits.per(r.Context(), rules.introspect, server.ID); err != nil {
		return err
	}
	token := form.Get("token")
	if token == "" {
		return refuse(codeInvalidRequest, "token is missing.")
	}
	w.Header().Set("Cache-Control", "no-store")
	claims, err := s.accessTokens.Verify(token, s.Now())
	if err == nil {
		err = s.Liveness.Check(r.Context(), claims.ConnectionID, claims.Epoch)
	}
	switch {
	case errors.Is(err, accesstoken.ErrInvalid), errors.Is(err, accesstoken.ErrExpired), errors.Is(err, store.ErrNotFound):
		writeJSON(w, http.StatusOK, struct {
			Active bool `json:"active"`
		}{false})
		return nil
	case err != nil:
		return unavailable(err)
	}
	writeJSON(w, http.StatusOK, introspection{
		Active:    true,
		Scope:     strings.Join(claims.Scopes, " "),
		ClientID:  claims.ClientID,
		Subject:   claims.Subject,
		Audience:  claims.Audience,
		Issuer:    claims.Issuer,
		TokenType: "Bearer",
		ExpiresAt: claims.ExpiresAt.Unix(),
		IssuedAt:  claims.IssuedAt.Unix(),
		ID:        claims.ID,
		OrgID:     claims.OrgID,
		Conn:      claims.ConnectionID.String(),
	})
	return nil
}

// authenticateResourceServer returns the registered resource server that a
// request comes from (RFC 7662 §2.1). OAuth clients, which anybody may register,
// and bearers of access tokens are none, and are counted for their network.
func (s *Server) authenticateResourceServer(r *http.Request, form url.Values) (*store.ResourceServer, error) {
	id, presented, err := resourceServerCredentials(r, form)
	if err != nil {
		return nil, err
	}
	known, err := s.Store.ResourceServer(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		// Compared all the same, so that an unknown id takes as long as a wrong secret.
		known, err = &store.ResourceServer{SecretHash: make([]byte, sha256.Size)}, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if subtle.ConstantTimeCompare(known.SecretHash, secret.Hash(presented)) != 1 {
		if err := s.Limits.perNetwork(r, rules.introspectStranger); err != nil {
			return nil, err
		}
		return nil, notAResourceServer()
	}
	return known, nil
}

// resourceServerCredentials reads an id and a secret from the Authorization
// header, where both are form-encoded, or from the body (RFC 6749 §2.3.1).
func resourceServerCredentials(r *http.Request, form url.Values) (id, presented string, err error) {
	if err := namesClient(r, form); err != nil {
		return "", "", err
	}
	if r.Header.Get("Authorization") == "" {
		return form.Get("client_id"), form.Get("client_secret"), nil
	}
	if form.Has("client_secret") {
		return "", "", refuse(codeInvalidRequest, "The credentials are in the header and in the body: send them once (RFC 6749 §2.3).")
	}
	id, presented, ok := r.BasicAuth()
	if !ok {
		return "", "", notAResourceServer()
	}
	id, badID := url.QueryUnescape(id)
	presented, badSecret := url.QueryUnescape(presented)
	if badID != nil || badSecret != nil {
		return "", "", notAResourceServer()
	}
	return id, presented, nil
}

func notAResourceServer() error {
	return &Error{
		Status: http.StatusUnauthorized, Code: codeInvalidClient,
		Description: "Only a registered resource server may introspect tokens, with its id and secret.",
	}
}

// confidential adapts an endpoint that servers with a secret call: JSON errors,
// POST alone. No browser's page has business there, so no origin may read it.
func (s *Server) confidential(endpoint func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			writeError(w, r, s.Log, &Error{Status: http.StatusMethodNotAllowed, Code: codeInvalidRequest, Description: "This endpoint takes POST requests."})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, ClientMaxBody)
		if err := endpoint(w, r); err != nil {
			writeError(w, r, s.Log, err)
		}
	})
}

// NewResourceServer makes a resource server and its secret, which is not kept
// anywhere.
func NewResourceServer(name string) (r store.ResourceServer, clientSecret string) {
	clientSecret = secret.New(resourceServerSecretPrefix)
	return store.ResourceServer{ID: resourceServerIDPrefix + uuid.NewString(), Name: name, SecretHash: secret.Hash(clientSecret)}, clientSecret
}
