package authz

import (
	"errors"
	"net/http"

	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/store"
)

// revoke serves token revocation (RFC 7009). Either token of a connection ends
// all of it: what the client wants to be rid of is the connection. A token that
// is not ours is not an error (§2.2); a database that is away is, or the client
// would believe that the token is dead.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	if err := namesClient(r, form); err != nil {
		return err
	}
	token := form.Get("token")
	// token_type_hint is not needed: the two kinds cannot be confused.
	connection, ours := s.tokenConnection(token)
	if err := s.Limits.perHolder(r, connection, ours, rules.revoke, rules.revokeStranger); err != nil {
		return err
	}
	c, err := s.oauth.authenticate(r.Context(), r)
	if err != nil {
		return err
	}
	if token == "" {
		return refuse(codeInvalidRequest, "token is missing.")
	}
	if ours {
		revoked, err := s.Store.RevokeClientConnection(r.Context(), connection, c.ID, s.Now())
		switch {
		case errors.Is(err, store.ErrNotFound): // ended already, or another client's: nothing is told apart
		case err != nil:
			return unavailable(err)
		default:
			s.Revocations.Publish(r.Context(), revoked)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// tokenConnection returns the connection of a token that we issued, expired or
// not.
func (s *Server) tokenConnection(token string) (uuid.UUID, bool) {
	if refresh, ok := s.Keys.parseRefreshToken(token); ok {
		return refresh.connection, true
	}
	claims, err := accesstoken.Decode(token, s.PublicURL, s.Keys)
	if err != nil {
		return uuid.Nil, false
	}
	return claims.ConnectionID, true
}
