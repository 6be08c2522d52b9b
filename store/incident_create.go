package store

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrBusy: another transaction holds what this one needs and does not end. The
// same call may succeed a moment later.
var ErrBusy = errors.New("held by another transaction")

// createWait is how long a creation waits for those of the same organization
// that began before it. They take milliseconds each; whoever waits longer waits
// for something that is stuck, and holds a connection of the pool meanwhile.
const createWait = 3 * time.Second

// Change is who changes something, through which client, and when.
type Change struct {
	UserID string
	Via    *string // the client's name; nil in the dashboard
	At     time.Time
}

// NewIncident is an incident that does not exist yet.
type NewIncident struct {
	OrgID              string
	Title              string
	Description        string
	Severity           Severity
	OwnerID            *string
	EscalationPolicyID *uuid.UUID
	ComponentIDs       []uuid.UUID // distinct components of the organization
	Public             bool        // strangers may know of it, title included, from the beginning
}

// CreateIncidentTx creates an incident under investigation with the next
// number of its organization, and records its creation. Nobody is paged by it.
//
// Until the transaction ends, no other incident of the organization can be
// created: call it late. ErrNotFound: a component is not the organization's.
// ErrBusy: others that are being created did not end within createWait.
func (s *Store) CreateIncidentTx(ctx context.Context, tx pgx.Tx, n NewIncident, c Change) (*Incident, error) {
	id := uuid.Must(uuid.NewV7())
	components := n.ComponentIDs
	if components == nil {
		components = []uuid.UUID{}
	}
	batch := &pgx.Batch{}
	batch.Queue(`SELECT set_config('lock_timeout', $1, true)`, strconv.FormatInt(createWait.Milliseconds(), 10))
	batch.Queue(`
		WITH counter AS (
			INSERT INTO incident_counters (org_id, last_sequential_id, last_created_at)
			VALUES ($1, 1, $9)
			ON CONFLICT (org_id) DO UPDATE
			SET last_sequential_id = incident_counters.last_sequential_id + 1,
			    last_created_at = GREATEST(incident_counters.last_created_at, $9)
			RETURNING last_sequential_id, last_created_at
		), incident AS (
			INSERT INTO incidents (org_id, id, sequential_id, title, description, severity, status, owner_id,
			                       escalation_policy_id, created_by, created_via, created_at, updated_at, public_at)
			SELECT $1, $2, last_sequential_id, $3, $4, $5, 'investigating', $6, $7, $8, $10, last_created_at, last_created_at,
			       CASE WHEN $13 THEN last_created_at END
			FROM counter
			RETURNING created_at
		), tagged AS (
			INSERT INTO incident_components (org_id, incident_id, component_id)
			SELECT $1, $2, unnest($11::uuid[])
		)
		INSERT INTO incident_events (org_id, incident_id, id, type, at, actor_id, via, status)
		SELECT $1, $2, $12, 'incident_created', created_at, $8, $10, 'investigating' FROM incident`,
		n.OrgID, id, n.Title, n.Description, n.Severity, n.OwnerID, n.EscalationPolicyID, c.UserID, c.At, c.Via,
		components, uuid.Must(uuid.NewV7()), n.Public)
	batch.Queue(`SET LOCAL lock_timeout = DEFAULT`) // what else the caller does is not bounded
	err := tx.SendBatch(ctx, batch).Close()
	if violates(err, "incident_components_component") {
		return nil, ErrNotFound
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == lockNotAvailable {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, wrap("creating incident", err)
	}
	return s.IncidentTx(ctx, tx, n.OrgID, id)
}
