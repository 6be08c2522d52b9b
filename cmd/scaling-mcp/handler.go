package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/authz/clerk"
	"scaling.cloud/mcp/authz/signin"
	"scaling.cloud/mcp/resource"
	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/resource/paging"
	"scaling.cloud/mcp/resource/rota"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/volatile"
	"scaling.cloud/mcp/web"
	"scaling.cloud/mcp/web/ui"
)

// parts are what the faces share.
type parts struct {
	store     *store.Store
	keys      *authz.Keys
	documents *authz.Documents
	liveness  *volatile.Liveness
	limits    *authz.Limits
	usage     *store.Usage
	audit     *store.AuditLog
	paging    *paging.Service
	webhooks  clerk.WebhookSecret
	ready     *atomic.Bool
	metrics   *metrics
	log       *slog.Logger
}

// newHandler puts the three faces on one origin.
func newHandler(c *settings, p parts) http.Handler {
	directory := clerk.NewDirectory(clerk.New(clerk.Config{
		APIURL: c.ClerkAPIURL, SecretKey: string(c.ClerkSecretKey), Log: p.log, Now: time.Now,
	}), p.store, p.liveness)
	sessions := signin.New(signin.Config{
		PublicURL:    c.PublicURL,
		Issuer:       c.ClerkIssuer,
		ClientID:     c.ClerkClientID,
		ClientSecret: string(c.ClerkClientSecret),
		Directory:    directory,
		Store:        p.store,
		Limit:        p.limits.SignIn,
		Log:          p.log,
		Now:          time.Now,
	})
	authorization := authz.New(authz.Config{
		PublicURL:        c.PublicURL,
		Store:            p.store,
		Keys:             p.keys,
		Documents:        p.documents,
		Sessions:         sessions,
		Directory:        directory,
		Revocations:      p.liveness,
		Liveness:         p.liveness,
		Limits:           p.limits,
		AccessTokenTTL:   c.AccessTokenTTL,
		RefreshIdleTTL:   c.RefreshIdleTTL,
		ConnectionMaxAge: c.ConnectionMaxAge,
		Log:              p.log,
		Now:              time.Now,
	})
	incidents := incident.New(p.store, incident.Config{PublicURL: c.PublicURL, Now: time.Now, Paging: p.paging})
	mcp := resource.New(resource.Config{
		PublicURL:            c.PublicURL,
		AllowedOrigins:       c.AllowedOrigins,
		AllowLoopbackOrigins: c.development,
		Version:              version(),
		Tokens:               accesstoken.NewVerifier(c.PublicURL, []string{c.PublicURL, c.PublicURL + "/mcp"}, p.keys),
		Liveness:             p.liveness,
		Incidents:            incidents,
		Rota:                 rota.New(p.store),
		ClientName:           p.store.ConnectionClientName,
		ConfirmationKey:      p.keys.Derive("confirmation"),
		Usage:                p.usage.Touch,
		Audit:                p.audit.Record,
		Annotate:             annotate,
		Log:                  p.log,
		Now:                  time.Now,
	})
	dashboard := web.New(web.Config{
		PublicURL:   c.PublicURL,
		Store:       p.store,
		Sessions:    sessions,
		Memberships: directory,
		Revocations: p.liveness,
		Drafts:      incidents,
		Log:         p.log,
		Now:         time.Now,
	})

	mux := http.NewServeMux()
	mcp.Mount(mux)
	authorization.Mount(mux)
	sessions.Mount(mux)
	mux.Handle("POST /webhooks/clerk", p.limits.Webhook(clerk.NewWebhooks(directory, p.webhooks, p.log)))
	dashboard.Mount(mux)
	mux.Handle("GET /{$}", mcp.RootGET(dashboard.Landing()))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if !p.ready.Load() || p.store.Ping(ctx) != nil {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	if c.outbox != nil {
		mux.Handle("GET /dev/outbox", showOutbox(c.outbox))
	}
	mux.HandleFunc("/", unrouted(mux))
	var handler http.Handler = bounded(p.metrics.measured(mux))
	if c.development {
		handler = onPublicHost(c.PublicURL, handler)
	}
	return logged(p.log, handler)
}

// requestBound is how long a page or an OAuth endpoint may work on its answer.
// A database that hangs rather than refuses must become an error that its caller
// sees. The MCP endpoint has bounds of its own.
const requestBound = 10 * time.Second

func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/mcp", "/":
			next.ServeHTTP(w, r)
			return
		case web.ActivityCSVPath, web.ActivityJSONPath:
			moving(next, w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestBound)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// exportBound is how long an export may stand still, for whatever reason: the
// database, or a reader that does not read. One that moves may take its time.
const exportBound = 30 * time.Second

// moving serves an answer of any length, until it has not moved for exportBound.
func moving(next http.Handler, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	moved := &movingResponse{ResponseWriter: w, control: http.NewResponseController(w),
		timer: time.AfterFunc(exportBound, func() { cancel(context.DeadlineExceeded) })}
	defer moved.timer.Stop()
	next.ServeHTTP(moved, r.WithContext(ctx))
}

// movingResponse puts off the end of its request with each write.
type movingResponse struct {
	http.ResponseWriter
	control *http.ResponseController
	timer   *time.Timer
}

func (w *movingResponse) Write(p []byte) (int, error) {
	w.timer.Reset(exportBound)
	if err := w.control.SetWriteDeadline(time.Now().Add(exportBound)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *movingResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// unrouted answers for what no route of mux takes: 405 where the path knows other
// methods, else 404. A browser gets a page, and a program JSON: programs look for
// well-known documents in places where we have none.
func unrouted(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allow []string
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" {
				allow = append(allow, method)
			}
		}
		status := http.StatusNotFound
		title, message := "There is nothing here", "The address may be mistyped, or what was here is gone."
		if allow != nil {
			w.Header().Set("Allow", strings.Join(allow, ", "))
			status = http.StatusMethodNotAllowed
			title, message = "That does not work here", "This address exists, but not for what was tried."
		}
		writeError(w, r, status, "invalid_request", title, message)
	}
}

// writeError writes an error that no face has written, in its reader's form: a
// page, or the JSON of RFC 6749 §5.2.
func writeError(w http.ResponseWriter, r *http.Request, status int, code, title, message string) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		ui.WriteError(w, r, status, title, message)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": message})
}

// onPublicHost sends a browser that came to 127.0.0.1 on to localhost, or the
// other way round: to the host whose cookies it has.
func onPublicHost(publicURL string, next http.Handler) http.Handler {
	_, host, _ := strings.Cut(publicURL, "://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != host && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Redirect(w, r, publicURL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
}
