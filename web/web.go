// Package web is the dashboard: the landing page; Settings, where a person sees
// every client that is connected in their name and ends it, and where an
// administrator does so for everybody in the organization; and the pages of an
// incident and of a draft, where the links in tool results lead. It is also the
// status page of an organization, which is for anybody.
//
// It does not know who the person is, which organizations Clerk says they are
// in, how replicas hear of a revocation, or what may be published: Sessions,
// Memberships, Revocations and Drafts tell it. Every page works without
// JavaScript, and no GET changes anything.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// Sessions knows who is signed in.
type Sessions interface {
	// Session returns the browser's session, or store.ErrNotFound where nobody
	// is signed in.
	Session(*http.Request) (*store.Session, error)
}

// Memberships knows which organizations a person is in, and as what.
type Memberships interface {
	// Memberships returns what Clerk says, at most a minute old. An error means
	// that Clerk cannot be asked: the person then sees no organization's pages.
	Memberships(ctx context.Context, userID string) ([]store.Membership, error)
}

// Revocations tells everything that caches the state of a connection that it
// has been revoked.
type Revocations interface {
	// Publish is called after the revocations are committed, and records in the
	// store those that it confirms: pages read the outcome from there.
	Publish(ctx context.Context, revoked ...*store.Revocation) (confirmed bool)
}

// Drafts knows the public updates that wait for their author.
type Drafts interface {
	// Draft returns a draft that a person wrote in one of the given
	// organizations, or store.ErrNotFound.
	Draft(ctx context.Context, orgIDs []string, authorID string, id uuid.UUID) (*store.Draft, error)
	// PublishDraft publishes a draft and DiscardDraft ends it. A draft that they
	// cannot change stays as it is, and tells why.
	PublishDraft(ctx context.Context, orgID, authorID string, id uuid.UUID, requestID string) error
	DiscardDraft(ctx context.Context, orgID, authorID string, id uuid.UUID, requestID string) error
}

// Config is what a Server is made of. Every field is needed.
type Config struct {
	PublicURL   string // origin of every URL, without a trailing slash
	Store       *store.Store
	Sessions    Sessions
	Memberships Memberships
	Revocations Revocations
	Drafts      Drafts
	Log         *slog.Logger
	Now         func() time.Time
}

// Server serves the dashboard.
type Server struct {
	publicURL   string
	store       *store.Store
	sessions    Sessions
	memberships Memberships
	revocations Revocations
	drafts      Drafts
	log         *slog.Logger
	now         func() time.Time
	statusPages *statusPages
}

// New returns a Server.
func New(c Config) *Server {
	return &Server{
		publicURL: c.PublicURL, store: c.Store, sessions: c.Sessions, memberships: c.Memberships, revocations: c.Revocations,
		drafts: c.Drafts, log: c.Log, now: c.Now, statusPages: newStatusPages(),
	}
}

// Mount adds everything below /settings, /incidents, /status and /assets to mux. The landing page
// shares its path with the MCP endpoint, which hands over to Landing.
func (s *Server) Mount(mux *http.ServeMux) {
	mux.Handle("GET /settings/connections", s.signedIn(s.connections))
	mux.Handle("GET /settings/connections/revoke", s.signedIn(s.confirmRevokeAll))
	mux.Handle("POST /settings/connections/revoke", s.form(s.signedIn(s.revokeAll)))
	mux.Handle("GET /settings/connections/{id}", s.signedIn(s.connection))
	mux.Handle("POST /settings/connections/{id}/revoke", s.form(s.signedIn(s.revoke)))
	mux.Handle("GET /settings/connect", s.signedIn(s.connect))
	mux.Handle("GET "+activityPath, s.signedIn(s.activity))
	mux.Handle("GET "+ActivityCSVPath, s.signedIn(s.activityCSV))
	mux.Handle("GET "+ActivityJSONPath, s.signedIn(s.activityJSON))
	mux.Handle("GET "+draftsPath, s.signedIn(s.draftList))
	mux.Handle("GET /settings/connect/arrived", s.signedIn(s.arrived))
	mux.Handle("GET /settings/drafts/{id}", s.signedIn(s.draft))
	mux.Handle("POST /settings/drafts/{id}/publish", s.form(s.signedIn(s.publishDraft)))
	mux.Handle("POST /settings/drafts/{id}/discard", s.form(s.signedIn(s.discardDraft)))
	mux.Handle("GET /settings/policy", s.signedIn(s.policy))
	mux.Handle("POST /settings/policy/save", s.form(s.signedIn(s.savePolicy)))
	mux.Handle("GET /settings/policy/block", s.signedIn(s.confirmBlock))
	mux.Handle("POST /settings/policy/block", s.form(s.signedIn(s.block)))
	mux.Handle("POST /settings/policy/unblock", s.form(s.signedIn(s.unblock)))
	mux.Handle("GET /incidents/{id}", s.signedIn(s.incident))
	mux.HandleFunc("GET /status/{slug}", s.status)
	for _, path := range []string{"GET /settings", "GET /settings/{$}"} {
		mux.Handle(path, http.RedirectHandler("/settings/connections", http.StatusSeeOther))
	}
	mux.Handle("/settings/", s.page(func(http.ResponseWriter, *http.Request) error { return store.ErrNotFound }))
	mux.Handle("GET /assets/", ui.Assets())
}

// mcpURL is what a person pastes into a client.
func (s *Server) mcpURL() string { return s.publicURL + "/mcp" }
