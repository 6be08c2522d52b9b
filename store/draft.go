package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// DraftLifetime is how long a draft waits for its author.
const DraftLifetime = 24 * time.Hour

// confirmationsKept is how long after its expiry an answer that was used is
// remembered: more than the clocks of two replicas may differ by.
const confirmationsKept = time.Hour

// draftsKept is how long after its end a draft can still be looked at, by an
// author who comes late and wants to know what happened.
const draftsKept = 7 * 24 * time.Hour

// NewDraft is a public update that has no author's word yet.
type NewDraft struct {
	OrgID      string
	IncidentID uuid.UUID
	Body       string
	BodyHash   [32]byte // SHA-256
	AuthorID   string
	Via        string // the client's name
	At         time.Time
}

// DraftState is what became of a draft.
type DraftState string

// The states of a draft.
const (
	DraftWaiting   DraftState = "waiting"
	DraftPublished DraftState = "published"
	DraftDiscarded DraftState = "discarded"
	DraftExpired   DraftState = "expired"
)

// Draft is a public update that its author publishes in the dashboard, or does
// not, with what decides whether they can.
type Draft struct {
	OrgID       string
	ID          uuid.UUID
	Body        string
	AuthorID    string
	Via         string // the client's name
	CreatedAt   time.Time
	ExpiresAt   time.Time
	PublishedAt *time.Time
	UpdateID    *uuid.UUID // of the update that it became
	DiscardedAt *time.Time

	IncidentID     uuid.UUID
	SequentialID   int
	Title          string
	IncidentStatus IncidentStatus
	PublicAt       *time.Time // of the incident
	Rule           PublicUpdates
	ReadOnly       bool    // the organization lets clients change nothing
	StatusPage     *string // slug of the page that would show it; nil: there is none
}

// State returns what had become of the draft at an instant.
func (d *Draft) State(now time.Time) DraftState {
	switch {
	case d.PublishedAt != nil:
		return DraftPublished
	case d.DiscardedAt != nil:
		return DraftDiscarded
	case !now.Before(d.ExpiresAt):
		return DraftExpired
	}
	return DraftWaiting
}

// Publishable reports whether the author could publish the draft at an instant.
func (d *Draft) Publishable(now time.Time) bool {
	return d.State(now) == DraftWaiting && d.Rule != PublicUpdatesNever && !d.ReadOnly && d.IncidentStatus != StatusResolved && d.StatusPage != nil
}

// DraftOfTextTx returns the draft that an author has of a text for an incident,
// whatever became of it, or ErrNotFound where there is none that has not
// expired. The transaction holds the incident's row (LockIncidentTx).
func (s *Store) DraftOfTextTx(ctx context.Context, tx pgx.Tx, n NewDraft) (id uuid.UUID, decided bool, err error) {
	row, err := one[struct {
		ID      uuid.UUID
		Decided bool
	}](tx.Query(ctx, `
		SELECT id, published_at IS NOT NULL OR discarded_at IS NOT NULL AS decided
		FROM update_drafts
		WHERE org_id = $1 AND incident_id = $2 AND author_id = $3 AND body_hash = $4 AND expires_at > $5`,
		n.OrgID, n.IncidentID, n.AuthorID, n.BodyHash[:], n.At))
	if err != nil {
		return uuid.Nil, false, wrap("looking for a draft", err)
	}
	return row.ID, row.Decided, nil
}

// KeepDraftTx keeps a draft and returns its id, or ErrConflict if there is one of
// the same text. The transaction holds the incident's row (LockIncidentTx).
func (s *Store) KeepDraftTx(ctx context.Context, tx pgx.Tx, n NewDraft) (uuid.UUID, error) {
	row, err := one[struct{ ID uuid.UUID }](tx.Query(ctx, `
		INSERT INTO update_drafts (org_id, id, incident_id, body, body_hash, author_id, via, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT ON CONSTRAINT update_drafts_text_unique DO UPDATE
		SET id = excluded.id, via = excluded.via, created_at = excluded.created_at, expires_at = excluded.expires_at,
		    published_at = NULL, update_id = NULL, discarded_at = NULL
		WHERE update_drafts.expires_at <= excluded.created_at
		RETURNING id`,
		n.OrgID, uuid.Must(uuid.NewV7()), n.IncidentID, n.Body, n.BodyHash[:], n.AuthorID, n.Via, n.At, n.At.Add(DraftLifetime)))
	if errors.Is(err, ErrNotFound) {
		return uuid.Nil, ErrConflict
	}
	if err != nil {
		return uuid.Nil, wrap("keeping draft", err)
	}
	return row.ID, nil
}

// Draft returns a draft that a person wrote in one of the given organizations,
// else ErrNotFound.
func (s *Store) Draft(ctx context.Context, orgIDs []string, authorID string, id uuid.UUID) (*Draft, error) {
	d, err := readDraft(ctx, s.pool, orgIDs, authorID, id)
	return d, wrap("reading draft", err)
}

// LockDraftTx returns a draft whose incident nobody else can change before the
// transaction ends. Incidents are locked before drafts, here and by whoever
// keeps one, so that neither waits for the other.
func (s *Store) LockDraftTx(ctx context.Context, tx pgx.Tx, orgID, authorID string, id uuid.UUID) (*Draft, error) {
	_, err := one[struct{ ID uuid.UUID }](tx.Query(ctx, `
		SELECT i.id FROM update_drafts d JOIN incidents i ON i.org_id = d.org_id AND i.id = d.incident_id
		WHERE d.org_id = $1 AND d.author_id = $2 AND d.id = $3
		FOR NO KEY UPDATE OF i`, orgID, authorID, id))
	if err != nil {
		return nil, wrap("locking draft", err)
	}
	d, err := readDraft(ctx, tx, []string{orgID}, authorID, id)
	return d, wrap("reading draft", err)
}

// DraftsShownFor is how long a draft that was decided on, or has expired, stays
// in its author's list.
const DraftsShownFor = 24 * time.Hour

// DraftsOf returns the drafts that a person wrote in the given organizations and
// that wait, or did within DraftsShownFor. The newest come first.
func (s *Store) DraftsOf(ctx context.Context, orgIDs []string, authorID string, now time.Time) ([]*Draft, error) {
	ds, err := many[Draft](s.pool.Query(ctx, draftColumns+`
		WHERE d.org_id = ANY ($1) AND d.author_id = $2
		  AND COALESCE(d.published_at, d.discarded_at, d.expires_at) > $3
		ORDER BY d.created_at DESC, d.id DESC`, orgIDs, authorID, now.Add(-DraftsShownFor)))
	return ds, wrap("listing drafts", err)
}

func readDraft(ctx context.Context, q querier, orgIDs []string, authorID string, id uuid.UUID) (*Draft, error) {
	return one[Draft](q.Query(ctx, draftColumns+`
		WHERE d.org_id = ANY ($1) AND d.author_id = $2 AND d.id = $3`, orgIDs, authorID, id))
}

const draftColumns = `
		SELECT d.org_id, d.id, d.body, d.author_id, d.via, d.created_at, d.expires_at, d.published_at, d.update_id, d.discarded_at,
		       i.id AS incident_id, i.sequential_id, i.title, i.status AS incident_status, i.public_at,
		       COALESCE(p.public_updates, 'confirm_when_possible') AS rule, COALESCE(p.read_only, false) AS read_only,
		       page.slug AS status_page
		FROM update_drafts d
		JOIN incidents i ON i.org_id = d.org_id AND i.id = d.incident_id
		LEFT JOIN org_policies p ON p.org_id = d.org_id
		LEFT JOIN status_pages page ON ` + statusSurface

// PublishedDraftTx records that a draft became an update, or returns ErrConflict
// unless it was waiting. The transaction holds the incident's row.
func (s *Store) PublishedDraftTx(ctx context.Context, tx pgx.Tx, orgID string, id, updateID uuid.UUID, now time.Time) error {
	return decideDraft(ctx, tx, `published_at = $3, update_id = $4`, orgID, id, now, updateID)
}

// DiscardDraftTx records that the author does not want a draft published, or
// returns ErrConflict unless it was waiting. The transaction holds the
// incident's row.
func (s *Store) DiscardDraftTx(ctx context.Context, tx pgx.Tx, orgID string, id uuid.UUID, now time.Time) error {
	return decideDraft(ctx, tx, `discarded_at = $3`, orgID, id, now)
}

// decideDraft changes a draft that waits; args begin with its organization, its
// id and the time.
func decideDraft(ctx context.Context, tx pgx.Tx, set string, args ...any) error {
	tag, err := tx.Exec(ctx, `
		UPDATE update_drafts SET `+set+`
		WHERE org_id = $1 AND id = $2 AND published_at IS NULL AND discarded_at IS NULL AND expires_at > $3`, args...)
	if err == nil && tag.RowsAffected() == 0 {
		return ErrConflict
	}
	return wrap("deciding on a draft", err)
}

// DeleteExpiredConfirmations removes answers to questions for confirmation that
// nobody could use any more, and drafts that ended a week ago.
func (s *Store) DeleteExpiredConfirmations(ctx context.Context, now time.Time) error {
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM spent_confirmations WHERE expires_at < $1`, now.Add(-confirmationsKept))
	batch.Queue(`DELETE FROM update_drafts WHERE expires_at < $1`, now.Add(-draftsKept))
	return wrap("deleting expired confirmations", s.pool.SendBatch(ctx, batch).Close())
}
