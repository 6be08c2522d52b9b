package store

import (
	"context"

	"github.com/google/uuid"
)

// ComponentsAfter returns at most limit components of an organization by id,
// those with a greater id than after.
func (s *Store) ComponentsAfter(ctx context.Context, orgID string, after uuid.UUID, limit int) ([]*Component, error) {
	components, err := many[Component](s.pool.Query(ctx, `
		SELECT id, name, description, group_label FROM components
		WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3`, orgID, after, limit))
	return components, wrap("listing components", err)
}
