package authz

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"scaling.cloud/mcp/web/ui"
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
	codeRequestNotSupported     = "request_not_supported"
	codeRequestURINotSupported  = "request_uri_not_supported"
	codeServerError             = "server_error"
	codeTemporarilyUnavailable  = "temporarily_unavailable"
	codeInvalidRedirectURI      = "invalid_redirect_uri"
	codeInvalidClientMetadata   = "invalid_client_metadata"
	codeInvalidToken            = "invalid_token" // RFC 6750 §3.1
)

// Error is an OAuth error response (RFC 6749 §5.2). Code and Description go to
// the client; Err is only logged.
type Error struct {
	Status            int
	Code, Description string
	RetryAfter        time.Duration // 0: nothing is said of trying again
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
		Status: http.StatusServiceUnavailable, Code: codeTemporarilyUnavailable, RetryAfter: retryAfter,
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

// retryAfter is what a client is told to wait for when we cannot answer.
const retryAfter = 5 * time.Second

// writeError writes the JSON form of RFC 6749 §5.2.
func writeError(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	e := asError(err)
	logError(r, log, e)
	h := w.Header()
	e.setRetryAfter(h)
	switch {
	case e.Code == codeInvalidToken:
		h.Set("WWW-Authenticate", `Bearer realm="scaling.cloud", error="invalid_token"`)
	case e.Status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="scaling.cloud", charset="UTF-8"`)
	}
	h.Set("Cache-Control", "no-store")
	writeJSON(w, e.Status, struct {
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, plain(e.Description)})
}

// plain returns a description in the characters that an error response may have
// (RFC 6749 §4.1.2.1 and §5.2): ASCII without quotation mark and backslash. Pages
// are set better.
func plain(description string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, asciiFor.Replace(description))
}

var asciiFor = strings.NewReplacer("§", "section ", "’", "'", "“", "'", "”", "'", `"`, "'", "–", "-", "…", "...")

// writePage writes the page of an error.
func writePage(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	e := asError(err)
	logError(r, log, e)
	e.setRetryAfter(w.Header())
	ui.SetHeaders(w.Header())
	render(w, r, e.Status, failedPage(failure(r, e)))
}

func logError(r *http.Request, log *slog.Logger, e *Error) {
	level := slog.LevelDebug
	if e.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	log.Log(r.Context(), level, "oauth request refused", "path", r.URL.Path, "status", e.Status, "code", e.Code, "description", e.Description, "error", e.Err)
}

// wholeSeconds is how Retry-After says d (RFC 9110 §10.2.3): never too early.
func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

func (e *Error) setRetryAfter(h http.Header) {
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(wholeSeconds(e.RetryAfter)))
	}
}

// writeJSON writes v, which always encodes. A client that hung up is no error.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// failure is what a person reads of an error, with a way on: another try where
// that may help, another account where this one is the trouble.
func failure(r *http.Request, e *Error) failedView {
	v := failedView{
		Title:   "This connection cannot be made",
		Message: e.Description,
		Label:   "Your connections",
		Href:    "/settings/connections",
	}
	again := ""
	if r.Method == http.MethodGet {
		again = r.URL.RequestURI()
	}
	if handle := r.PostForm.Get("request"); r.URL.Path == "/oauth/consent" && handle != "" {
		again = consentURL(handle)
	}
	switch {
	case e.Status == http.StatusNotFound:
		v.Title = "This request is no longer open"
	case e.Status == http.StatusForbidden && again != "":
		v.Title = "This account cannot connect an app"
		v.Label, v.Href = "Use another account", signInURL(again, true)
	case e.Status == http.StatusTooManyRequests:
		v.Title = "Too much at once"
	case e.Status == http.StatusServiceUnavailable:
		v.Title = "Back in a moment"
	case e.Status >= http.StatusInternalServerError:
		v.Title = "Something went wrong"
	case e.Code != codeInvalidClient: // whose description says what to do
		v.AppsMistake = true
	}
	if (e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests) && again != "" {
		v.Label, v.Href = "Try again", again
	}
	return v
}
