package resource

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/resource/rota"
	"scaling.cloud/mcp/store"
)

// mostListed is how many items of a list are read for one MCP resource. Their
// text has no room for more.
const mostListed = 500

// listText writes what of a list comes after an item, as far as there is room,
// and says where the rest is. The list holds one more than mostListed if there
// are more.
func listText[T any](list []T, what, uri, after string, item func(T) (id, text string)) *transcript {
	t := &transcript{}
	switch {
	case len(list) == 0 && after == "":
		t.linef("There are no %s.", what)
		return t
	case len(list) == 0:
		t.linef("There are no more %s.", what)
		return t
	}
	t.linef("The organization's %s.", what)
	t.fence()
	shown, last := 0, ""
	for _, v := range list[:min(len(list), mostListed)] {
		id, text := item(v)
		if !t.lineIfRoom(text) {
			break
		}
		shown, last = shown+1, id
	}
	t.unfence()
	if shown < len(list) {
		t.linef("There are more: read %s?after=%s", uri, last)
	}
	return t
}

// afterID reads the id of the item after which a list goes on, uuid.Nil where
// there is none.
func afterID(argument, uri string) (uuid.UUID, error) {
	if argument == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(argument)
	if err != nil {
		return id, &incident.Error{Code: incident.CodeNotFound, Message: "That is no place to go on from. Read " + uri + " from its beginning."}
	}
	return id, nil
}

// incidentText writes the incident with the number given as get_incident does.
func (s *Server) incidentText(ctx context.Context, x *exchange, number string) (*transcript, error) {
	id, err := strconv.ParseInt(number, 10, 32)
	if err != nil || id < 1 || strconv.FormatInt(id, 10) != number {
		return nil, &incident.Error{Code: incident.CodeInvalidArguments,
			Message: "An incident is named by its sequentialId, a positive number such as 42. list_incidents has them."}
	}
	out, err := s.getIncident(ctx, &call{exchange: x}, getIncidentInput{SequentialID: sequentialID(id)})
	if err != nil {
		return nil, err
	}
	t := &transcript{}
	out.writeText(t)
	return t, nil
}

// mostRecent is how many entries of a timeline a prompt shows. What was done
// last matters to whoever takes over, and to whoever speaks to customers.
const mostRecent = 30

// recentText writes the end of an incident's timeline; where there is no room for
// all, the latest.
func (s *Server) recentText(ctx context.Context, x *exchange, number int) (*transcript, error) {
	entries, err := s.Incidents.Recent(ctx, x.claims.OrgID, number, mostRecent)
	if err != nil {
		return nil, err
	}
	t := &transcript{}
	room := t.room()
	var texts []string // latest first
	for _, e := range slices.Backward(entries) {
		var text transcript
		j := newTimelineEntryJSON(e)
		j.writeText(&text)
		if room -= text.Len(); room < 0 && texts != nil {
			break
		}
		texts = append(texts, text.String())
	}
	t.linef("The latest entries of its timeline, oldest first.")
	t.fence()
	for _, text := range slices.Backward(texts) {
		t.WriteString(text)
	}
	t.unfence()
	t.linef("get_incident_timeline has what came before.")
	return t, nil
}

func (s *Server) componentsText(ctx context.Context, x *exchange, after string) (*transcript, error) {
	const uri = "scaling://components"
	id, err := afterID(after, uri)
	if err != nil {
		return nil, err
	}
	components, err := s.Incidents.Components(ctx, x.claims.OrgID, id, mostListed+1)
	if err != nil {
		return nil, err
	}
	return listText(components, "components", uri, after, func(c *store.Component) (id, text string) {
		var facts []string
		if c.GroupLabel != "" {
			facts = append(facts, "group "+quoted(c.GroupLabel))
		}
		if c.Description != "" {
			facts = append(facts, quoted(c.Description))
		}
		return c.ID.String(), item(c.ID.String()+" "+quoted(c.Name), ", ", facts)
	}), nil
}

func (s *Server) membersText(ctx context.Context, x *exchange, after string) (*transcript, error) {
	members, err := s.Rota.Members(ctx, x.claims.OrgID, after, mostListed+1)
	if err != nil {
		return nil, err
	}
	return listText(members, "members", "scaling://members", after, func(m *store.Member) (id, text string) {
		role := "member"
		if m.Role == store.RoleAdmin {
			role = "admin"
		}
		return m.ID, fmt.Sprintf("%s %s, %s, %s", m.ID, quoted(m.Name), quoted(m.Email), role)
	}), nil
}

func (s *Server) escalationPoliciesText(ctx context.Context, x *exchange, after string) (*transcript, error) {
	const uri = "scaling://escalation-policies"
	id, err := afterID(after, uri)
	if err != nil {
		return nil, err
	}
	policies, err := s.Rota.Policies(ctx, x.claims.OrgID, id, mostListed+1)
	if err != nil {
		return nil, err
	}
	return listText(policies, "escalation policies", uri, after, func(p *rota.Policy) (id, text string) {
		var facts []string
		if p.Description != "" {
			facts = append(facts, quoted(p.Description))
		}
		if len(p.Layers) == 0 {
			facts = append(facts, "it has no layers and pages nobody")
		}
		for _, l := range p.Layers {
			facts = append(facts, fmt.Sprintf("layer %d pages %s and waits %d min", l.Position, target(l), l.AckTimeoutMinutes))
		}
		return p.ID.String(), item(p.ID.String()+" "+quoted(p.Name), "\n  ", facts)
	}), nil
}

// target is whom a layer pages.
func target(l rota.PolicyLayer) string {
	if l.ScheduleID != uuid.Nil {
		return fmt.Sprintf("whoever is on call in %s (schedule %s)", quoted(l.ScheduleName), l.ScheduleID)
	}
	return participantLabels(l.People)
}
