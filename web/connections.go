package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

const connectionsPath = "/settings/connections"

// connectionsView is Settings → Connections: a person's own, or those of an
// organization that they administer.
type connectionsView struct {
	page         ui.PageData
	viewer       string               // user id
	org          *store.Organization  // nil for one's own
	administered []store.Organization // may be looked at as a whole
	rolesUnknown bool                 // Clerk is away
	live, ended  []*store.ListedConnection
	justRevoked  *store.ListedConnection // by the viewer, from this page
	now          time.Time
}

// connections lists connections: the person's own in all organizations, or with
// ?view=organization or ?org=<slug> all of one organization.
func (s *Server) connections(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	ctx, query, now := r.Context(), r.URL.Query(), s.now()
	view := connectionsView{
		page:   ui.PageData{Title: "Connections", Current: connectionsPath, Account: account(session)},
		viewer: session.UserID,
		now:    now,
	}
	administered, err := s.administered(ctx, session.UserID)
	organization := query.Get("view") == "organization" || query.Has("org")
	switch {
	case err != nil && organization:
		return clerkAway(err)
	case err != nil:
		s.log.WarnContext(ctx, "showing a person's own connections only", "error", err)
		view.rolesUnknown = true
	}
	view.administered = administered

	var listed []*store.ListedConnection
	if organization {
		if view.org, err = chooseOrg(administered, query.Get("org")); err != nil {
			return err
		}
		listed, err = s.store.ConnectionsOfOrg(ctx, view.org.ID, now)
	} else {
		listed, err = s.store.ConnectionsOfUser(ctx, session.UserID, now)
	}
	if err != nil {
		return err
	}
	for _, c := range listed {
		if ended(c, now) {
			view.ended = append(view.ended, c)
		} else {
			view.live = append(view.live, c)
		}
	}
	view.justRevoked = justRevoked(listed, query.Get("revoked"), session.UserID)
	return render(ctx, w, connectionsPage(view))
}

// justRevoked finds the connection that ?revoked=<id> names, if the viewer is
// who revoked it. The query only points: what the page says comes from the
// store, so that a link made by somebody else cannot make it say anything.
func justRevoked(listed []*store.ListedConnection, id, viewer string) *store.ListedConnection {
	for _, c := range listed {
		if c.ID.String() == id && c.RevokedBy != nil && *c.RevokedBy == viewer {
			return c
		}
	}
	return nil
}

// client is how pages speak of the client of a connection.
func client(c *store.ListedConnection) ui.Client {
	host, local := ui.RedirectPlace(c.RedirectURI)
	return ui.Client{Name: c.ClientName, Verified: c.ClientVerified, Host: host, Local: local}
}

// href is the page of one of the listed connections.
func (v connectionsView) href(id uuid.UUID) string { return connectionURL(id, v.org != nil) }

func (v connectionsView) mine(c *store.ListedConnection) bool { return c.UserID == v.viewer }

// orgURL is the view of a whole organization.
func orgURL(slug string) string {
	return connectionsPath + "?" + url.Values{"view": {"organization"}, "org": {slug}}.Encode()
}
