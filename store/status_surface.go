package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// statusSurface is a LEFT JOIN's condition for the published status page, as
// page, that shows the incident i: one that has a component which it affects.
const statusSurface = `
	page.org_id = i.org_id AND page.published AND EXISTS (
		SELECT FROM status_page_components shown
		JOIN incident_components affected ON affected.org_id = shown.org_id AND affected.component_id = shown.component_id
		WHERE shown.org_id = i.org_id AND affected.incident_id = i.id)`

// StatusSurfaceTx returns the slug of the published status page that shows what
// is public of an incident, or ErrNotFound where none does.
func (s *Store) StatusSurfaceTx(ctx context.Context, tx pgx.Tx, orgID string, incidentID uuid.UUID) (slug string, err error) {
	row, err := one[struct{ Slug string }](tx.Query(ctx, `
		SELECT page.slug FROM incidents i JOIN status_pages page ON `+statusSurface+`
		WHERE i.org_id = $1 AND i.id = $2`, orgID, incidentID))
	if err != nil {
		return "", wrap("looking for a status page", err)
	}
	return row.Slug, nil
}
