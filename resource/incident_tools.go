package resource

import (
	"context"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// incidentJSON is an incident on the wire (design §11).
type incidentJSON struct {
	ID                 uuid.UUID            `json:"id"`
	SequentialID       int                  `json:"sequentialId"`
	Title              string               `json:"title"`
	Severity           store.Severity       `json:"severity"`
	Status             store.IncidentStatus `json:"status"`
	Owner              *personJSON          `json:"owner"`
	EscalationPolicyID *uuid.UUID           `json:"escalationPolicyId"`
	AffectedComponents []componentJSON      `json:"affectedComponents"`
	AcknowledgedAt     *time.Time           `json:"acknowledgedAt"`
	CreatedBy          actorJSON            `json:"createdBy"`
	CreatedAt          time.Time            `json:"createdAt"`
	UpdatedAt          time.Time            `json:"updatedAt"`
	ResolvedAt         *time.Time           `json:"resolvedAt"`
	URL                string               `json:"url"`
}

type personJSON struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// actorJSON is a person and the client that they acted through, null in the
// dashboard.
type actorJSON struct {
	ID    string  `json:"id"`
	Name  string  `json:"name"`
	Email string  `json:"email"`
	Via   *string `json:"via"`
}

type componentJSON struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
}

func (s *Server) incidentJSON(i *store.Incident) incidentJSON {
	j := incidentJSON{
		ID: i.ID, SequentialID: i.SequentialID, Title: i.Title, Severity: i.Severity, Status: i.Status,
		EscalationPolicyID: i.EscalationPolicyID, AffectedComponents: make([]componentJSON, len(i.AffectedComponents)),
		AcknowledgedAt: inUTC(i.AcknowledgedAt), CreatedBy: newActorJSON(i.CreatedBy),
		CreatedAt: i.CreatedAt.UTC(), UpdatedAt: i.UpdatedAt.UTC(), ResolvedAt: inUTC(i.ResolvedAt),
		URL: s.Incidents.URL(i),
	}
	if i.Owner != nil {
		j.Owner = new(personJSON(*i.Owner))
	}
	for n, c := range i.AffectedComponents {
		j.AffectedComponents[n] = componentJSON(c)
	}
	return j
}

func newActorJSON(a store.Actor) actorJSON {
	return actorJSON{ID: a.ID, Name: a.Name, Email: a.Email, Via: a.Via}
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

type listIncidentsInput struct {
	Status   store.IncidentStatus `json:"status,omitempty" jsonschema:"only incidents in this status"`
	Severity store.Severity       `json:"severity,omitempty" jsonschema:"only incidents of this severity"`
	From     string               `json:"from,omitempty" jsonschema:"only incidents created at or after this RFC 3339 instant, or from the beginning of this date in UTC"`
	To       string               `json:"to,omitempty" jsonschema:"only incidents created at or before this RFC 3339 instant, or to the end of this date in UTC"`
	Limit    pageSize             `json:"limit,omitempty" jsonschema:"how many incidents to return"`
	Cursor   string               `json:"cursor,omitempty" jsonschema:"nextCursor of the previous page of the same filters"`
}

type listIncidentsOutput struct {
	Incidents  []incidentJSON `json:"incidents"`
	NextCursor *string        `json:"nextCursor"`
	lines      string         // the incidents as text, see render
	cut        bool           // there was no room for all that were asked for
}

func (s *Server) listIncidents(ctx context.Context, c *call, in listIncidentsInput) (*listIncidentsOutput, error) {
	query := incident.ListQuery{
		Status: string(in.Status), Severity: string(in.Severity), From: in.From, To: in.To,
		Limit: new(int(in.Limit)), Cursor: in.Cursor,
	}
	page, err := s.Incidents.List(ctx, c.claims.OrgID, query)
	if err != nil {
		return nil, err
	}
	out := &listIncidentsOutput{Incidents: make([]incidentJSON, len(page.Incidents))}
	for n, i := range page.Incidents {
		out.Incidents[n] = s.incidentJSON(i)
	}
	if n := out.render(); n < len(out.Incidents) {
		page, out.Incidents, out.cut = page.First(n), out.Incidents[:n], true
	}
	if page.NextCursor != "" {
		out.NextCursor = &page.NextCursor
	}
	return out, nil
}

type getIncidentInput struct {
	SequentialID sequentialID `json:"sequentialId" jsonschema:"the incident's number within the organization"`
}

type getIncidentOutput struct {
	Incident incidentDetailsJSON `json:"incident"`
}

type incidentDetailsJSON struct {
	incidentJSON
	Description   string             `json:"description"`
	StatusHistory []statusChangeJSON `json:"statusHistory"`
	Escalation    escalationJSON     `json:"escalation"`
}

type statusChangeJSON struct {
	Status         store.IncidentStatus `json:"status"`
	ChangedAt      time.Time            `json:"changedAt"`
	ResolutionNote *string              `json:"resolutionNote"`
}

func statusChangesJSON(changes []store.StatusChange) []statusChangeJSON {
	list := make([]statusChangeJSON, len(changes))
	for n, c := range changes {
		list[n] = statusChangeJSON{c.Status, c.ChangedAt.UTC(), c.ResolutionNote}
	}
	return list
}

type escalationJSON struct {
	State          store.EscalationState `json:"state"`
	Layer          *int                  `json:"layer"`
	NextPageAt     *time.Time            `json:"nextPageAt"`
	AcknowledgedAt *time.Time            `json:"acknowledgedAt"`
	AcknowledgedBy *actorJSON            `json:"acknowledgedBy"`
}

func (s *Server) getIncident(ctx context.Context, c *call, in getIncidentInput) (*getIncidentOutput, error) {
	d, err := s.Incidents.Get(ctx, c.claims.OrgID, int(in.SequentialID))
	if err != nil {
		return nil, err
	}
	out := &getIncidentOutput{incidentDetailsJSON{
		incidentJSON:  s.incidentJSON(&d.Incident),
		Description:   d.Description,
		StatusHistory: statusChangesJSON(d.StatusHistory),
		Escalation: escalationJSON{
			State: d.Escalation.State, Layer: d.Escalation.Layer,
			NextPageAt: inUTC(d.Escalation.NextPageAt), AcknowledgedAt: inUTC(d.Escalation.AcknowledgedAt),
		},
	}}
	if by := d.Escalation.AcknowledgedBy; by != nil {
		out.Incident.Escalation.AcknowledgedBy = new(newActorJSON(*by))
	}
	return out, nil
}

type createIncidentInput struct {
	Title              incidentTitle  `json:"title" jsonschema:"what is wrong, in a few words"`
	Severity           store.Severity `json:"severity" jsonschema:"critical: full outage or data loss for everyone. high: a major feature is broken. medium: partial or intermittent. low: minor, can wait for working hours"`
	Description        longText       `json:"description,omitempty" jsonschema:"what is known so far"`
	OwnerID            string         `json:"ownerId,omitempty" jsonschema:"id of the member who owns the incident"`
	OwnerScheduleID    string         `json:"ownerScheduleId,omitempty" jsonschema:"id of the on-call schedule whose current person owns the incident; its escalation policy is attached"`
	EscalationPolicyID string         `json:"escalationPolicyId,omitempty" jsonschema:"id of the escalation policy whose first layer is paged at once"`
	ComponentIDs       componentIDs   `json:"componentIds,omitempty" jsonschema:"ids of the affected components, each once"`
	IdempotencyKey     idempotencyKey `json:"idempotencyKey,omitempty" jsonschema:"a value of your own, up to 255 visible ASCII characters, new for each incident; repeating the call with it returns the first result"`
}

type createIncidentOutput struct {
	Incident incidentJSON `json:"incident"`
	Paged    []personJSON `json:"paged"`
	Replayed bool         `json:"replayed"`
}

func (s *Server) createIncident(ctx context.Context, c *call, in createIncidentInput) (*createIncidentOutput, error) {
	actor, err := s.actor(ctx, c)
	if err != nil {
		return nil, err
	}
	created, err := s.Incidents.Create(ctx, actor,
		incident.Create{
			Title: string(in.Title), Severity: string(in.Severity), Description: string(in.Description),
			OwnerID: in.OwnerID, OwnerScheduleID: in.OwnerScheduleID, EscalationPolicyID: in.EscalationPolicyID,
			ComponentIDs: in.ComponentIDs,
		}, string(in.IdempotencyKey))
	if err != nil {
		return nil, err
	}
	out := &createIncidentOutput{
		Incident: s.incidentJSON(created.Incident),
		Paged:    make([]personJSON, len(created.Paged)),
		Replayed: created.Replayed,
	}
	for n, p := range created.Paged {
		out.Paged[n] = personJSON(p)
	}
	return out, nil
}
