package web

import (
	"net/http"
	"strings"
	"time"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/web/ui"
)

const draftsPath = "/settings/drafts"

// draftsView lists a person's public updates that wait for them, and those that
// did until lately.
type draftsView struct {
	page           ui.PageData
	orgs           map[string]string // names by id
	waiting, ended []*store.Draft
	now            time.Time
}

// draftList lists the drafts that a person wrote in the organizations that they
// are a member of.
func (s *Server) draftList(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	memberships, err := s.memberOf(r.Context(), session.UserID)
	if err != nil {
		return clerkAway(forMembers, err)
	}
	view := draftsView{
		page: ui.PageData{Title: "Drafts", Current: activityPath, Account: account(session)},
		orgs: map[string]string{}, now: s.now(),
	}
	var orgIDs []string
	for _, m := range memberships {
		orgIDs, view.orgs[m.ID] = append(orgIDs, m.ID), m.Name
	}
	drafts, err := s.store.DraftsOf(r.Context(), orgIDs, session.UserID, view.now)
	if err != nil {
		return err
	}
	for _, d := range drafts {
		if d.State(view.now) == store.DraftWaiting {
			view.waiting = append(view.waiting, d)
		} else {
			view.ended = append(view.ended, d)
		}
	}
	return render(r.Context(), w, draftsPage(view))
}

// draftOutcome is what became of a draft, and when.
func draftOutcome(d *store.Draft, now time.Time) (tone ui.Tone, words string, at time.Time) {
	switch d.State(now) {
	case store.DraftPublished:
		return ui.Good, "Published", *d.PublishedAt
	case store.DraftDiscarded:
		return ui.Calm, "Discarded", *d.DiscardedAt
	case store.DraftExpired:
		return ui.Calm, "Not published", d.ExpiresAt
	}
	return ui.Warn, "Waits for you", d.CreatedAt
}

// beginning is as much of a text as tells it from others, on one line.
func beginning(text string) string {
	const long = 140
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > long {
		return string(runes[:long]) + "…"
	}
	return text
}
