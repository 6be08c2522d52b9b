package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Page is a call of one person to an incident, by one layer of its escalation
// policy. There is at most one for each three of them.
type Page struct {
	OrgID      string
	IncidentID uuid.UUID
	Layer      int
	PersonID   string
}

// PageOutcome is how a page ended.
type PageOutcome string

// The outcomes of a page.
const (
	PageSent      PageOutcome = "sent"
	PageFailed    PageOutcome = "failed"    // every attempt
	PageWithdrawn PageOutcome = "withdrawn" // acknowledged or resolved before it was sent
)

// LayerPage is a layer that is to be paged.
type LayerPage struct {
	OrgID      string
	IncidentID uuid.UUID
	Layer      int // its position in the policy
	PersonIDs  []string
	Advanced   bool      // escalation went on to it, past another layer
	NextPageAt time.Time // when escalation goes on, unless somebody acknowledges
}

// PageLayerTx records that a layer is paged: a page per person, and the incident
// waiting for one of them until NextPageAt. Somebody whom this layer has paged
// before is not paged again.
//
// It returns the ids of those whose pages are to be sent now.
func (s *Store) PageLayerTx(ctx context.Context, tx pgx.Tx, p LayerPage, now time.Time) ([]string, error) {
	var at time.Time
	err := tx.QueryRow(ctx, `
		UPDATE incidents
		SET escalation_state = 'paging', escalation_layer = $3, next_page_at = $4, updated_at = GREATEST(updated_at, $5)
		WHERE org_id = $1 AND id = $2
		RETURNING updated_at`, p.OrgID, p.IncidentID, p.Layer, p.NextPageAt, now).Scan(&at)
	if err != nil {
		return nil, wrap("paging", err)
	}
	if p.Advanced {
		if err := s.addEventsTx(ctx, tx, p.OrgID, p.IncidentID, IncidentEvent{Type: EventEscalationAdvanced, At: at, Layer: &p.Layer}); err != nil {
			return nil, err
		}
	}
	rows, err := tx.Query(ctx, `
		INSERT INTO pages (org_id, incident_id, layer, person_id, paged_at)
		SELECT $1, $2, $3, unnest($4::text[]), $5
		ON CONFLICT (org_id, incident_id, layer, person_id) DO NOTHING
		RETURNING person_id`, p.OrgID, p.IncidentID, p.Layer, p.PersonIDs, at)
	if err != nil {
		return nil, wrap("paging", err)
	}
	paged, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return paged, wrap("paging", err)
}

// ExhaustEscalationTx records that no layer is left to page.
func (s *Store) ExhaustEscalationTx(ctx context.Context, tx pgx.Tx, orgID string, incidentID uuid.UUID, now time.Time) error {
	var at time.Time
	err := tx.QueryRow(ctx, `
		UPDATE incidents SET escalation_state = 'exhausted', next_page_at = NULL, updated_at = GREATEST(updated_at, $3)
		WHERE org_id = $1 AND id = $2
		RETURNING updated_at`, orgID, incidentID, now).Scan(&at)
	if err != nil {
		return wrap("exhausting escalation", err)
	}
	return s.addEventsTx(ctx, tx, orgID, incidentID, IncidentEvent{Type: EventEscalationExhausted, At: at})
}

// PendingEscalation is what decides whether an incident's escalation goes on.
type PendingEscalation struct {
	PolicyID   *uuid.UUID
	State      EscalationState
	Layer      *int       // paged last
	NextPageAt *time.Time // nil where nothing is planned
	Resolved   bool
}

// LockEscalationTx returns where an incident's escalation stands, and holds the
// incident until the transaction ends: nobody acknowledges or resolves it
// meanwhile. ErrNotFound: there is no such incident.
func (s *Store) LockEscalationTx(ctx context.Context, tx pgx.Tx, orgID string, incidentID uuid.UUID) (*PendingEscalation, error) {
	e, err := one[PendingEscalation](tx.Query(ctx, `
		SELECT escalation_policy_id AS policy_id, escalation_state AS state, escalation_layer AS layer, next_page_at,
		       status = 'resolved' AS resolved
		FROM incidents WHERE org_id = $1 AND id = $2
		FOR NO KEY UPDATE`, orgID, incidentID))
	return e, wrap("locking escalation", err)
}

// PageDetails is what the sender of a page needs to know.
type PageDetails struct {
	Outcome      *PageOutcome // nil: the page has not ended
	Waited       bool         // the incident is open and nobody has acknowledged it
	Organization string       // its name
	SequentialID int
	Title        string
	Description  string // its beginning
	Severity     Severity
	NextPageAt   *time.Time
	Name, Email  string // of whom to page
	Member       bool   // of the organization still, and not banned
	Verified     bool   // the address
}

// DescriptionBeginning is how many characters of a description PageDetails has.
const DescriptionBeginning = 1000

// PageDetails returns the details of a page, or ErrNotFound. They may be
// outdated when it returns: an incident that is acknowledged at this moment may
// still be paged for.
func (s *Store) PageDetails(ctx context.Context, p Page) (*PageDetails, error) {
	d, err := one[PageDetails](s.pool.Query(ctx, `
		SELECT p.outcome, i.status <> 'resolved' AND i.acknowledged_at IS NULL AS waited,
		       o.name AS organization, i.sequential_id, i.title, left(i.description, $5) AS description, i.severity, i.next_page_at,
		       u.name, u.email, u.email_verified AS verified,
		       u.deleted_at IS NULL AND NOT u.banned
		       AND EXISTS (SELECT FROM memberships m WHERE m.org_id = $1 AND m.user_id = p.person_id) AS member
		FROM pages p
		JOIN incidents i ON i.org_id = p.org_id AND i.id = p.incident_id
		JOIN organizations o ON o.id = p.org_id
		JOIN users u ON u.id = p.person_id
		WHERE p.org_id = $1 AND p.incident_id = $2 AND p.layer = $3 AND p.person_id = $4`,
		p.OrgID, p.IncidentID, p.Layer, p.PersonID, DescriptionBeginning))
	return d, wrap("reading page", err)
}

// EndPageTx records how a page ended, in the timeline too unless it was
// withdrawn. Of any number of calls one does, and the others report false.
func (s *Store) EndPageTx(ctx context.Context, tx pgx.Tx, p Page, outcome PageOutcome, now time.Time) (bool, error) {
	// The incident first, like everybody who locks both.
	if _, err := s.LockEscalationTx(ctx, tx, p.OrgID, p.IncidentID); err != nil {
		return false, err
	}
	tag, err := tx.Exec(ctx, `
		UPDATE pages SET outcome = $5, ended_at = $6
		WHERE org_id = $1 AND incident_id = $2 AND layer = $3 AND person_id = $4 AND outcome IS NULL`,
		p.OrgID, p.IncidentID, p.Layer, p.PersonID, outcome, now)
	if err != nil {
		return false, wrap("ending page", err)
	}
	if tag.RowsAffected() == 0 || outcome == PageWithdrawn {
		return tag.RowsAffected() == 1, nil
	}
	var at time.Time
	err = tx.QueryRow(ctx, `
		UPDATE incidents SET updated_at = GREATEST(updated_at, $3) WHERE org_id = $1 AND id = $2
		RETURNING updated_at`, p.OrgID, p.IncidentID, now).Scan(&at)
	if err != nil {
		return false, wrap("ending page", err)
	}
	event := IncidentEvent{Type: EventPageSent, At: at, Layer: &p.Layer, PersonID: &p.PersonID}
	if outcome == PageFailed {
		event.Type = EventPageFailed
	}
	return true, s.addEventsTx(ctx, tx, p.OrgID, p.IncidentID, event)
}
