package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// EventType says what happened to an incident.
type EventType string

// The events of a timeline (design §11).
const (
	EventCreated             EventType = "incident_created"
	EventStatusChanged       EventType = "status_changed"
	EventUpdatePosted        EventType = "update_posted"
	EventUpdateRedacted      EventType = "update_redacted"
	EventPageSent            EventType = "page_sent"
	EventPageFailed          EventType = "page_failed"
	EventEscalationAdvanced  EventType = "escalation_advanced"
	EventEscalationExhausted EventType = "escalation_exhausted"
	EventAcknowledged        EventType = "incident_acknowledged"
	EventHandedOff           EventType = "incident_handed_off"
	EventOwnerChanged        EventType = "owner_changed"
	EventComponentsChanged   EventType = "components_changed"
)

// IncidentEvent is one entry of an incident's history. Which of the fields
// after Via are set follows from Type.
type IncidentEvent struct {
	Type     EventType
	At       time.Time
	ActorID  *string         // nil where escalation acted by itself
	Via      *string         // the client the actor used; nil in the dashboard
	Status   *IncidentStatus // incident_created, status_changed
	Note     *string         // status_changed: the resolution note
	Layer    *int            // page_sent, escalation_advanced
	PersonID *string         // page_sent: who was paged
	UpdateID *uuid.UUID      // update_posted
}

// addEventsTx appends to the history of an incident, in the given order. The
// transaction holds the incident's row, because it created or changed it: that
// is what makes the order of an incident's events the order of their commits.
func (s *Store) addEventsTx(ctx context.Context, tx pgx.Tx, orgID string, incidentID uuid.UUID, events ...IncidentEvent) error {
	if len(events) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, e := range events {
		batch.Queue(`
			INSERT INTO incident_events (org_id, incident_id, id, type, at, actor_id, via, status, note, layer, person_id, update_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			orgID, incidentID, uuid.Must(uuid.NewV7()), e.Type, e.At, e.ActorID, e.Via, e.Status, e.Note, e.Layer, e.PersonID, e.UpdateID)
	}
	return wrap("recording history", tx.SendBatch(ctx, batch).Close())
}

// ChangeStatusTx moves an incident from one status to another; resolving it
// stops its escalation. It returns ErrConflict if the incident is not in from, so
// that of two calls at once one succeeds. Which steps are allowed is the caller's
// rule.
func (s *Store) ChangeStatusTx(ctx context.Context, tx pgx.Tx, orgID string, incidentID uuid.UUID, from, to IncidentStatus, note *string, c Change) error {
	at, err := changedAt(tx.Query(ctx, `
		UPDATE incidents
		SET status = $4, updated_at = GREATEST(updated_at, $5),
		    resolved_at = CASE WHEN $4 = 'resolved' THEN GREATEST(updated_at, $5) END,
		    next_page_at = CASE WHEN $4 = 'resolved' THEN NULL ELSE next_page_at END
		WHERE org_id = $1 AND id = $2 AND status = $3
		RETURNING updated_at`, orgID, incidentID, from, to, c.At))
	if err != nil {
		return wrap("changing status", err)
	}
	return s.addEventsTx(ctx, tx, orgID, incidentID, IncidentEvent{
		Type: EventStatusChanged, At: at, ActorID: &c.UserID, Via: c.Via, Status: &to, Note: note})
}

// AcknowledgeIncidentTx records that somebody took an open incident, and stops
// its escalation. It returns ErrConflict if the incident is resolved, or
// somebody was first.
func (s *Store) AcknowledgeIncidentTx(ctx context.Context, tx pgx.Tx, orgID string, incidentID uuid.UUID, c Change) error {
	at, err := changedAt(tx.Query(ctx, `
		UPDATE incidents
		SET acknowledged_at = GREATEST(updated_at, $3), acknowledged_by = $4, acknowledged_via = $5,
		    updated_at = GREATEST(updated_at, $3), next_page_at = NULL,
		    escalation_state = CASE escalation_state WHEN 'none' THEN 'none' ELSE 'acknowledged' END
		WHERE org_id = $1 AND id = $2 AND acknowledged_at IS NULL AND status <> 'resolved'
		RETURNING updated_at`, orgID, incidentID, c.At, c.UserID, c.Via))
	if err != nil {
		return wrap("acknowledging incident", err)
	}
	return s.addEventsTx(ctx, tx, orgID, incidentID, IncidentEvent{
		Type: EventAcknowledged, At: at, ActorID: &c.UserID, Via: c.Via})
}

// changedAt returns the updated_at of the only incident that an UPDATE changed,
// or ErrConflict if it found none in the state that it was for. Since no UPDATE
// sets it back, an event that takes its time from here is no earlier than those
// before it.
func changedAt(rows pgx.Rows, err error) (time.Time, error) {
	if err != nil {
		return time.Time{}, err
	}
	at, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[time.Time])
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, ErrConflict
	}
	return at, err
}
