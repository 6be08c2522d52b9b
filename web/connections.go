package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

const connectionsPath = "/settings/connections"

// A page holds at most groupsShown times topShown connections, or as many of one
// client, and endedShown that have ended beside those that live.
const (
	groupsShown = 10
	topShown    = 5
	pageShown   = groupsShown * topShown
	endedShown  = 10
)

// connectionsView is Settings → Connections: a person's own, or those of an
// organization that they administer.
type connectionsView struct {
	page         ui.PageData
	viewer       string               // user id
	org          *store.Organization  // nil for one's own
	administered []store.Organization // may be looked at as a whole
	rolesUnknown bool                 // Clerk is away
	asked        listing
	live         []*store.ConnectionGroup
	ended        []*store.ListedConnection
	moreEnded    bool   // than are shown beside those that live
	next         string // the next page, or empty
	calls        map[uuid.UUID]store.Calls
	justRevoked  *store.ListedConnection // by the viewer, from this page
	together     *store.RevokedTogether  // likewise, if it was more than one at once
	now          time.Time
}

// connections lists connections: the person's own in all organizations, or with
// ?view=organization or ?org=<slug> all of one organization. Those that live go
// by client; one client's, and those that have ended, are a list with pages.
func (s *Server) connections(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	ctx, query, now := r.Context(), r.URL.Query(), s.now()
	view := connectionsView{
		page:   ui.PageData{Title: "Connections", Current: connectionsPath, Account: account(session)},
		viewer: session.UserID,
		asked:  newListing(query),
		now:    now,
	}
	administered, err := s.administered(ctx, session.UserID)
	switch {
	case err != nil && ofOrganization(query):
		return clerkAway(forAdministrators, err)
	case err != nil:
		s.log.WarnContext(ctx, "showing a person's own connections only", "error", err)
		view.rolesUnknown = true
	}
	view.administered = administered
	if ofOrganization(query) {
		if view.org, err = chooseOrg(administered, query.Get("org")); err != nil {
			return err
		}
		view.asked.org = view.org.Slug
	}
	if err := s.list(r, &view); err != nil {
		return err
	}
	if err := s.tellRevoked(r, &view); err != nil {
		return err
	}
	return render(ctx, w, connectionsPage(view))
}

// list reads the connections of a view.
func (s *Server) list(r *http.Request, v *connectionsView) error {
	ctx, asked := r.Context(), v.asked
	q := asked.query(v.viewer, v.org)
	var err error
	if asked.State != stateEnded {
		if v.live, v.next, err = s.listLive(r, q, asked, v.now); err != nil {
			return err
		}
	}
	if asked.State == stateEnded || asked.State == stateAll && asked.After == "" {
		q.Ended = true
		limit := endedShown
		if asked.State == stateEnded {
			limit = pageShown
		}
		q.Limit = limit + 1
		if v.ended, err = s.store.ConnectionPage(ctx, q, v.now); err != nil {
			return err
		}
		if len(v.ended) > limit {
			v.ended = v.ended[:limit]
			v.moreEnded = true
			if asked.State == stateEnded {
				v.next = asked.after(q.Position(v.ended[limit-1]))
			}
		}
	}
	var shown []uuid.UUID
	for _, g := range v.live {
		for _, c := range g.Top {
			shown = append(shown, c.ID)
		}
	}
	v.calls, err = s.store.CallsOf(ctx, shown, v.now)
	return err
}

// listLive reads a page of clients with connections that live, or of one
// client's connections, and returns where the next page is.
func (s *Server) listLive(r *http.Request, q store.ConnectionQuery, asked listing, now time.Time) (groups []*store.ConnectionGroup, next string, err error) {
	if asked.Client == "" {
		q.Limit = groupsShown + 1
		groups, err = s.store.ConnectionGroups(r.Context(), q, topShown, now)
		if len(groups) > groupsShown {
			groups = groups[:groupsShown]
			next = asked.after(groups[groupsShown-1].Position)
		}
		return groups, next, err
	}
	page := q
	page.Limit = pageShown + 1
	top, err := s.store.ConnectionPage(r.Context(), page, now)
	if err != nil || len(top) == 0 {
		return nil, "", err
	}
	if len(top) > pageShown {
		top = top[:pageShown]
		next = asked.after(q.Position(top[pageShown-1]))
	}
	q.After, q.Limit = nil, 1
	if groups, err = s.store.ConnectionGroups(r.Context(), q, 0, now); err != nil || len(groups) == 0 {
		return nil, "", err
	}
	groups[0].Top = top
	return groups, next, nil
}

// tellRevoked finds the connection that ?revoked=<id> names, or those that ended
// at ?together=<instant>, if the viewer is who revoked them. The query only
// points: what the page says comes from the store, so that a link made by
// somebody else cannot make it say anything.
func (s *Server) tellRevoked(r *http.Request, v *connectionsView) error {
	query := r.URL.Query()
	if id, err := uuid.Parse(query.Get("revoked")); err == nil {
		var adminOf []string
		if v.org != nil {
			adminOf = []string{v.org.ID}
		}
		c, err := s.store.ConnectionVisibleTo(r.Context(), id, v.viewer, adminOf, v.now)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && c.RevokedBy != nil && *c.RevokedBy == v.viewer {
			v.justRevoked = c
		}
	}
	if micros, err := strconv.ParseInt(query.Get("together"), 10, 64); err == nil && micros > 0 && micros <= v.now.UnixMicro() {
		v.together, err = s.store.RevokedTogether(r.Context(), v.viewer, time.UnixMicro(micros), v.now)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// ofOrganization reports whether a whole organization is asked for.
func ofOrganization(query url.Values) bool {
	return query.Get("view") == "organization" || query.Has("org")
}

// client is how pages speak of the client of a connection.
func client(c *store.ListedConnection) ui.Client {
	host, local := ui.RedirectPlace(c.RedirectURI)
	return ui.Client{Name: c.ClientName, Verified: c.ClientVerified, Host: host, Local: local}
}

// href is the page of one of the listed connections.
func (v connectionsView) href(id uuid.UUID) string { return connectionURL(id, v.org != nil) }

func (v connectionsView) mine(c *store.ListedConnection) bool { return c.UserID == v.viewer }

// nothing reports whether there is nothing to list, nor was anything left out.
func (v connectionsView) nothing() bool {
	return len(v.live) == 0 && len(v.ended) == 0 && !v.asked.narrowed()
}

// clientName and memberName are those of the client and the member that the list
// is narrowed to, as far as it tells them.
func (v connectionsView) clientName() string {
	if c := v.first(); c != nil {
		return c.ClientName
	}
	return "one client"
}

func (v connectionsView) memberName() string {
	if c := v.first(); c != nil {
		return c.UserName
	}
	return "one person"
}

func (v connectionsView) first() *store.ListedConnection {
	for _, g := range v.live {
		for _, c := range g.Top {
			return c
		}
	}
	for _, c := range v.ended {
		return c
	}
	return nil
}

// several reports whether more than one connection of the viewer's own is live.
func (v connectionsView) several() bool {
	return len(v.live) > 1 || len(v.live) == 1 && v.live[0].Connections > 1
}

// orgURL is the view of a whole organization.
func orgURL(slug string) string { return listing{org: slug}.url() }

// counted is a number of things.
func counted(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case thing == "person":
		thing = "people"
	default:
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

// have and ending agree with a number of things.
func have(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

func ending(n int) string {
	if n == 1 {
		return "ends"
	}
	return "end"
}
