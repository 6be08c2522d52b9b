package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Component is a part of what an organization runs. Tagging an incident with
// one describes the incident; it pages nobody.
type Component struct {
	ID          uuid.UUID
	Name        string // unique in the organization
	Description string
	GroupLabel  string // clusters components on a status page; may be empty
}

// ComponentRef names a component that an incident affects.
type ComponentRef struct {
	ID   uuid.UUID
	Name string
}

// CreateComponentTx creates a component and returns its id. c.ID is ignored.
// ErrConflict: the organization has a component of that name.
func (s *Store) CreateComponentTx(ctx context.Context, tx pgx.Tx, orgID string, c Component, now time.Time) (uuid.UUID, error) {
	id := uuid.Must(uuid.NewV7())
	_, err := tx.Exec(ctx, `
		INSERT INTO components (org_id, id, name, description, group_label, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, orgID, id, c.Name, c.Description, c.GroupLabel, now)
	if violates(err, "components_name_unique") {
		return uuid.Nil, ErrConflict
	}
	return id, wrap("creating component", err)
}

// ComponentsTx returns the components of an organization by name.
func (s *Store) ComponentsTx(ctx context.Context, tx pgx.Tx, orgID string) ([]*Component, error) {
	components, err := many[Component](tx.Query(ctx, `
		SELECT id, name, description, group_label FROM components WHERE org_id = $1 ORDER BY name`, orgID))
	return components, wrap("reading components", err)
}

// ComponentsExistTx returns those of the given components that the
// organization has, in no order.
func (s *Store) ComponentsExistTx(ctx context.Context, tx pgx.Tx, orgID string, ids []uuid.UUID) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `SELECT id FROM components WHERE org_id = $1 AND id = ANY ($2)`, orgID, ids)
	if err != nil {
		return nil, wrap("reading components by id", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	return found, wrap("reading components by id", err)
}
