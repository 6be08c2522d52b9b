package signin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"scaling.cloud/mcp/web/ui"
)

// retryAfter is what a page that blames an outage asks browsers to wait.
const retryAfter = 10 // seconds

// refusal is a sign-in that did not come to an end. Title and message are for
// the person; err is only logged.
type refusal struct {
	status         int
	title, message string
	retry          string // path to go to after another try; empty: no use trying
	another        bool   // the other try should be with another account
	err            error
}

func (f *refusal) Error() string {
	if f.err == nil {
		return f.title
	}
	return f.title + ": " + f.err.Error()
}

// again is where another try begins.
func (f *refusal) again() string {
	query := url.Values{"return_to": {f.retry}}
	if f.another {
		query.Set("prompt", "login")
	}
	return "/sign-in?" + query.Encode()
}

// away: Clerk cannot be asked, or cannot answer us.
func away(returnTo string, err error) error {
	return &refusal{
		status:  http.StatusServiceUnavailable,
		title:   "Signing in is not possible right now",
		message: "The service that signs people in does not answer. Connected clients keep working. Please try again in a moment.",
		retry:   returnTo,
		err:     err,
	}
}

// unverified: Clerk's answer does not prove who the person is.
func unverified(returnTo string, err error) error {
	return &refusal{
		status:  http.StatusBadGateway,
		title:   "This sign-in could not be verified",
		message: "You were not signed in. If this happens again, please tell your administrator.",
		retry:   returnTo,
		err:     err,
	}
}

// closed: the person is known, and may not sign in.
func closed(userID string) error {
	return &refusal{
		status:  http.StatusForbidden,
		title:   "This account cannot sign in",
		message: "It has been closed or suspended. An administrator of your organization can tell you more.",
		retry:   defaultReturn,
		another: true,
		err:     fmt.Errorf("%s is banned, or unknown at Clerk", userID),
	}
}

// refusedByClerk is an error response at the callback (RFC 6749 §4.1.2.1).
func refusedByClerk(code, returnTo string) error {
	if code == "access_denied" {
		return &refusal{
			status:  http.StatusOK,
			title:   "You are not signed in",
			message: "You left the sign-in. Nothing was changed.",
			retry:   returnTo,
		}
	}
	return unverified(returnTo, fmt.Errorf("Clerk answered %.60q", code))
}

// page adapts a handler that returns its failure. Nothing it answers may be
// kept by a cache: it is about one person and one moment.
func (s *Service) page(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "same-origin")
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// fail writes the page of a failure, and is the only place that logs one.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return // the browser has gone, and that is what failed
	}
	f, ok := errors.AsType[*refusal](err)
	if !ok {
		s.Log.ErrorContext(r.Context(), "sign-in failed", "route", r.Pattern, "err", err)
		f = &refusal{status: http.StatusInternalServerError, title: "Something went wrong",
			message: "It is our fault, and it has been noted. Please try again.", retry: defaultReturn}
	} else if f.err != nil {
		s.Log.WarnContext(r.Context(), "sign-in refused", "route", r.Pattern, "status", f.status, "err", fmt.Sprintf("%.500s", f))
	}
	var page bytes.Buffer
	if err := refusalPage(f).Render(r.Context(), &page); err != nil {
		s.Log.ErrorContext(r.Context(), "rendering failed", "err", err)
		http.Error(w, f.title, f.status)
		return
	}
	ui.SetHeaders(w.Header())
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(f.status)
	_, _ = page.WriteTo(w) // the browser is gone; nobody to tell
}
