// Package clerkdev is the development Clerk: a real HTTP server that speaks
// the part of Clerk that we rely on, so that the product signs people in
// through go-oidc and reads them through Clerk's own SDK without an account at
// Clerk and without a network. It serves the OpenID provider (oidc.go,
// token.go), the Backend API (backend.go), signed webhooks (webhook.go), and a
// page and an API under /dev that ban, demote and delete people and make the
// Backend API fail (control.go).
//
// Anybody who reaches it may sign in as anybody: it listens on loopback
// addresses only and keeps everything in memory. It is stricter than Clerk
// where the documentation leaves room, and never more lenient. It does not
// serve Clerk's session tokens, sign-up or organization management.
package clerkdev

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Config says what the development Clerk serves.
type Config struct {
	// Listen is the host:port to listen on; the host must be loopback.
	Listen string
	// PublicURL is the issuer and the base of every URL, without a trailing
	// slash. Empty means http:// and the address that Listen came to.
	PublicURL string

	// ClientID, ClientSecret and RedirectURIs describe the one OAuth
	// application: first-party, confidential, PKCE required, no consent screen.
	ClientID, ClientSecret string
	RedirectURIs           []string

	// SecretKey is what the Backend API expects as a bearer token (sk_…).
	SecretKey string

	// WebhookURL receives the webhooks, signed with WebhookSecret (whsec_ and
	// the base64 of the key). Without it none are sent.
	WebhookURL, WebhookSecret string

	// Directory is who exists at the start; its zero value means Demo().
	Directory Directory

	Log *slog.Logger     // nil: discards
	Now func() time.Time // nil: time.Now
}

// Server is a running development Clerk.
type Server struct {
	config  Config
	url     string
	issued  time.Time // created_at of everything that was there at the start
	key     jose.JSONWebKey
	signer  jose.Signer
	pages   *template.Template
	webhook *webhookSender // nil: none are sent

	mu        sync.Mutex // guards all below
	directory Directory
	sessions  map[string]session       // by cookie value
	revoked   map[string]sessionObject // by id
	codes     map[string]grant
	access    map[string]grant
	refresh   map[string]grant
	outage    outage
	log       []entry

	cancel context.CancelFunc
	done   chan struct{}
	err    error // of serving; readable once done is closed
}

// Start listens and serves until ctx is done or Close is called. It refuses an
// address that is not loopback.
func Start(ctx context.Context, c Config) (*Server, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if reflect.ValueOf(c.Directory).IsZero() {
		c.Directory = Demo()
	}
	switch {
	case c.ClientID == "" || c.ClientSecret == "":
		return nil, errors.New("clerkdev: ClientID and ClientSecret must be set")
	case c.SecretKey == "":
		return nil, errors.New("clerkdev: SecretKey must be set")
	case len(c.RedirectURIs) == 0:
		return nil, errors.New("clerkdev: RedirectURIs must name at least one redirect URI")
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Server{
		config:    c,
		issued:    c.Now(),
		directory: c.Directory.clone(),
		sessions:  map[string]session{},
		revoked:   map[string]sessionObject{},
		codes:     map[string]grant{},
		access:    map[string]grant{},
		refresh:   map[string]grant{},
		cancel:    cancel,
		done:      make(chan struct{}),
	}
	if err := s.start(ctx); err != nil {
		cancel()
		return nil, fmt.Errorf("clerkdev: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	if s.config.WebhookURL != "" {
		sender, err := newWebhookSender(s.config)
		if err != nil {
			return err
		}
		s.webhook = sender
	}
	pages, err := template.New("page.html").Parse(pageSource)
	if err != nil {
		return err
	}
	s.pages = pages
	if err := s.makeKey(); err != nil {
		return err
	}
	listener, err := listenLoopback(s.config.Listen)
	if err != nil {
		return err
	}
	s.url = s.config.PublicURL
	if s.url == "" {
		s.url = "http://" + listener.Addr().String()
	}
	if err := validIssuer(s.url); err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler:           s.handler(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}
	go s.serve(ctx, server, listener)
	return nil
}

// serve runs until ctx is done, then lets requests that are under way finish.
func (s *Server) serve(ctx context.Context, server *http.Server, listener net.Listener) {
	defer close(s.done)
	defer s.cancel()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		s.err = err
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			s.err = server.Close()
		}
		<-served
	}
}

// URL is the issuer: scheme, host and port, without a trailing slash.
func (s *Server) URL() string { return s.url }

// Close stops the server and waits until it has stopped. Calling it again does
// no harm.
func (s *Server) Close() error {
	s.cancel()
	<-s.done
	return s.err
}

// makeKey makes the instance's signing key, new in every run.
func (s *Server) makeKey() error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	s.key = jose.JSONWebKey{Key: private, KeyID: InstanceID, Algorithm: string(jose.RS256), Use: "sig"}
	s.signer, err = jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: s.key},
		(&jose.SignerOptions{}).WithType("JWT"))
	return err
}

// listenLoopback listens on address if it is loopback. The name is resolved
// once and the result listened on, so that it cannot change in between.
func listenLoopback(address string) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", address, err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("the development Clerk lets anybody sign in as anybody, so it listens on loopback only and %q is not; use 127.0.0.1:%d", address, resolved.Port)
	}
	return net.ListenTCP("tcp", resolved)
}

// validIssuer refuses an issuer that go-oidc or a person's browser would trip
// over: it must be an origin and nothing more.
func validIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return fmt.Errorf("public URL %q: %w", issuer, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || issuer != u.Scheme+"://"+u.Host {
		return fmt.Errorf("public URL %q must be scheme, host and port, without a path or a trailing slash", issuer)
	}
	return nil
}

// handler is every route of the development Clerk.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.discovery)
	mux.HandleFunc("GET /.well-known/jwks.json", s.jwks)
	mux.HandleFunc("GET /oauth/authorize", s.authorize)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /oauth/token", s.token)
	mux.HandleFunc("POST /oauth/token/revoke", s.revokeToken)
	mux.HandleFunc("POST /oauth/token_info", s.tokenInfo)
	mux.HandleFunc("GET /oauth/userinfo", s.userinfo)
	mux.HandleFunc("POST /oauth/userinfo", s.userinfo)

	mux.Handle("/v1/", s.backend())

	mux.Handle("GET /{$}", http.RedirectHandler("/dev", http.StatusSeeOther))
	mux.HandleFunc("GET /dev", s.controlPage)
	mux.HandleFunc("POST /dev/{action}", s.control)

	// A page on the web must not ban people or sign a browser in here: neither
	// by a form that posts to loopback nor by a name that it rebinds to it.
	return s.ownHostOnly(http.NewCrossOriginProtection().Handler(mux))
}

// ownHostOnly refuses requests for a host that is neither loopback nor the
// host of the public URL (DNS rebinding).
func (s *Server) ownHostOnly(next http.Handler) http.Handler {
	_, own, _ := strings.Cut(s.url, "://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		if r.Host != own && host != "localhost" && !ip.IsLoopback() {
			http.Error(w, "this host is not served here", http.StatusMisdirectedRequest)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
