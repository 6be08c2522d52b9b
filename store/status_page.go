package store

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// StatusHistory is how long a resolved incident stays on the status page.
const StatusHistory = 90 * 24 * time.Hour

// What a status page holds at most, so that an organization that writes without
// end makes its own page incomplete, and nobody's server slow. statusText is in
// bytes, and goes to open incidents first.
const (
	statusOpen     = 20
	statusResolved = 100
	statusUpdates  = 50 // of one incident
	statusText     = 1 << 20
)

// StatusPage is what anybody may know of an organization: nothing else has been
// read from the database.
type StatusPage struct {
	Slug       string
	Name       string             // what customers know the organization as
	Components []*StatusComponent // in the order of the page
	// Public incidents that affect one of the components: those that are open,
	// newest first, and those that ended within StatusHistory, by their end, newest
	// first.
	Open, Resolved []*PublicIncident
	// More: there are more of them, older, than are listed.
	MoreOpen, MoreResolved bool
}

// StatusComponent is a component on a status page.
type StatusComponent struct {
	Name       string
	GroupLabel string           // may be empty
	Override   *ComponentStatus // what an administrator says, whatever its incidents say
	Severities []Severity       // of the open public incidents that affect it, listed or not
}

// PublicIncident is what customers may know of an incident.
type PublicIncident struct {
	Title      string
	Status     IncidentStatus
	Components []string // names of those on the page that it affects, in its order
	CreatedAt  time.Time
	ResolvedAt *time.Time

	Timeline    []PublicEntry `db:"-"` // newest first, never empty
	MoreUpdates bool          `db:"-"` // there are older updates than are in Timeline
}

// PublicEntry is a step of an incident's lifecycle, or a public update.
//
// Steps are there since the creation of the incident, also from before it became
// public: customers ask since when something has been wrong, and a bare step says
// nothing that anybody wrote.
type PublicEntry struct {
	At     time.Time
	Status *IncidentStatus // the status entered; nil: an update
	Body   *string         // of an update; nil: it was redacted
}

// StatusPage returns the published page with the given slug as it is at one
// instant, or ErrNotFound, of a page that is not published as well.
func (s *Store) StatusPage(ctx context.Context, slug string, now time.Time) (*StatusPage, error) {
	var page *StatusPage
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
		found, err := one[struct{ OrgID, Name string }](tx.Query(ctx, `
			SELECT org_id, name FROM status_pages WHERE slug = $1 AND published`, slug))
		if err != nil {
			return err
		}
		page = &StatusPage{Slug: slug, Name: found.Name}
		if page.Components, err = statusComponentsTx(ctx, tx, found.OrgID); err != nil {
			return err
		}
		open, err := many[publicIncidentRow](tx.Query(ctx, publicIncidents+`
			  AND i.resolved_at IS NULL
			ORDER BY i.created_at DESC, i.id DESC
			LIMIT `+strconv.Itoa(statusOpen+1), found.OrgID))
		if err != nil {
			return err
		}
		resolved, err := many[publicIncidentRow](tx.Query(ctx, publicIncidents+`
			  AND i.resolved_at > $2
			ORDER BY i.resolved_at DESC, i.id DESC
			LIMIT `+strconv.Itoa(statusResolved+1), found.OrgID, now.Add(-StatusHistory)))
		if err != nil {
			return err
		}
		page.MoreOpen, page.MoreResolved = len(open) > statusOpen, len(resolved) > statusResolved
		open, resolved = open[:min(len(open), statusOpen)], resolved[:min(len(resolved), statusResolved)]
		if err := publicTimelinesTx(ctx, tx, found.OrgID, slices.Concat(open, resolved)); err != nil {
			return err
		}
		page.Open, page.Resolved = publicOnly(open), publicOnly(resolved)
		return nil
	})
	return page, wrap("reading status page", err)
}

// statusComponentsTx reads the components of an organization's page. OFFSET 0 has
// PostgreSQL go from each open incident to its components: it cannot know how few
// of those that are open are public, and would read every organization's.
func statusComponentsTx(ctx context.Context, tx pgx.Tx, orgID string) ([]*StatusComponent, error) {
	return many[StatusComponent](tx.Query(ctx, `
		SELECT c.name, c.group_label, c.status_override AS override, COALESCE(open.severities, '{}') AS severities
		FROM status_page_components p
		JOIN components c ON c.org_id = p.org_id AND c.id = p.component_id
		LEFT JOIN (
			SELECT affected.component_id, array_agg(DISTINCT i.severity) AS severities
			FROM incidents i
			CROSS JOIN LATERAL (
				SELECT component_id FROM incident_components WHERE org_id = $1 AND incident_id = i.id OFFSET 0) affected
			WHERE i.org_id = $1 AND i.public_at IS NOT NULL AND i.resolved_at IS NULL
			GROUP BY affected.component_id) open ON open.component_id = p.component_id
		WHERE p.org_id = $1
		ORDER BY p.position, c.name`, orgID))
}

// publicIncidents selects the public incidents that affect a component of the
// organization's status page. Of the title and times of an incident nothing is
// secret once it is public; of its components those on the page are not.
const publicIncidents = `
	SELECT i.id, i.title, i.status, i.created_at, i.resolved_at, affected.components
	FROM incidents i
	CROSS JOIN LATERAL (
		SELECT array_agg(c.name ORDER BY p.position, c.name) AS components
		FROM incident_components ic
		JOIN status_page_components p ON p.org_id = ic.org_id AND p.component_id = ic.component_id
		JOIN components c ON c.org_id = ic.org_id AND c.id = ic.component_id
		WHERE ic.org_id = $1 AND ic.incident_id = i.id) affected
	WHERE i.org_id = $1 AND i.public_at IS NOT NULL AND affected.components IS NOT NULL`

// publicIncidentRow is an incident with the id that its timeline is found by,
// which customers have no use for.
type publicIncidentRow struct {
	ID uuid.UUID
	PublicIncident
}

func publicOnly(rows []*publicIncidentRow) []*PublicIncident {
	incidents := make([]*PublicIncident, len(rows))
	for n, r := range rows {
		incidents[n] = &r.PublicIncident
	}
	return incidents
}

// publicTimelinesTx fills in the timelines of incidents, in whose order the room
// for text is given out.
func publicTimelinesTx(ctx context.Context, tx pgx.Tx, orgID string, incidents []*publicIncidentRow) error {
	ids := make([]uuid.UUID, len(incidents))
	for n, i := range incidents {
		ids[n] = i.ID
	}
	// An update beyond the room stays where it is: the body of a row that is not
	// returned is not even read. Of what happened at one instant a step comes after
	// an update, as those who resolve an incident do it.
	rows, err := many[struct {
		Incident int
		At       time.Time
		Status   *IncidentStatus
		Body     *string
		Cut      bool
	}](tx.Query(ctx, `
		SELECT incident, at, status, CASE WHEN NOT cut THEN body END AS body, cut
		FROM (
			SELECT incident, at, status, body, seq, id,
			       status IS NULL AND (place > $3 OR sum(octet_length(body)) OVER (ORDER BY incident, at DESC, seq DESC, id DESC) > $4) IS TRUE AS cut
			FROM (
				SELECT shown.n - 1 AS incident, entry.*
				FROM unnest($2::uuid[]) WITH ORDINALITY shown (id, n)
				CROSS JOIN LATERAL (
					SELECT e.at, e.status, NULL AS body, e.seq, NULL::uuid AS id, 0 AS place
					FROM incident_events e
					WHERE e.org_id = $1 AND e.incident_id = shown.id AND e.status IS NOT NULL
					UNION ALL
					SELECT u.*, row_number() OVER (ORDER BY u.posted_at DESC, u.id DESC)
					FROM (
						SELECT posted_at, NULL::text, body, 0::bigint, id
						FROM incident_updates
						WHERE org_id = $1 AND incident_id = shown.id AND visibility = 'public'
						ORDER BY posted_at DESC, id DESC
						LIMIT `+strconv.Itoa(statusUpdates+1)+`) u) entry) entries) measured
		ORDER BY incident, at DESC, seq DESC, id DESC`, orgID, ids, statusUpdates, statusText))
	if err != nil {
		return err
	}
	for _, r := range rows {
		i := incidents[r.Incident]
		if r.Cut {
			i.MoreUpdates = true
			continue
		}
		i.Timeline = append(i.Timeline, PublicEntry{r.At, r.Status, r.Body})
	}
	return nil
}

// NewStatusPage is a status page that does not exist yet.
type NewStatusPage struct {
	OrgID        string
	Slug         string // lower-case letters, digits and hyphens, at most 63
	Name         string
	Published    bool
	ComponentIDs []uuid.UUID // distinct, in the order of the page
}

// CreateStatusPageTx creates the status page of an organization. ErrConflict:
// it has one, or another organization has the slug. ErrNotFound: a component is
// not the organization's.
func (s *Store) CreateStatusPageTx(ctx context.Context, tx pgx.Tx, n NewStatusPage, now time.Time) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO status_pages (org_id, slug, name, published, created_at)
		VALUES ($1, $2, $3, $4, $5)`, n.OrgID, n.Slug, n.Name, n.Published, now)
	batch.Queue(`
		INSERT INTO status_page_components (org_id, component_id, position)
		SELECT $1, id, n FROM unnest($2::uuid[]) WITH ORDINALITY c (id, n)`, n.OrgID, n.ComponentIDs)
	err := tx.SendBatch(ctx, batch).Close()
	if violates(err, "status_pages_pkey") || violates(err, "status_pages_slug_unique") {
		return ErrConflict
	}
	if violates(err, "status_page_components_component") {
		return ErrNotFound
	}
	return wrap("creating status page", err)
}

// OverrideComponentStatusTx says what a component's status is from now on,
// whatever its incidents say; nil leaves it to them again. ErrNotFound: the
// organization has no such component.
func (s *Store) OverrideComponentStatusTx(ctx context.Context, tx pgx.Tx, orgID string, componentID uuid.UUID, status *ComponentStatus) error {
	tag, err := tx.Exec(ctx, `
		UPDATE components SET status_override = $3 WHERE org_id = $1 AND id = $2`, orgID, componentID, status)
	if err == nil && tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return wrap("overriding component status", err)
}
