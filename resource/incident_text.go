package resource

import (
	"fmt"
	"strings"
	"time"

	"scaling.cloud/mcp/store"
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

// render writes the incidents as text, as far as there is room, and returns how
// many those are: one at least, so that a list always moves on.
func (o *listIncidentsOutput) render() int {
	var t transcript
	shown := 0
	for n := range o.Incidents {
		if !t.lineIfRoom(o.Incidents[n].line()) {
			break
		}
		shown++
	}
	o.lines = t.String()
	return shown
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

// line returns the incident on one line, which belongs within the fence. It is
// always shorter than a text may be: its titles and names are bounded, and so
// is their number.
func (i *incidentJSON) line() string {
	return fmt.Sprintf("#%d %s, %s: %s | %s", i.SequentialID, i.Severity, i.Status, quoted(i.Title), strings.Join(i.facts(), "; "))
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
		var components []string
		for _, c := range i.AffectedComponents[:min(len(i.AffectedComponents), mostNamed)] {
			components = append(components, quoted(c.Name))
		}
		affects := "affects " + strings.Join(components, ", ")
		if more := len(i.AffectedComponents) - mostNamed; more > 0 {
			affects += fmt.Sprintf(", and %d more", more)
		}
		facts = append(facts, affects)
	}
	return append(facts, i.URL)
}

func (o *getIncidentOutput) writeText(t *transcript) {
	i := &o.Incident
	t.linef("Incident #%d is %s, severity %s, escalation %s.", i.SequentialID, i.Status, i.Severity, i.Escalation.State)
	if i.Escalation.Layer != nil {
		t.linef("Layer %d was paged last.", *i.Escalation.Layer)
	}
	t.linef("%s", i.outlook())
	t.fence()
	t.linef("Title: %s", quoted(i.Title))
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
		t.linef("The text was cut here to keep it short; all of it is in the structuredContent of get_incident.")
	}
}

// outlook says who will be paged, which is what whoever looks at an incident at
// night wants to know first.
func (i *incidentDetailsJSON) outlook() string {
	switch e := i.Escalation; {
	case e.State == store.EscalationNone:
		return "Nobody is paged: it has no escalation policy."
	case i.Status == store.StatusResolved:
		return "Nobody is paged any more: it is resolved."
	case e.State == store.EscalationAcknowledged:
		return "Nobody else is paged: somebody has acknowledged it."
	case e.State == store.EscalationExhausted && e.Layer == nil:
		return "Nobody has acknowledged it and nobody is paged: its escalation policy reached nobody."
	case e.State == store.EscalationExhausted:
		return "Nobody has acknowledged it and nobody else is paged: no layer is left. It can still be acknowledged."
	case e.NextPageAt == nil:
		return "Nobody has acknowledged it yet. No further page is planned."
	default:
		return "Nobody has acknowledged it yet. Unless somebody does, escalation goes on at " + clock(*e.NextPageAt) + "."
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
	t.linef("%s", o.Incident.line())
	for n, p := range o.Paged {
		if n == mostNamed || !t.lineIfRoom("paged "+p.label()) {
			t.linef("and %d more", len(o.Paged)-n)
			break
		}
	}
	t.unfence()
}

// label is how a person is named. A deleted one has an id and no name.
func (p *personJSON) label() string {
	if p.Name == "" {
		return p.ID
	}
	return quoted(p.Name)
}

func (a *actorJSON) label() string {
	name := (&personJSON{ID: a.ID, Name: a.Name}).label()
	if a.Via == nil {
		return name
	}
	return name + " via " + quoted(*a.Via)
}

func clock(t time.Time) string { return t.Format(time.RFC3339) }
