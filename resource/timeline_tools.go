package resource

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

func untrustedInTimeline() []string {
	return []string{
		"entries[].actor.name", "entries[].actor.email", "entries[].actor.via", "entries[].resolutionNote",
		"entries[].person.name", "entries[].person.email", "entries[].update.body",
	}
}

type getIncidentTimelineInput struct {
	SequentialID sequentialID `json:"sequentialId" jsonschema:"the incident's number within the organization"`
	Limit        pageSize     `json:"limit,omitempty" jsonschema:"how many entries to return"`
	Cursor       string       `json:"cursor,omitempty" jsonschema:"nextCursor of the previous page of the same incident"`
}

type getIncidentTimelineOutput struct {
	Entries      []timelineEntryJSON `json:"entries"`
	NextCursor   *string             `json:"nextCursor"`
	sequentialID int
	lines        string // the entries as text, see render
	cut          bool   // there was no room for all that were asked for
	textCut      bool   // nor for all of what the only one of them says
}

// timelineEntryJSON is an event on the wire. All types have the same fields, so
// that one schema says them all.
type timelineEntryJSON struct {
	ID             uuid.UUID             `json:"id"`
	At             time.Time             `json:"at"`
	Type           store.EventType       `json:"type"`
	Actor          *actorJSON            `json:"actor" jsonschema:"who did it; null where escalation acted by itself"`
	Status         *store.IncidentStatus `json:"status" jsonschema:"incident_created, status_changed: the status entered"`
	ResolutionNote *string               `json:"resolutionNote" jsonschema:"status_changed: for members, never public"`
	Layer          *int                  `json:"layer" jsonschema:"page_sent, page_failed, escalation_advanced: the layer of the escalation policy"`
	Person         *personJSON           `json:"person" jsonschema:"page_sent, page_failed: who was paged; incident_handed_off, owner_changed: the new owner"`
	Update         *timelineUpdateJSON   `json:"update" jsonschema:"update_posted, update_redacted"`
}

type timelineUpdateJSON struct {
	ID         uuid.UUID        `json:"id"`
	Body       *string          `json:"body" jsonschema:"null once the update was redacted"`
	Visibility store.Visibility `json:"visibility"`
}

func newTimelineEntryJSON(e *store.TimelineEntry) timelineEntryJSON {
	j := timelineEntryJSON{ID: e.ID, At: e.At.UTC(), Type: e.Type, Status: e.Status, ResolutionNote: e.Note, Layer: e.Layer}
	if e.Actor != nil {
		j.Actor = new(newActorJSON(*e.Actor))
	}
	if e.Person != nil {
		j.Person = new(personJSON(*e.Person))
	}
	if e.Update != nil {
		j.Update = new(timelineUpdateJSON(*e.Update))
	}
	return j
}

func (s *Server) getIncidentTimeline(ctx context.Context, c *call, in getIncidentTimelineInput) (*getIncidentTimelineOutput, error) {
	page, err := s.Incidents.Timeline(ctx, c.claims.OrgID, incident.TimelineQuery{
		SequentialID: int(in.SequentialID), Limit: new(int(in.Limit)), Cursor: in.Cursor,
	})
	if err != nil {
		return nil, err
	}
	out := &getIncidentTimelineOutput{Entries: make([]timelineEntryJSON, len(page.Entries)), sequentialID: int(in.SequentialID)}
	for n, e := range page.Entries {
		out.Entries[n] = newTimelineEntryJSON(e)
	}
	if n := out.render(); n < len(out.Entries) {
		page, out.Entries, out.cut = page.First(n), out.Entries[:n], true
	}
	if page.NextCursor != "" {
		out.NextCursor = &page.NextCursor
	}
	return out, nil
}

// render writes the entries as text, as far as there is room, and returns how
// many those are. The first is always among them, so that a timeline moves on:
// of one that is too long for any answer the text is cut.
func (o *getIncidentTimelineOutput) render() int {
	var t transcript
	shown := 0
	for n := range o.Entries {
		var entry transcript
		o.Entries[n].writeText(&entry)
		if n > 0 && entry.Len() > t.room() {
			break
		}
		t.WriteString(entry.String())
		o.textCut = entry.cut
		shown++
	}
	o.lines = t.String()
	return shown
}

func (o *getIncidentTimelineOutput) writeText(t *transcript) {
	if len(o.Entries) == 0 {
		t.linef("The timeline of incident #%d has nothing more.", o.sequentialID)
		return
	}
	t.linef("Entries of the timeline of incident #%d, oldest first: %d.", o.sequentialID, len(o.Entries))
	t.fence()
	t.WriteString(o.lines)
	t.unfence()
	if o.textCut {
		t.linef("The text of this entry was cut to keep it short; all of it is in structuredContent.")
	}
	if o.cut {
		t.linef("The answer was cut to keep it short.")
	}
	if o.NextCursor != nil {
		t.linef("There is more: call again with the same sequentialId and cursor %s", *o.NextCursor)
	}
}

// writeText writes the entry on one line, and below it what somebody wrote.
func (e *timelineEntryJSON) writeText(t *transcript) {
	var facts []string
	if e.Status != nil {
		facts = append(facts, string(*e.Status))
	}
	if e.Layer != nil {
		facts = append(facts, fmt.Sprintf("layer %d", *e.Layer))
	}
	if e.Person != nil {
		facts = append(facts, "to "+e.Person.label())
	}
	if e.Update != nil {
		facts = append(facts, string(e.Update.Visibility))
		if e.Update.Body == nil {
			facts = append(facts, "redacted")
		}
	}
	if e.Actor != nil {
		facts = append(facts, "by "+e.Actor.label())
	}
	if len(facts) == 0 {
		t.linef("%s %s", clock(e.At), e.Type)
	} else {
		t.linef("%s %s: %s", clock(e.At), e.Type, strings.Join(facts, ", "))
	}
	if e.ResolutionNote != nil {
		t.paragraph(*e.ResolutionNote)
	}
	if e.Update != nil && e.Update.Body != nil {
		t.paragraph(*e.Update.Body)
	}
}
