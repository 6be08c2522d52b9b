package resource

import (
	"strings"
	"time"

	"scaling.cloud/mcp/visible"
)

// The fields that hold what strangers wrote, as paths into structuredContent.
// A client names itself, so via is one of them.

func untrustedInList() []string { return untrustedIn("incidents[].") }

func untrustedInDetails() []string {
	return append(untrustedIn("incident."), "incident.description", "incident.statusHistory[].resolutionNote",
		"incident.escalation.acknowledgedBy.name", "incident.escalation.acknowledgedBy.email", "incident.escalation.acknowledgedBy.via")
}

func untrustedInCreated() []string {
	return append(untrustedIn("incident."), "paged[].name", "paged[].email")
}

func untrustedIn(prefix string) []string {
	fields := []string{"title", "owner.name", "owner.email", "affectedComponents[].name", "createdBy.name", "createdBy.email", "createdBy.via"}
	for i, f := range fields {
		fields[i] = prefix + f
	}
	return fields
}

// render writes the incidents as text, and returns how many of them there is
// room for: one at least, so that a list always moves on.
func (o *listIncidentsOutput) render() int {
	var t transcript
	room := len(o.Incidents)
	for n := range o.Incidents {
		o.Incidents[n].writeLine(&t)
		if t.full() {
			room = min(room, max(n, 1))
		}
	}
	o.lines = t.String()
	return room
}

func (o *listIncidentsOutput) writeText(t *transcript) {
	if len(o.Incidents) == 0 {
		t.linef("No incidents match.")
		return
	}
	t.linef("Incidents, newest first: %d.", len(o.Incidents))
	t.fence()
	t.WriteString(o.lines)
	t.unfence()
	if o.cut {
		t.linef("The answer was cut to keep it short.")
	}
	if o.NextCursor != nil {
		t.linef("There are more: call again with the same filters and cursor %s", *o.NextCursor)
	}
}

// writeLine writes the incident on one line, within the fence.
func (i *incidentJSON) writeLine(t *transcript) {
	t.linef("#%d %s, %s: %s | %s", i.SequentialID, i.Severity, i.Status, visible.Line(i.Title), strings.Join(i.facts(), "; "))
}

// facts are what is to say about an incident besides its title.
func (i *incidentJSON) facts() []string {
	facts := []string{"created " + clock(i.CreatedAt) + " by " + i.CreatedBy.label()}
	if i.Owner != nil {
		facts = append(facts, "owner "+i.Owner.label())
	}
	if i.AcknowledgedAt != nil {
		facts = append(facts, "acknowledged "+clock(*i.AcknowledgedAt))
	}
	if i.ResolvedAt != nil {
		facts = append(facts, "resolved "+clock(*i.ResolvedAt))
	}
	if len(i.AffectedComponents) > 0 {
		components := make([]string, len(i.AffectedComponents))
		for n, c := range i.AffectedComponents {
			components[n] = visible.Line(c.Name)
		}
		facts = append(facts, "affects "+strings.Join(components, ", "))
	}
	return append(facts, i.URL)
}

func (o *getIncidentOutput) writeText(t *transcript) {
	i := &o.Incident
	t.linef("Incident #%d is %s, severity %s, escalation %s.", i.SequentialID, i.Status, i.Severity, i.Escalation.State)
	if e := i.Escalation; e.Layer != nil {
		t.linef("Layer %d was paged last.", *e.Layer)
	}
	if e := i.Escalation; e.NextPageAt != nil {
		t.linef("The next page goes out at %s.", clock(*e.NextPageAt))
	}
	t.fence()
	t.linef("Title: %s", visible.Line(i.Title))
	for _, fact := range i.facts() {
		t.linef("%s", fact)
	}
	if by := i.Escalation.AcknowledgedBy; by != nil {
		t.linef("acknowledged by %s", by.label())
	}
	for _, c := range i.StatusHistory {
		t.linef("%s %s", clock(c.ChangedAt), c.Status)
		if c.ResolutionNote != nil {
			t.paragraph(*c.ResolutionNote)
		}
	}
	if i.Description != "" {
		t.linef("Description:")
		t.paragraph(i.Description)
	}
	t.unfence()
	if t.cut {
		t.linef("The text was cut here to keep it short; all of it is in structuredContent.")
	}
}

func (o *createIncidentOutput) writeText(t *transcript) {
	if o.Replayed {
		t.linef("This call was made before with the same idempotencyKey; incident #%d is its result, and nothing was done again.", o.Incident.SequentialID)
	} else {
		t.linef("Created incident #%d.", o.Incident.SequentialID)
	}
	switch {
	case len(o.Paged) > 0:
		t.linef("Paged %d, named below.", len(o.Paged))
	case o.Incident.EscalationPolicyID == nil:
		t.linef("Nobody was paged: the incident has no escalation policy.")
	default:
		t.linef("Nobody was paged: the escalation policy reaches nobody at the moment.")
	}
	t.fence()
	o.Incident.writeLine(t)
	for _, p := range o.Paged {
		t.linef("paged %s", p.label())
	}
	t.unfence()
}

// label is how a person is named. A deleted one has an id and no name.
func (p *personJSON) label() string {
	if p.Name == "" {
		return p.ID
	}
	return visible.Line(p.Name)
}

func (a *actorJSON) label() string {
	name := (&personJSON{ID: a.ID, Name: a.Name}).label()
	if a.Via == nil {
		return name
	}
	return name + " via " + visible.Line(*a.Via)
}

func clock(t time.Time) string { return t.Format(time.RFC3339) }
