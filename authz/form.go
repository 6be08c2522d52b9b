package authz

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// postForm reads the body of a request to an endpoint that programs call (RFC
// 6749 §3.2): form-encoded, in the body and nowhere else, no parameter twice.
func postForm(r *http.Request) (url.Values, error) {
	form, err := bodyForm(r)
	if err != nil {
		return nil, err
	}
	if name, twice := repeated(form); twice {
		return nil, refuse(codeInvalidRequest, "The parameter "+name+" is there more than once.")
	}
	if !isText(form) {
		return nil, refuse(codeInvalidRequest, notText)
	}
	return form, nil
}

// bodyForm reads a form-encoded body.
func bodyForm(r *http.Request) (url.Values, error) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, refuse(codeInvalidRequest, "The body must be form-encoded, and Content-Type must say application/x-www-form-urlencoded.")
	}
	if err := r.ParseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: codeInvalidRequest, Description: "The body is larger than 64 KiB."}
		}
		return nil, refuse(codeInvalidRequest, "The body is not form-encoded.")
	}
	return r.PostForm, nil
}

// notText is what isText finds wrong.
const notText = "A parameter is not text in UTF-8."

// isText reports whether all values are text that can be stored: NUL and broken
// UTF-8 are none (RFC 6749 Appendix B has UTF-8).
func isText(form url.Values) bool {
	for _, values := range form {
		for _, v := range values {
			if !isTextValue(v) {
				return false
			}
		}
	}
	return true
}

// isTextValue is isText for one value.
func isTextValue(v string) bool { return utf8.ValidString(v) && !strings.ContainsRune(v, 0) }

// repeated returns a parameter that is there more than once (RFC 6749 §3.1 and
// §3.2). resource is no exception: RFC 8707 allows several, we have one resource.
func repeated(form url.Values) (name string, twice bool) {
	for _, name := range []string{
		"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "resource", "prompt",
		"code_challenge", "code_challenge_method", "grant_type", "code", "code_verifier", "refresh_token",
		"client_secret", "client_assertion", "client_assertion_type", "token", "token_type_hint",
		"request", "request_uri", "audience", "registration",
	} {
		if len(form[name]) > 1 {
			return name, true
		}
	}
	return "", false
}
