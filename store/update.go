package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Visibility is who may read an update.
type Visibility string

// The visibilities.
const (
	VisibilityInternal Visibility = "internal" // members
	VisibilityPublic   Visibility = "public"   // everybody, on the status page
)

// Visibilities returns every visibility.
func Visibilities() []Visibility {
	return []Visibility{VisibilityInternal, VisibilityPublic}
}

// Update is something that was said about an incident, without its words.
type Update struct {
	ID         uuid.UUID
	Visibility Visibility
	PostedBy   Actor
	PostedAt   time.Time
}

// updateRow is Update as it is read.
type updateRow struct {
	ID          uuid.UUID
	Visibility  Visibility
	PostedBy    string
	PosterName  string
	PosterEmail string
	PostedVia   *string
	PostedAt    time.Time
}

func (r *updateRow) update() *Update {
	return &Update{
		ID: r.ID, Visibility: r.Visibility, PostedAt: r.PostedAt,
		PostedBy: Actor{Person{r.PostedBy, r.PosterName, r.PosterEmail}, r.PostedVia},
	}
}

// PostUpdateTx appends an update to an open incident, or returns ErrConflict if
// the incident is resolved. Whether the incident has a public surface is the
// caller's rule. The first public update makes the incident public, title
// included, for good.
//
// It is posted at c.At, or with the last event where that is later: the time of
// a timeline never goes back.
func (s *Store) PostUpdateTx(ctx context.Context, tx pgx.Tx, orgID string, incidentID uuid.UUID, body string, v Visibility, c Change) (*Update, error) {
	row, err := one[updateRow](tx.Query(ctx, `
		WITH incident AS (
			UPDATE incidents
			SET updated_at = GREATEST(updated_at, $3),
			    public_at = CASE WHEN $6 = 'public' THEN COALESCE(public_at, GREATEST(updated_at, $3)) ELSE public_at END
			WHERE org_id = $1 AND id = $2 AND status <> 'resolved'
			RETURNING updated_at
		), posted AS (
			INSERT INTO incident_updates (org_id, incident_id, id, body, visibility, posted_by, posted_via, posted_at)
			SELECT $1, $2, $4, $5, $6, $7, $8, updated_at FROM incident
		), event AS (
			INSERT INTO incident_events (org_id, incident_id, id, type, at, actor_id, via, update_id)
			SELECT $1, $2, $9, 'update_posted', updated_at, $7, $8, $4 FROM incident
			RETURNING at, update_id, actor_id, via
		)
		SELECT e.update_id AS id, $6 AS visibility, e.actor_id AS posted_by, e.via AS posted_via, e.at AS posted_at,
		       u.name AS poster_name, u.email AS poster_email
		FROM event e JOIN users u ON u.id = e.actor_id`,
		orgID, incidentID, c.At, uuid.Must(uuid.NewV7()), body, v, c.UserID, c.Via, uuid.Must(uuid.NewV7())))
	if errors.Is(err, ErrNotFound) {
		return nil, ErrConflict
	}
	if err != nil {
		return nil, wrap("posting update", err)
	}
	return row.update(), nil
}

// Update returns an update of an organization's incident, or ErrNotFound.
func (s *Store) Update(ctx context.Context, orgID string, incidentID, id uuid.UUID) (*Update, error) {
	row, err := one[updateRow](s.pool.Query(ctx, `
		SELECT p.id, p.visibility, p.posted_by, p.posted_via, p.posted_at, u.name AS poster_name, u.email AS poster_email
		FROM incident_updates p JOIN users u ON u.id = p.posted_by
		WHERE p.org_id = $1 AND p.incident_id = $2 AND p.id = $3`, orgID, incidentID, id))
	if err != nil {
		return nil, wrap("reading update", err)
	}
	return row.update(), nil
}

// SpendConfirmationTx uses up the answer to a question for confirmation, or
// returns ErrConflict if it was used before. It is kept until it has expired.
func (s *Store) SpendConfirmationTx(ctx context.Context, tx pgx.Tx, orgID string, nonce uuid.UUID, expiresAt time.Time) error {
	return spendConfirmation(ctx, tx, orgID, nonce, expiresAt)
}

// SpendConfirmation does so by itself, for an answer that leads to nothing.
func (s *Store) SpendConfirmation(ctx context.Context, orgID string, nonce uuid.UUID, expiresAt time.Time) error {
	return spendConfirmation(ctx, s.pool, orgID, nonce, expiresAt)
}

func spendConfirmation(ctx context.Context, q querier, orgID string, nonce uuid.UUID, expiresAt time.Time) error {
	tag, err := q.Exec(ctx, `
		INSERT INTO spent_confirmations (org_id, nonce, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (org_id, nonce) DO NOTHING`, orgID, nonce, expiresAt)
	if err == nil && tag.RowsAffected() == 0 {
		return ErrConflict
	}
	return wrap("spending confirmation", err)
}
