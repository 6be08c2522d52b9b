package web

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

// connectionView is the page of one connection, from where it is revoked.
type connectionView struct {
	page    ui.PageData
	viewer  string // user id
	fromOrg bool   // reached from the view of the organization
	conn    *store.ListedConnection
	now     time.Time

	activity []*store.Activity // its latest
}

// connection shows one connection.
func (s *Server) connection(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	c, fromOrg, err := s.visibleConnection(r, session.UserID)
	if err != nil {
		return err
	}
	activity, err := s.store.Activity(r.Context(), []string{c.OrgID}, store.ActivityQuery{ConnectionID: c.ID, Limit: activityOfConnection}, s.now())
	if err != nil {
		return err
	}
	return render(r.Context(), w, connectionPage(connectionView{
		page:     ui.PageData{Title: c.ClientName, Current: connectionsPath, Account: account(session)},
		viewer:   session.UserID,
		fromOrg:  fromOrg,
		conn:     c,
		now:      s.now(),
		activity: activity,
	}))
}

// revoke ends a connection and goes back to the list, which tells the outcome.
// If it has ended already, its own page tells who was first.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	c, fromOrg, err := s.visibleConnection(r, session.UserID)
	if err != nil {
		return err
	}
	var revoked *store.Revocation
	if c.UserID == session.UserID {
		revoked, err = s.store.RevokeOwnConnection(r.Context(), c.ID, session.UserID, s.now())
	} else {
		revoked, err = s.store.RevokeOrgConnection(r.Context(), c.ID, c.OrgID, session.UserID, s.now())
	}
	if errors.Is(err, store.ErrNotFound) {
		http.Redirect(w, r, connectionURL(c.ID, fromOrg), http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return err
	}
	s.revocations.Publish(r.Context(), revoked)
	list := connectionsPath + "?"
	if fromOrg {
		list = orgURL(c.OrgSlug) + "&"
	}
	http.Redirect(w, r, list+"revoked="+c.ID.String(), http.StatusSeeOther)
	return nil
}

// visibleConnection returns the connection that the path names, if it is the
// person's own or of an organization that they administer now, and whether they
// came to it from the view of that organization. In every other case it returns
// store.ErrNotFound: whether there is such a connection is not told.
func (s *Server) visibleConnection(r *http.Request, userID string) (c *store.ListedConnection, fromOrg bool, err error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil || id.String() != r.PathValue("id") {
		return nil, false, store.ErrNotFound
	}
	fromOrg = r.FormValue("view") == "organization"
	if !fromOrg {
		// One's own needs no role: Clerk is not asked, and cannot keep it.
		c, err = s.store.ConnectionVisibleTo(r.Context(), id, userID, nil, s.now())
		if !errors.Is(err, store.ErrNotFound) {
			return c, false, err
		}
	}
	administered, rolesErr := s.administered(r.Context(), userID)
	adminOf := ids(administered)
	c, err = s.store.ConnectionVisibleTo(r.Context(), id, userID, adminOf, s.now())
	if rolesErr != nil && errors.Is(err, store.ErrNotFound) {
		return nil, false, clerkAway(forAdministrators, rolesErr) // the same for any id that is not theirs
	}
	if err != nil {
		return nil, false, err
	}
	return c, fromOrg && slices.Contains(adminOf, c.OrgID), nil
}

func (v connectionView) mine() bool { return v.conn.UserID == v.viewer }

// back is the list that the person came from.
func (v connectionView) back() string {
	if v.fromOrg {
		return orgURL(v.conn.OrgSlug)
	}
	return connectionsPath
}

// stops are the things that the client can no longer do. Staying connected is
// not one of them, it is what ends.
func (v connectionView) stops() []string {
	return store.ScopeWords(slices.DeleteFunc(slices.Clone(v.conn.Scopes), func(scope string) bool {
		return scope == store.ScopeOfflineAccess
	}))
}

func connectionURL(id uuid.UUID, fromOrg bool) string {
	url := connectionsPath + "/" + id.String()
	if fromOrg {
		url += "?view=organization"
	}
	return url
}
