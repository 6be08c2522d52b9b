package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"

	"github.com/a-h/templ"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// failure is a refusal that the person is told of. Title and message go onto
// the page; err, if any, only to the log.
type failure struct {
	status         int
	title, message string
	err            error
}

func (f *failure) Error() string {
	if f.err == nil {
		return f.title
	}
	return f.title + ": " + f.err.Error()
}

// page adapts a handler that returns its failure.
func (s *Server) page(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// fail writes the page of an error, and is the only place that logs one.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, store.ErrNotFound) {
		ui.WriteError(w, r, http.StatusNotFound, "There is nothing here",
			"This page does not exist, or is not yours to see.")
		return
	}
	if f, ok := errors.AsType[*failure](err); ok {
		if f.err != nil {
			s.log.WarnContext(r.Context(), "page refused", "route", r.Pattern, "error", err)
		}
		if f.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "30")
		}
		ui.WriteError(w, r, f.status, f.title, f.message)
		return
	}
	if errors.Is(context.Cause(r.Context()), context.Canceled) {
		return // the browser has gone, and that is what failed
	}
	s.log.ErrorContext(r.Context(), "page failed", "route", r.Pattern, "error", err)
	ui.WriteError(w, r, http.StatusInternalServerError, "Something went wrong",
		"It is our fault, and it has been noted. Nothing was left half done. Please try again.")
}

// signedIn adapts a handler for a person who is signed in. Anybody else is sent
// to sign in and comes back afterwards.
func (s *Server) signedIn(h func(http.ResponseWriter, *http.Request, *store.Session) error) http.Handler {
	return s.page(func(w http.ResponseWriter, r *http.Request) error {
		session, err := s.sessions.Session(r)
		if errors.Is(err, store.ErrNotFound) {
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, "/sign-in?return_to="+url.QueryEscape(returnTo(r)), http.StatusSeeOther)
			return nil
		}
		if err != nil {
			return err
		}
		return h(w, r.WithContext(ui.InZoneOf(r)), session)
	})
}

// returnTo is where a request may be taken up again by a GET. A form is posted
// to a path below the page that it is on.
func returnTo(r *http.Request) string {
	if r.Method == http.MethodPost {
		return path.Dir(r.URL.EscapedPath())
	}
	return r.URL.RequestURI()
}

// maxForm is far more than any form of ours holds.
const maxForm = 64 << 10

// form adapts a handler that a form of ours is posted to.
func (s *Server) form(h http.Handler) http.Handler {
	return ui.SameOrigin(s.page(func(w http.ResponseWriter, r *http.Request) error {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return &failure{status: http.StatusBadRequest, title: "That form cannot be read",
				message: "Nothing was changed. Please go back and try it again."}
		}
		h.ServeHTTP(w, r)
		return nil
	}))
}

// render writes a page, or returns an error and has written nothing.
func render(ctx context.Context, w http.ResponseWriter, c templ.Component) error {
	return renderStatus(ctx, w, http.StatusOK, c)
}

// renderStatus does so with a status.
func renderStatus(ctx context.Context, w http.ResponseWriter, status int, c templ.Component) error {
	return renderUnder(ctx, w, status, c, ui.SetPageHeaders)
}

// renderUnder does so with other headers than those of most pages.
func renderUnder(ctx context.Context, w http.ResponseWriter, status int, c templ.Component, setHeaders func(http.Header)) error {
	var page bytes.Buffer
	if err := c.Render(ctx, &page); err != nil {
		return err
	}
	setHeaders(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// All that can fail is writing to a browser that has gone.
	_, _ = page.WriteTo(w)
	return nil
}

func account(session *store.Session) *ui.Account {
	return &ui.Account{Name: session.Name, Email: session.Email, Administers: session.Administers}
}
