package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

const revokeAllPath = connectionsPath + "/revoke"

// revokeAllView is the page that asks whether several connections shall end.
type revokeAllView struct {
	page ui.PageData
	what several
	live *store.LiveConnections
}

// several chooses connections to be ended together: all of one's own or those of
// one client; or in an organization those of one client, or one member, or both.
type several struct {
	org            *store.Organization // nil for one's own
	client, member string
}

// confirmRevokeAll says what would stop.
func (s *Server) confirmRevokeAll(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	what, err := s.several(r, session.UserID)
	if err != nil {
		return err
	}
	q := store.ConnectionQuery{UserID: session.UserID, Client: what.client}
	if what.org != nil {
		q = store.ConnectionQuery{OrgID: what.org.ID, Client: what.client, Member: what.member}
	}
	live, err := s.store.CountLive(r.Context(), q, s.now())
	if err != nil {
		return err
	}
	return render(r.Context(), w, revokeAllPage(revokeAllView{
		page: ui.PageData{Title: "Revoke all", Current: connectionsPath, Account: account(session)},
		what: what, live: live,
	}))
}

// revokeAll ends them and goes back to the list, which tells how many there were.
// If none is left to end, the page that asked says so.
func (s *Server) revokeAll(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	what, err := s.several(r, session.UserID)
	if err != nil {
		return err
	}
	now := s.now()
	var revoked []*store.Revocation
	if what.org != nil {
		revoked, err = s.store.RevokeOrgConnections(r.Context(), what.org.ID, what.client, what.member, session.UserID, now)
	} else {
		revoked, err = s.store.RevokeOwnConnections(r.Context(), session.UserID, what.client, now)
	}
	if err != nil {
		return err
	}
	if len(revoked) == 0 {
		http.Redirect(w, r, what.url(), http.StatusSeeOther)
		return nil
	}
	s.revocations.Publish(r.Context(), revoked...)
	list := url.Values{"together": {strconv.FormatInt(now.UnixMicro(), 10)}}
	if what.org != nil {
		list.Set("view", "organization")
		list.Set("org", what.org.Slug)
	}
	http.Redirect(w, r, connectionsPath+"?"+list.Encode(), http.StatusSeeOther)
	return nil
}

// several reads what a request chooses. In an organization that the person does
// not administer now there is nothing to choose, nor is there a way to choose all
// of one: that would be a form that ends everybody's work.
func (s *Server) several(r *http.Request, userID string) (several, error) {
	what := several{client: clean(r.FormValue("client")), member: clean(r.FormValue("member"))}
	if !ofOrganization(r.Form) {
		what.member = ""
		return what, nil // one's own needs no role
	}
	var err error
	what.org, err = s.administeredOrg(r, userID)
	if err == nil && what.client == "" && what.member == "" {
		err = store.ErrNotFound
	}
	return what, err
}

// url is the page that asks.
func (w several) url() string {
	values := url.Values{}
	if w.org != nil {
		values.Set("view", "organization")
		values.Set("org", w.org.Slug)
	}
	if w.client != "" {
		values.Set("client", w.client)
	}
	if w.member != "" {
		values.Set("member", w.member)
	}
	if len(values) == 0 {
		return revokeAllPath
	}
	return revokeAllPath + "?" + values.Encode()
}

// revokeAll is the page that asks about a client of the list, or with an empty
// identity about all that the list is narrowed to by whose they are.
func (v connectionsView) revokeAll(identity string) string {
	what := several{org: v.org, client: identity}
	if v.org != nil {
		what.member = v.asked.Member
		if identity == "" {
			what.client = v.asked.Client
		}
	}
	return what.url()
}

// back is the list that the person came from.
func (v revokeAllView) back() string {
	if v.what.org != nil {
		return orgURL(v.what.org.Slug)
	}
	return connectionsPath
}

func (v revokeAllView) question() string {
	switch {
	case v.what.member != "" && v.what.client != "":
		return "Revoke all of " + *v.live.ClientName + " and " + *v.live.MemberName + "?"
	case v.what.member != "":
		return "Revoke all of " + *v.live.MemberName + "?"
	case v.what.client != "":
		return "Revoke all of " + *v.live.ClientName + "?"
	}
	return "Revoke all your connections?"
}

// stops says how many connections stop, of whom and where.
func (v revokeAllView) stops() string {
	text := counted(v.live.Connections, "connection")
	if v.what.org != nil {
		text += " of " + counted(v.live.People, "person")
	}
	text += " in " + inWords(v.live.Organizations)
	if v.live.Connections == 1 {
		return text + " stops at once."
	}
	return text + " stop at once."
}

// inWords lists names.
func inWords(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
