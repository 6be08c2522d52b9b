package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// EscalationPolicy says whom to page for an incident, layer by layer, until
// somebody acknowledges.
type EscalationPolicy struct {
	ID          uuid.UUID
	Name        string // unique in the organization
	Description string
	CreatedAt   time.Time
	Layers      []*EscalationLayer `db:"-"` // in the order they are paged; may be empty
}

// EscalationLayer is whom to page at once, and how long to wait for them. It
// targets a schedule or people, never both.
type EscalationLayer struct {
	Position          int // from 1
	AckTimeoutMinutes int
	ScheduleID        *uuid.UUID
	UserIDs           []string
}

// CreateEscalationPolicyTx creates a policy with its layers and returns its id.
// p.ID and p.CreatedAt are ignored, and so are the positions of layers: they
// count as listed. ErrConflict: the organization has a policy of that name.
// ErrNotFound: a layer's schedule is not the organization's.
func (s *Store) CreateEscalationPolicyTx(ctx context.Context, tx pgx.Tx, orgID string, p EscalationPolicy, c Change) (uuid.UUID, error) {
	id := uuid.Must(uuid.NewV7())
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO escalation_policies (org_id, id, name, description, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, orgID, id, p.Name, p.Description, c.UserID, c.At)
	for i, l := range p.Layers {
		batch.Queue(`
			INSERT INTO escalation_layers (org_id, policy_id, id, position, ack_timeout_minutes, schedule_id, user_ids)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			orgID, id, uuid.Must(uuid.NewV7()), i+1, l.AckTimeoutMinutes, l.ScheduleID, l.UserIDs)
	}
	err := tx.SendBatch(ctx, batch).Close()
	if violates(err, "escalation_policies_name_unique") {
		return uuid.Nil, ErrConflict
	}
	if violates(err, "escalation_layers_schedule") {
		return uuid.Nil, ErrNotFound
	}
	return id, wrap("creating escalation policy", err)
}

// EscalationPolicyTx returns a policy, or ErrNotFound.
func (s *Store) EscalationPolicyTx(ctx context.Context, tx pgx.Tx, orgID string, id uuid.UUID) (*EscalationPolicy, error) {
	p, err := one[EscalationPolicy](tx.Query(ctx, `
		SELECT id, name, description, created_at FROM escalation_policies WHERE org_id = $1 AND id = $2`, orgID, id))
	if err != nil {
		return nil, wrap("reading escalation policy", err)
	}
	p.Layers, err = many[EscalationLayer](tx.Query(ctx, `
		SELECT position, ack_timeout_minutes, schedule_id, user_ids
		FROM escalation_layers WHERE org_id = $1 AND policy_id = $2 ORDER BY position`, orgID, id))
	return p, wrap("reading escalation layers", err)
}

// MatchingEscalationPolicyTx returns the id of the policy that goes with a
// schedule: of those whose first layer targets it the oldest, else of those
// that target it at all the oldest, else ErrNotFound.
func (s *Store) MatchingEscalationPolicyTx(ctx context.Context, tx pgx.Tx, orgID string, scheduleID uuid.UUID) (uuid.UUID, error) {
	p, err := one[struct{ ID uuid.UUID }](tx.Query(ctx, `
		SELECT p.id
		FROM escalation_layers l
		JOIN escalation_policies p ON p.org_id = l.org_id AND p.id = l.policy_id
		WHERE l.org_id = $1 AND l.schedule_id = $2
		ORDER BY EXISTS (SELECT FROM escalation_layers before
		                 WHERE before.org_id = $1 AND before.policy_id = p.id AND before.position < l.position),
		         p.created_at, p.id
		LIMIT 1`, orgID, scheduleID))
	if err != nil {
		return uuid.Nil, wrap("matching escalation policy", err)
	}
	return p.ID, nil
}
