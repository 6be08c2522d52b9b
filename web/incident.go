package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/visible"
	"scaling.cloud/mcp/web/ui"
)

// incidentView is the page of one incident. All of its text comes from anybody:
// what does not show by itself goes through package visible.
type incidentView struct {
	page     ui.PageData
	org      store.Organization
	incident *store.IncidentDetails
	now      time.Time
}

// incident shows one incident to the members of its organization. To everybody
// else there is none.
func (s *Server) incident(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil || id.String() != r.PathValue("id") {
		return store.ErrNotFound
	}
	memberships, err := s.memberOf(r.Context(), session.UserID)
	if err != nil {
		return clerkAway(forMembers, err) // the same for any id
	}
	orgIDs := make([]string, len(memberships))
	for i, m := range memberships {
		orgIDs[i] = m.ID
	}
	i, err := s.store.IncidentByID(r.Context(), orgIDs, id)
	if err != nil {
		return err
	}
	return render(r.Context(), w, incidentPage(incidentView{
		page:     ui.PageData{Title: numbered(i) + " " + visible.Line(i.Title), Account: account(session)},
		org:      memberships[slices.Index(orgIDs, i.OrgID)].Organization,
		incident: i,
		now:      s.now(),
	}))
}

// numbered is how people speak of an incident.
func numbered(i *store.IncidentDetails) string { return "#" + strconv.Itoa(i.SequentialID) }

// label is how a person is named. One who was deleted has no name.
func label(p store.Person) string {
	if p.Name == "" {
		return "Somebody whose account was deleted"
	}
	return visible.Line(p.Name)
}

// actor is how somebody is named who did something, perhaps through a client.
func actor(a store.Actor) string {
	if a.Via == nil {
		return label(a.Person)
	}
	return label(a.Person) + " via " + visible.Line(*a.Via)
}

func severityTone(s store.Severity) ui.Tone {
	switch s {
	case store.SeverityCritical:
		return ui.Bad
	case store.SeverityHigh:
		return ui.Warn
	}
	return ui.Calm
}

func statusTone(s store.IncidentStatus) ui.Tone {
	switch s {
	case store.StatusResolved:
		return ui.Good
	case store.StatusMonitoring:
		return ui.Calm
	}
	return ui.Warn
}

// capitalized is one of our own words at the beginning of a line.
func capitalized[T ~string](word T) string {
	return strings.ToUpper(string(word[:1])) + string(word[1:])
}
