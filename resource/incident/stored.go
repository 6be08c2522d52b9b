package incident

import (
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// What idempotency keys keep in the database for a day, across releases: the
// result of a call, and a hash of its arguments. The names of the members are
// part of that and stay as they are, whatever the Go types are called.

type storedIncident struct {
	ID                 uuid.UUID            `json:"id"`
	OrgID              string               `json:"orgId"`
	SequentialID       int                  `json:"sequentialId"`
	Title              string               `json:"title"`
	Description        string               `json:"description"`
	Severity           store.Severity       `json:"severity"`
	Status             store.IncidentStatus `json:"status"`
	Owner              *storedPerson        `json:"owner"`
	EscalationPolicyID *uuid.UUID           `json:"escalationPolicyId"`
	AffectedComponents []storedComponent    `json:"affectedComponents"`
	AcknowledgedAt     *time.Time           `json:"acknowledgedAt"`
	PublicAt           *time.Time           `json:"publicAt,omitempty"`
	CreatedBy          storedPerson         `json:"createdBy"`
	CreatedVia         *string              `json:"createdVia"`
	CreatedAt          time.Time            `json:"createdAt"`
	UpdatedAt          time.Time            `json:"updatedAt"`
	ResolvedAt         *time.Time           `json:"resolvedAt"`
}

type storedPerson struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type storedComponent struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
}

func newStoredIncident(i *store.Incident) storedIncident {
	stored := storedIncident{
		ID: i.ID, OrgID: i.OrgID, SequentialID: i.SequentialID,
		Title: i.Title, Description: i.Description, Severity: i.Severity, Status: i.Status,
		Owner: (*storedPerson)(i.Owner), EscalationPolicyID: i.EscalationPolicyID,
		AffectedComponents: make([]storedComponent, len(i.AffectedComponents)),
		AcknowledgedAt:     i.AcknowledgedAt, PublicAt: i.PublicAt, CreatedBy: storedPerson(i.CreatedBy.Person), CreatedVia: i.CreatedBy.Via,
		CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt, ResolvedAt: i.ResolvedAt,
	}
	for n, component := range i.AffectedComponents {
		stored.AffectedComponents[n] = storedComponent(component)
	}
	return stored
}

func (i *storedIncident) incident() *store.Incident {
	incident := &store.Incident{
		ID: i.ID, OrgID: i.OrgID, SequentialID: i.SequentialID,
		Title: i.Title, Description: i.Description, Severity: i.Severity, Status: i.Status,
		Owner: (*store.Person)(i.Owner), EscalationPolicyID: i.EscalationPolicyID,
		AffectedComponents: make([]store.ComponentRef, len(i.AffectedComponents)),
		AcknowledgedAt:     i.AcknowledgedAt, PublicAt: i.PublicAt, CreatedBy: store.Actor{Person: store.Person(i.CreatedBy), Via: i.CreatedVia},
		CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt, ResolvedAt: i.ResolvedAt,
	}
	for n, component := range i.AffectedComponents {
		incident.AffectedComponents[n] = store.ComponentRef(component)
	}
	return incident
}

// storedCreate is the canonical form of Create: what was left out and what was
// given empty are the same.
type storedCreate struct {
	Title              string   `json:"title"`
	Severity           string   `json:"severity"`
	Description        string   `json:"description,omitempty"`
	OwnerID            string   `json:"ownerId,omitempty"`
	OwnerScheduleID    string   `json:"ownerScheduleId,omitempty"`
	EscalationPolicyID string   `json:"escalationPolicyId,omitempty"`
	ComponentIDs       []string `json:"componentIds,omitempty"`
}

// storedCreated is Created, but for whether it is a replay. So are those below.
type storedCreated struct {
	Incident storedIncident `json:"incident"`
	Paged    []storedPerson `json:"paged"`
}

func newStoredCreated(c *Created) storedCreated {
	stored := storedCreated{newStoredIncident(c.Incident), make([]storedPerson, len(c.Paged))}
	for n, person := range c.Paged {
		stored.Paged[n] = storedPerson(person)
	}
	return stored
}

func (c *storedCreated) created() *Created {
	created := &Created{Incident: c.Incident.incident(), Paged: make([]store.Person, len(c.Paged))}
	for n, person := range c.Paged {
		created.Paged[n] = store.Person(person)
	}
	return created
}

// storedMove is the canonical form of a call that moves an incident on.
type storedMove struct {
	SequentialID   int    `json:"sequentialId"`
	Status         string `json:"status,omitempty"`
	ResolutionNote string `json:"resolutionNote,omitempty"`
}

type storedAcknowledged struct {
	Incident storedIncident `json:"incident"`
	Already  bool           `json:"alreadyAcknowledged"`
}

func newStoredAcknowledged(a *Acknowledged) storedAcknowledged {
	return storedAcknowledged{newStoredIncident(a.Incident), a.Already}
}

func (a *storedAcknowledged) acknowledged() *Acknowledged {
	return &Acknowledged{Incident: a.Incident.incident(), Already: a.Already}
}

type storedTransitioned struct {
	Incident storedIncident `json:"incident"`
	Changed  bool           `json:"changed"`
}

func newStoredTransitioned(t *Transitioned) storedTransitioned {
	return storedTransitioned{newStoredIncident(t.Incident), t.Changed}
}

func (t *storedTransitioned) transitioned() *Transitioned {
	return &Transitioned{Incident: t.Incident.incident(), Changed: t.Changed}
}

type storedResolved struct {
	Incident    storedIncident       `json:"incident"`
	Transitions []storedStatusChange `json:"transitions"`
	Already     bool                 `json:"alreadyResolved"`
}

type storedStatusChange struct {
	Status         store.IncidentStatus `json:"status"`
	ChangedAt      time.Time            `json:"changedAt"`
	ResolutionNote *string              `json:"resolutionNote"`
}

func newStoredResolved(r *Resolved) storedResolved {
	stored := storedResolved{newStoredIncident(r.Incident), make([]storedStatusChange, len(r.Transitions)), r.Already}
	for n, step := range r.Transitions {
		stored.Transitions[n] = storedStatusChange(step)
	}
	return stored
}

func (r *storedResolved) resolved() *Resolved {
	resolved := &Resolved{Incident: r.Incident.incident(), Transitions: make([]store.StatusChange, len(r.Transitions)), Already: r.Already}
	for n, step := range r.Transitions {
		resolved.Transitions[n] = store.StatusChange(step)
	}
	return resolved
}
