package authz

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
)

// Error codes of RFC 6749 §4.1.2.1 and §5.2, RFC 7591 §3.2.2, RFC 8707 §2, and
// OpenID Connect Core §3.1.2.6.
const (
	codeInvalidRequest          = "invalid_request"
	codeInvalidClient           = "invalid_client"
	codeInvalidGrant            = "invalid_grant"
	codeInvalidScope            = "invalid_scope"
	codeInvalidTarget           = "invalid_target"
	codeUnauthorizedClient      = "unauthorized_client"
	codeUnsupportedGrantType    = "unsupported_grant_type"
	codeUnsupportedResponseType = "unsupported_response_type"
	codeAccessDenied            = "access_denied"
	codeConsentRequired         = "consent_required"
	codeServerError             = "server_error"
	codeTemporarilyUnavailable  = "temporarily_unavailable"
	codeInvalidRedirectURI      = "invalid_redirect_uri"
	codeInvalidClientMetadata   = "invalid_client_metadata"
)

// Error is an OAuth error response (RFC 6749 §5.2). Code and Description go to
// the client; Err is only logged.
type Error struct {
	Status            int
	Code, Description string
	Err               error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Code + ": " + e.Description + ": " + e.Err.Error()
	}
	return e.Code + ": " + e.Description
}

func (e *Error) Unwrap() error { return e.Err }

// refuse is an error of the client's making.
func refuse(code, description string) error {
	return &Error{Status: http.StatusBadRequest, Code: code, Description: description}
}

// unavailable is an error that goes away: the client should keep what it has and
// try again. A 4xx would make it throw its tokens away.
func unavailable(err error) error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: codeTemporarilyUnavailable,
		Description: "The server cannot answer at the moment. Try again shortly.", Err: err,
	}
}

// asError returns err as an *Error. What is not one is a failure of ours, of
// which the client learns nothing.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{
		Status: http.StatusInternalServerError, Code: codeServerError,
		Description: "Something went wrong on our side.", Err: err,
	}
}

// retryAfter is what a client is told to wait for when we cannot answer, in
// seconds.
const retryAfter = 5

// writeError writes the JSON form of RFC 6749 §5.2.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	s.logError(r, e)
	h := w.Header()
	if e.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if e.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Basic realm="scaling.cloud", charset="UTF-8"`)
	}
	h.Set("Cache-Control", "no-store")
	writeJSON(w, e.Status, struct {
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
}

func (s *Server) logError(r *http.Request, e *Error) {
	level := slog.LevelDebug
	if e.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.Log.Log(r.Context(), level, "oauth request refused", "path", r.URL.Path, "status", e.Status, "code", e.Code, "description", e.Description, "error", e.Err)
}

// writeJSON writes v, which always encodes. A client that hung up is no error.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// pageTitle is what a person reads above the description of an error.
func pageTitle(e *Error) string {
	switch {
	case e.Status == http.StatusServiceUnavailable:
		return "Back in a moment"
	case e.Status >= http.StatusInternalServerError:
		return "Something went wrong"
	default:
		return "This connection cannot be made"
	}
}
