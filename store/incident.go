package store

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Severity is how bad an incident is, set when it is created.
type Severity string

// The severities, worst first.
const (
	SeverityCritical Severity = "critical" // full outage or data loss for everyone
	SeverityHigh     Severity = "high"     // a major feature broken or strongly degraded
	SeverityMedium   Severity = "medium"   // partial or intermittent, a workaround may exist
	SeverityLow      Severity = "low"      // minor, can wait for working hours
)

// Severities returns every severity, worst first.
func Severities() []Severity {
	return []Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow}
}

// IncidentStatus is where an incident stands in its lifecycle. It moves forward
// one step at a time and never back.
type IncidentStatus string

// The lifecycle, in order.
const (
	StatusInvestigating IncidentStatus = "investigating" // the cause is looked for; every incident begins here
	StatusIdentified    IncidentStatus = "identified"    // the cause is known, a fix in progress
	StatusMonitoring    IncidentStatus = "monitoring"    // the fix is applied and watched
	StatusResolved      IncidentStatus = "resolved"      // over; nothing leads out of it
)

// IncidentStatuses returns the lifecycle in order.
func IncidentStatuses() []IncidentStatus {
	return []IncidentStatus{StatusInvestigating, StatusIdentified, StatusMonitoring, StatusResolved}
}

// EscalationState is where the paging of an incident stands.
type EscalationState string

// The escalation states. Resolving an incident leaves its state as it is.
const (
	// EscalationNone: the incident has no escalation policy; nobody was paged.
	EscalationNone EscalationState = "none"
	// EscalationPaging: a layer was paged and nobody has acknowledged yet.
	EscalationPaging EscalationState = "paging"
	// EscalationAcknowledged: somebody took it; nobody else will be paged.
	EscalationAcknowledged EscalationState = "acknowledged"
	// EscalationExhausted: no layer is left to page. The incident stays open,
	// and can still be acknowledged.
	EscalationExhausted EscalationState = "exhausted"
)

// Incident is one incident of an organization.
type Incident struct {
	ID                 uuid.UUID
	OrgID              string
	SequentialID       int // counts from 1 within the organization, without gaps
	Title              string
	Description        string // empty in lists, which do not read it
	Severity           Severity
	Status             IncidentStatus
	Owner              *Person
	EscalationPolicyID *uuid.UUID
	AffectedComponents []ComponentRef // by name; empty, never nil
	AcknowledgedAt     *time.Time
	PublicAt           *time.Time // since when strangers may know of it; nil: they may not
	CreatedBy          Actor
	CreatedAt          time.Time // never earlier than that of a lower SequentialID
	UpdatedAt          time.Time
	ResolvedAt         *time.Time
}

// StatusChange is one step of an incident's lifecycle; the first is its
// creation.
type StatusChange struct {
	Status         IncidentStatus
	ChangedAt      time.Time
	ResolutionNote *string // for members only, never public
}

// Escalation is where the paging of an incident stands.
type Escalation struct {
	State          EscalationState
	Layer          *int       // position of the layer that was paged last, from 1
	NextPageAt     *time.Time // nil where no further page is planned
	AcknowledgedAt *time.Time
	AcknowledgedBy *Actor
}

// IncidentDetails is an incident with what a list leaves out, all of one
// instant.
type IncidentDetails struct {
	Incident
	StatusHistory []StatusChange // chronological, never empty
	Escalation    Escalation
}

// IncidentQuery selects incidents of one organization. A nil field selects
// all.
type IncidentQuery struct {
	Status   *IncidentStatus
	Severity *Severity
	From     *time.Time // created at or after
	Before   *time.Time // created before
	After    *IncidentPosition
	Limit    int
}

// IncidentPosition is a place in the list of incidents, newest first.
type IncidentPosition struct {
	CreatedAt    time.Time
	SequentialID int
}

// Position is the place of the incident in the list.
func (i *Incident) Position() IncidentPosition {
	return IncidentPosition{i.CreatedAt, i.SequentialID}
}

const incidentFrom = `
	FROM incidents i` + incidentLookups

// incidentLookups finds what i names, one by one: of a few incidents in a large
// table, PostgreSQL would else join with all people that there are, and sort
// what comes of it back into order.
const incidentLookups = `
	CROSS JOIN LATERAL (SELECT name, email FROM users WHERE id = i.created_by LIMIT 1) creator
	LEFT JOIN LATERAL (SELECT name, email FROM users WHERE id = i.owner_id LIMIT 1) owner ON true
	CROSS JOIN LATERAL (
		SELECT COALESCE(array_agg(c.id ORDER BY c.name), '{}') AS ids,
		       COALESCE(array_agg(c.name ORDER BY c.name), '{}') AS names
		FROM incident_components ic
		JOIN components c ON c.org_id = ic.org_id AND c.id = ic.component_id
		WHERE ic.org_id = $1 AND ic.incident_id = i.id) affected`

const incidentColumns = `
	       i.id, i.org_id, i.sequential_id, i.title, i.severity, i.status, i.escalation_policy_id, i.acknowledged_at, i.public_at,
	       i.created_at, i.updated_at, i.resolved_at, i.created_by, i.created_via,
	       creator.name AS creator_name, creator.email AS creator_email,
	       i.owner_id, owner.name AS owner_name, owner.email AS owner_email,
	       affected.ids AS component_ids, affected.names AS component_names`

// incidentRow is incidentColumns and the description.
type incidentRow struct {
	ID                             uuid.UUID
	OrgID                          string
	SequentialID                   int
	Title, Description             string
	Severity                       Severity
	Status                         IncidentStatus
	EscalationPolicyID             *uuid.UUID
	AcknowledgedAt                 *time.Time
	PublicAt                       *time.Time
	CreatedAt, UpdatedAt           time.Time
	ResolvedAt                     *time.Time
	CreatedBy                      string
	CreatedVia                     *string
	CreatorName, CreatorEmail      string
	OwnerID, OwnerName, OwnerEmail *string
	ComponentIDs                   []uuid.UUID
	ComponentNames                 []string
}

func (r *incidentRow) incident() *Incident {
	i := &Incident{
		ID: r.ID, OrgID: r.OrgID, SequentialID: r.SequentialID,
		Title: r.Title, Description: r.Description, Severity: r.Severity, Status: r.Status,
		EscalationPolicyID: r.EscalationPolicyID, AffectedComponents: make([]ComponentRef, len(r.ComponentIDs)),
		AcknowledgedAt: r.AcknowledgedAt, PublicAt: r.PublicAt, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, ResolvedAt: r.ResolvedAt,
		CreatedBy: Actor{Person{r.CreatedBy, r.CreatorName, r.CreatorEmail}, r.CreatedVia},
	}
	if r.OwnerID != nil {
		i.Owner = &Person{*r.OwnerID, *r.OwnerName, *r.OwnerEmail}
	}
	for n := range r.ComponentIDs {
		i.AffectedComponents[n] = ComponentRef{r.ComponentIDs[n], r.ComponentNames[n]}
	}
	return i
}

// Incidents returns at most q.Limit incidents of an organization, newest
// first, without descriptions.
func (s *Store) Incidents(ctx context.Context, orgID string, q IncidentQuery) ([]*Incident, error) {
	sql, args := q.statement(orgID)
	rows, err := many[incidentRow](s.pool.Query(ctx, sql, args...))
	if err != nil {
		return nil, wrap("listing incidents", err)
	}
	incidents := make([]*Incident, len(rows))
	for i, r := range rows {
		incidents[i] = r.incident()
	}
	return incidents, nil
}

// statement holds the conditions of q and no others: with "$2 IS NULL OR …" in
// their place a prepared statement would get one plan for every query, and with
// it an index for none.
//
// It cuts the page before it looks up what that names, and says the limit twice.
// As a parameter it makes a plan that is for any organization, of which the
// average has a handful of incidents, read an index in order rather than all of
// them: PostgreSQL assumes that a part of them will do. Spelt out, it keeps that
// plan from looking as if it were for a tenth of a large table, in whose place
// PostgreSQL would plan every execution anew: half of what a list costs.
func (q IncidentQuery) statement(orgID string) (sql string, args []any) {
	const order = `ORDER BY i.created_at DESC, i.sequential_id DESC`
	sql = `SELECT '' AS description,` + incidentColumns + `
	FROM (
		SELECT * FROM incidents i
		WHERE i.org_id = $1`
	args = []any{orgID}
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	if q.Status != nil {
		sql += ` AND i.status = ` + arg(*q.Status)
	}
	if q.Severity != nil {
		sql += ` AND i.severity = ` + arg(*q.Severity)
	}
	if q.From != nil {
		sql += ` AND i.created_at >= ` + arg(*q.From)
	}
	if q.Before != nil {
		sql += ` AND i.created_at < ` + arg(*q.Before)
	}
	if q.After != nil {
		sql += ` AND (i.created_at, i.sequential_id) < (` + arg(q.After.CreatedAt) + `, ` + arg(q.After.SequentialID) + `)`
	}
	sql += `
		` + order + `
		LIMIT ` + arg(q.Limit) + `) i` + incidentLookups + `
	` + order + `
	LIMIT ` + strconv.Itoa(q.Limit)
	return sql, args
}

// Incident returns one incident with its history, or ErrNotFound.
func (s *Store) Incident(ctx context.Context, orgID string, sequentialID int) (*IncidentDetails, error) {
	row, err := one[struct {
		incidentRow
		EscalationState   EscalationState
		EscalationLayer   *int
		NextPageAt        *time.Time
		AcknowledgedBy    *string
		AcknowledgedVia   *string
		AcknowledgerName  *string
		AcknowledgerEmail *string
		HistoryStatuses   []IncidentStatus
		HistoryTimes      []time.Time
		HistoryNotes      []*string
	}](s.pool.Query(ctx, incidentDetailsStatement, orgID, sequentialID))
	if err != nil {
		return nil, wrap("reading incident", err)
	}
	d := &IncidentDetails{
		Incident: *row.incident(),
		Escalation: Escalation{
			State: row.EscalationState, Layer: row.EscalationLayer,
			NextPageAt: row.NextPageAt, AcknowledgedAt: row.AcknowledgedAt,
		},
	}
	if row.AcknowledgedBy != nil {
		d.Escalation.AcknowledgedBy = &Actor{
			Person{*row.AcknowledgedBy, *row.AcknowledgerName, *row.AcknowledgerEmail}, row.AcknowledgedVia}
	}
	for n, status := range row.HistoryStatuses {
		d.StatusHistory = append(d.StatusHistory, StatusChange{status, row.HistoryTimes[n], row.HistoryNotes[n]})
	}
	return d, nil
}

// incidentDetailsStatement is one statement, so that history, escalation and
// incident are of one instant.
const incidentDetailsStatement = `SELECT i.description,` + incidentColumns + `,
	       i.escalation_state, i.escalation_layer, i.next_page_at, i.acknowledged_by, i.acknowledged_via,
	       acknowledger.name AS acknowledger_name, acknowledger.email AS acknowledger_email,
	       history.statuses AS history_statuses, history.times AS history_times, history.notes AS history_notes` + incidentFrom + `
	LEFT JOIN LATERAL (SELECT name, email FROM users WHERE id = i.acknowledged_by LIMIT 1) acknowledger ON true
	CROSS JOIN LATERAL (
		SELECT array_agg(e.status ORDER BY e.seq) AS statuses, array_agg(e.at ORDER BY e.seq) AS times,
		       array_agg(e.note ORDER BY e.seq) AS notes
		FROM incident_events e
		WHERE e.org_id = $1 AND e.incident_id = i.id AND e.status IS NOT NULL) history
	WHERE i.org_id = $1 AND i.sequential_id = $2`

// IncidentByID returns one incident with its history if it belongs to one of
// the given organizations, else ErrNotFound. Unlike a number, an id means the
// same incident to everybody.
func (s *Store) IncidentByID(ctx context.Context, orgIDs []string, id uuid.UUID) (*IncidentDetails, error) {
	// Neither of the two ever changes.
	i, err := one[struct {
		OrgID        string
		SequentialID int
	}](s.pool.Query(ctx, `SELECT org_id, sequential_id FROM incidents WHERE org_id = ANY ($1) AND id = $2`, orgIDs, id))
	if err != nil {
		return nil, wrap("finding incident", err)
	}
	return s.Incident(ctx, i.OrgID, i.SequentialID)
}
