package resource

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/store"
)

// Error codes of RFC 6750 §3.1, and the one that RFC 6749 §4.1.2.1 has for an
// outage.
const (
	invalidRequest         = "invalid_request"
	invalidToken           = "invalid_token"
	insufficientScope      = "insufficient_scope"
	temporarilyUnavailable = "temporarily_unavailable"
)

// retryAfter is told to clients while nobody can say whether a connection
// lives, in seconds.
const retryAfter = "5"

// refusal is why the gate does not let a request through. Code and description
// go to the client, Code empty where no credentials came (RFC 6750 §3.1); err
// is only logged.
type refusal struct {
	status      int
	code        string
	description string
	scopes      []string // that the client needs; nil means the usual ones
	err         error
}

func (e *refusal) Error() string { return e.code + ": " + e.description }
func (e *refusal) Unwrap() error { return e.err }

// unavailable refuses a request that could not be judged.
func unavailable(err error) *refusal {
	return &refusal{
		status:      http.StatusServiceUnavailable,
		code:        temporarilyUnavailable,
		description: "It cannot be checked at the moment whether this connection is still allowed. Try again shortly.",
		err:         err,
	}
}

// authenticate returns what the access token of r grants, having made sure that
// its connection lives at this moment. It returns a *refusal otherwise.
func (s *Server) authenticate(r *http.Request) (*accesstoken.Claims, error) {
	token, err := bearerToken(r)
	if err != nil {
		return nil, err
	}
	claims, err := s.Tokens.Verify(token, s.Now())
	if errors.Is(err, accesstoken.ErrExpired) {
		return nil, &refusal{status: http.StatusUnauthorized, code: invalidToken, err: err,
			description: "The access token has expired."}
	}
	if err != nil {
		return nil, &refusal{status: http.StatusUnauthorized, code: invalidToken, err: err,
			description: "The access token is not valid here."}
	}
	err = s.Liveness.Check(r.Context(), claims.ConnectionID, claims.Epoch)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &refusal{status: http.StatusUnauthorized, code: invalidToken,
			description: "This connection was revoked or has ended. Connect again to go on."}
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return claims, nil
}

// bearerToken returns the access token of r. It is taken from the Authorization
// header alone (RFC 6750 §2.1): in a query string it would end in logs and
// histories, and MCP forbids it there.
func bearerToken(r *http.Request) (string, error) {
	if r.URL.RawQuery != "" && r.URL.Query().Has("access_token") {
		return "", &refusal{status: http.StatusBadRequest, code: invalidRequest,
			description: "Send the access token in the Authorization header, never in the URL."}
	}
	fields := r.Header["Authorization"]
	if len(fields) > 1 {
		return "", &refusal{status: http.StatusBadRequest, code: invalidRequest,
			description: "Send one Authorization header, not several."}
	}
	if len(fields) == 0 {
		return "", noCredentials()
	}
	scheme, token, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", noCredentials()
	}
	token = strings.Trim(token, " ")
	if !isToken68(token) {
		return "", &refusal{status: http.StatusBadRequest, code: invalidRequest,
			description: "The Authorization header does not hold a bearer token."}
	}
	return token, nil
}

// noCredentials refuses a client that did not know that it needs a token, or
// tried a scheme that we do not have; it learns no error code (RFC 6750 §3.1).
func noCredentials() *refusal {
	return &refusal{status: http.StatusUnauthorized, description: "This server needs an access token."}
}

// isToken68 reports whether s has the form of RFC 9110 §11.2, the only one that
// a bearer token may have.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return s != ""
}

// challenge writes a refusal: the status, the challenge of RFC 6750 §3 with the
// metadata URL of RFC 9728 §5.1, and a JSON body of the same words.
func (s *Server) challenge(w http.ResponseWriter, r *http.Request, e *refusal) {
	if e.status >= http.StatusInternalServerError {
		s.logFault(r.Context(), "liveness unknown", "err", e.err)
		w.Header().Set("Retry-After", retryAfter)
	} else {
		w.Header().Set("WWW-Authenticate", s.wwwAuthenticate(r.URL.Path, e))
	}
	outcome := []slog.Attr{slog.String("outcome", e.code)}
	if e.code == "" {
		outcome[0] = slog.String("outcome", "no_credentials")
	}
	if e.err != nil && e.status < http.StatusInternalServerError {
		outcome = append(outcome, slog.String("cause", e.err.Error()))
	}
	s.Annotate(r.Context(), outcome...)

	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	json.NewEncoder(w).Encode(struct {
		Code        string `json:"error,omitempty"`
		Description string `json:"error_description"`
		Scope       string `json:"scope,omitempty"`
	}{e.code, e.description, strings.Join(e.scopes, " ")})
}

// wwwAuthenticate returns the challenge for a request to path. No value in it
// comes from the request, so none needs escaping.
func (s *Server) wwwAuthenticate(path string, e *refusal) string {
	scopes := e.scopes
	if scopes == nil {
		scopes = store.ResourceScopes()
	}
	var b strings.Builder
	b.WriteString(`Bearer resource_metadata="`)
	b.WriteString(s.metadataURL(path))
	b.WriteString(`", scope="`)
	b.WriteString(strings.Join(scopes, " "))
	if e.code != "" {
		b.WriteString(`", error="`)
		b.WriteString(e.code)
		b.WriteString(`", error_description="`)
		b.WriteString(e.description)
	}
	b.WriteString(`"`)
	return b.String()
}
