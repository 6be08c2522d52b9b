package incident

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// What idempotency keys keep in the database for a day, across releases: the
// result of a creation, and a hash of its arguments. The names of the members
// are part of that and stay as they are, whatever the Go types are called.

// storedArguments is the canonical form of Create: what was left out and what
// was given empty are the same.
type storedArguments struct {
	Title              string   `json:"title"`
	Severity           string   `json:"severity"`
	Description        string   `json:"description,omitempty"`
	OwnerID            string   `json:"ownerId,omitempty"`
	OwnerScheduleID    string   `json:"ownerScheduleId,omitempty"`
	EscalationPolicyID string   `json:"escalationPolicyId,omitempty"`
	ComponentIDs       []string `json:"componentIds,omitempty"`
}

// key is the idempotency key of this call.
func (in Create) key(a Actor, idempotencyKey string) (store.IdempotencyKey, error) {
	canonical, err := json.Marshal(storedArguments(in))
	if err != nil {
		return store.IdempotencyKey{}, fmt.Errorf("incident: hashing arguments: %w", err)
	}
	return store.IdempotencyKey{
		OrgID: a.OrgID, UserID: a.UserID, Tool: "create_incident", Key: idempotencyKey, ArgumentsHash: sha256.Sum256(canonical),
	}, nil
}

// storedCreated is Created, but for whether it is a replay.
type storedCreated struct {
	Incident storedIncident `json:"incident"`
	Paged    []storedPerson `json:"paged"`
}

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

// encode returns c as it is stored.
func (c *Created) encode() ([]byte, error) {
	i := c.Incident
	stored := storedCreated{
		Incident: storedIncident{
			ID: i.ID, OrgID: i.OrgID, SequentialID: i.SequentialID,
			Title: i.Title, Description: i.Description, Severity: i.Severity, Status: i.Status,
			Owner: (*storedPerson)(i.Owner), EscalationPolicyID: i.EscalationPolicyID,
			AffectedComponents: make([]storedComponent, len(i.AffectedComponents)),
			AcknowledgedAt:     i.AcknowledgedAt, CreatedBy: storedPerson(i.CreatedBy.Person), CreatedVia: i.CreatedBy.Via,
			CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt, ResolvedAt: i.ResolvedAt,
		},
		Paged: make([]storedPerson, len(c.Paged)),
	}
	for n, component := range i.AffectedComponents {
		stored.Incident.AffectedComponents[n] = storedComponent(component)
	}
	for n, person := range c.Paged {
		stored.Paged[n] = storedPerson(person)
	}
	result, err := json.Marshal(stored)
	if err != nil {
		return nil, fmt.Errorf("incident: encoding the result: %w", err)
	}
	return result, nil
}

// decodeCreated reads what encode returned.
func decodeCreated(result []byte) (*Created, error) {
	var stored storedCreated
	if err := json.Unmarshal(result, &stored); err != nil {
		return nil, fmt.Errorf("incident: reading the result: %w", err)
	}
	i := stored.Incident
	c := &Created{
		Incident: &store.Incident{
			ID: i.ID, OrgID: i.OrgID, SequentialID: i.SequentialID,
			Title: i.Title, Description: i.Description, Severity: i.Severity, Status: i.Status,
			Owner: (*store.Person)(i.Owner), EscalationPolicyID: i.EscalationPolicyID,
			AffectedComponents: make([]store.ComponentRef, len(i.AffectedComponents)),
			AcknowledgedAt:     i.AcknowledgedAt, CreatedBy: store.Actor{Person: store.Person(i.CreatedBy), Via: i.CreatedVia},
			CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt, ResolvedAt: i.ResolvedAt,
		},
		Paged: make([]store.Person, len(stored.Paged)),
	}
	for n, component := range i.AffectedComponents {
		c.Incident.AffectedComponents[n] = store.ComponentRef(component)
	}
	for n, person := range stored.Paged {
		c.Paged[n] = store.Person(person)
	}
	return c, nil
}
