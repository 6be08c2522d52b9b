package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/visible"
	"scaling.cloud/mcp/web/ui"
)

// draftView is the page of a public update that waits for its author. A model
// may have written its text: what does not show by itself goes through package
// visible.
type draftView struct {
	page  ui.PageData
	org   store.Organization
	draft *store.Draft
	now   time.Time
}

// draft shows a draft to its author, while they are a member of its
// organization. To everybody else there is none.
func (s *Server) draft(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	d, org, err := s.ownDraft(r, session.UserID)
	if err != nil {
		return err
	}
	return render(r.Context(), w, draftPage(draftView{
		page: ui.PageData{Title: "Publish an update on #" + strconv.Itoa(d.SequentialID), Account: account(session)},
		org:  *org, draft: d, now: s.now(),
	}))
}

// publishDraft publishes a draft and goes back to its page, which tells what
// came of it.
func (s *Server) publishDraft(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	return s.decideOnDraft(w, r, session, s.drafts.PublishDraft)
}

// discardDraft ends a draft, and does likewise.
func (s *Server) discardDraft(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	return s.decideOnDraft(w, r, session, s.drafts.DiscardDraft)
}

func (s *Server) decideOnDraft(w http.ResponseWriter, r *http.Request, session *store.Session,
	decide func(ctx context.Context, orgID, authorID string, id uuid.UUID, requestID string) error) error {
	d, _, err := s.ownDraft(r, session.UserID)
	if err != nil {
		return err
	}
	if err := decide(r.Context(), d.OrgID, session.UserID, d.ID, w.Header().Get("X-Request-Id")); err != nil {
		return err
	}
	http.Redirect(w, r, draftURL(d), http.StatusSeeOther)
	return nil
}

// ownDraft returns the draft that the path names and its organization, or
// store.ErrNotFound: whether there is such a draft is not told.
func (s *Server) ownDraft(r *http.Request, userID string) (*store.Draft, *store.Organization, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil || id.String() != r.PathValue("id") {
		return nil, nil, store.ErrNotFound
	}
	memberships, err := s.memberOf(r.Context(), userID)
	if err != nil {
		return nil, nil, clerkAway(forMembers, err) // the same for any id
	}
	orgIDs := make([]string, len(memberships))
	for i, m := range memberships {
		orgIDs[i] = m.ID
	}
	d, err := s.drafts.Draft(r.Context(), orgIDs, userID, id)
	if err != nil {
		return nil, nil, err
	}
	return d, &memberships[slices.Index(orgIDs, d.OrgID)].Organization, nil
}

func draftURL(d *store.Draft) string { return "/settings/drafts/" + d.ID.String() }

// statusPath is the status page that shows the incident.
func statusPath(d *store.Draft) string { return "/status/" + *d.StatusPage }

func (v draftView) state() store.DraftState { return v.draft.State(v.now) }

// obstacle says why a draft that waits cannot be published now, or returns "".
func (v draftView) obstacle() string {
	switch {
	case v.draft.IncidentStatus == store.StatusResolved:
		return "The incident has been resolved meanwhile, and nothing can be posted on it any more."
	case v.draft.Rule == store.PublicUpdatesNever:
		return "The administrators of " + visible.Line(v.org.Name) + " no longer allow updates that were written in a client to be published."
	case v.draft.ReadOnly:
		return "The administrators of " + visible.Line(v.org.Name) + " let clients change nothing at present, and a client wrote this."
	case v.draft.StatusPage == nil:
		return "No published status page shows a component that the incident affects, so nobody would see the update."
	}
	return ""
}
