package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Activity is a call in the audit log, with the names that a page shows beside
// it.
type Activity struct {
	ID           uuid.UUID
	OrgID        string
	OrgName      string
	At           time.Time
	UserID       string
	UserName     string // empty: the person was deleted
	UserEmail    string
	ConnectionID *uuid.UUID // nil in the dashboard
	ClientName   *string    // as consented to
	// ConnectionShown: the connection still has a page.
	ConnectionShown bool
	Action          string
	Outcome         string
	Duration        time.Duration
	Incident        *int       // the sequential id that was asked for or made
	IncidentID      *uuid.UUID // nil where there is no such incident
	RequestID       *string
}

// Position is where the activity after this one begins.
func (a *Activity) Position() ActivityPosition { return ActivityPosition{At: a.At, ID: a.ID} }

// ActivityPosition is a place in the order of the audit log.
type ActivityPosition struct {
	At time.Time
	ID uuid.UUID
}

// OutcomeInputRequired is the outcome of a call that asked its person something
// and waits for the answer.
const OutcomeInputRequired = "input_required"

// OutcomeRefused stands for every outcome that is a refusal or a failure, when
// activity is narrowed.
const OutcomeRefused = "refused"

// Refused reports whether the call was refused, or failed.
func (a *Activity) Refused() bool {
	return a.Outcome != OutcomeOK && a.Outcome != OutcomeReplayed && a.Outcome != OutcomeInputRequired
}

// Revoked reports whether it is the end of a connection, and no call.
func (a *Activity) Revoked() bool { return strings.HasPrefix(a.Action, auditRevokedPrefix) }

// ActivityQuery narrows the audit log of some organizations. What is zero does
// not narrow it.
type ActivityQuery struct {
	UserID       string
	ConnectionID uuid.UUID
	ClientName   string // as consented to
	Action       string
	Outcome      string // one of them, or OutcomeRefused
	From, Before *time.Time
	After        *ActivityPosition // go on after this one
	Limit        int
}

// Activity returns calls in the given organizations, the newest first. Whether
// the caller may see them is the caller's question.
func (s *Store) Activity(ctx context.Context, orgIDs []string, q ActivityQuery, now time.Time) ([]*Activity, error) {
	if len(orgIDs) == 0 {
		return nil, nil
	}
	sql, args := q.statement(orgIDs, now)
	// Planned for these organizations each time: for any, of which the average has
	// little, the plan would read and sort all that one has.
	activity, err := many[Activity](s.pool.Query(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...))
	return activity, wrap("reading activity", err)
}

// statement holds the conditions of q and no others, like that of incidents: see
// IncidentQuery.statement. It cuts a page of each organization, so that each is
// read in the order of its log, and then the page of all of them, before it looks
// up what that names.
func (q ActivityQuery) statement(orgIDs []string, now time.Time) (sql string, args []any) {
	limit := ` LIMIT ` + strconv.Itoa(q.Limit)
	args = []any{now}
	var where strings.Builder
	and := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		where.WriteString(` AND ` + condition)
	}
	if q.UserID != "" {
		and(`a.user_id = ?`, q.UserID)
	}
	if q.ConnectionID != uuid.Nil {
		and(`a.connection_id = ?`, q.ConnectionID)
	}
	if q.ClientName != "" {
		and(`a.client_name = ?`, q.ClientName)
	}
	if q.Action != "" {
		and(`a.action = ?`, q.Action)
	}
	switch q.Outcome {
	case "":
	case OutcomeOK:
		and(`a.outcome = 'ok'`)
	case OutcomeRefused:
		and(`a.outcome NOT IN ('ok', 'replayed', 'input_required')`)
	default:
		and(`a.outcome <> 'ok' AND a.outcome = ?`, q.Outcome) // what its index has, in words that the planner knows
	}
	if q.From != nil {
		and(`a.at >= ?`, *q.From)
	}
	if q.Before != nil {
		and(`a.at < ?`, *q.Before)
	}
	if q.After != nil {
		and(`a.at <= ? AND (a.at, a.id) < (?, ?)`, q.After.At, q.After.At, q.After.ID) // the first half leaves out months
	}
	const order = ` ORDER BY a.at DESC, a.id DESC`
	pages := make([]string, len(orgIDs))
	for i, orgID := range orgIDs {
		args = append(args, orgID)
		pages[i] = `(SELECT * FROM audit_events a WHERE a.org_id = $` + strconv.Itoa(len(args)) + where.String() + order + limit + `)`
	}
	return `
	SELECT e.id, e.org_id, COALESCE(o.name, '') AS org_name, e.at, e.user_id, COALESCE(u.name, '') AS user_name, COALESCE(u.email, '') AS user_email,
	       e.connection_id, e.client_name, c.id IS NOT NULL AS connection_shown,
	       e.action, e.outcome, e.duration_us * interval '1 microsecond' AS duration, e.incident, i.id AS incident_id, e.request_id
	FROM (
		SELECT * FROM (` + strings.Join(pages, ` UNION ALL `) + `) a` + order + limit + `) e
	LEFT JOIN organizations o ON o.id = e.org_id
	LEFT JOIN users u ON u.id = e.user_id AND u.deleted_at IS NULL
	LEFT JOIN incidents i ON i.org_id = e.org_id AND i.sequential_id = e.incident
	LEFT JOIN connections c ON c.id = e.connection_id AND c.org_id = e.org_id AND c.connected_at IS NOT NULL
	                       AND COALESCE(c.revoked_at, c.expires_at) > $1::timestamptz - interval '90 days'
	ORDER BY e.at DESC, e.id DESC`, args
}

// activityNames is a subquery for the ids of people who may be in the audit log
// of the organization $1: those who are in it, and those who connected a client.
const activityNames = `
	SELECT user_id FROM memberships WHERE org_id = $1
	UNION SELECT user_id FROM connections WHERE org_id = $1 AND connected_at IS NOT NULL`

// ActivityPeople returns people of an organization, also of those who left, by
// name.
func (s *Store) ActivityPeople(ctx context.Context, orgID string, limit int) ([]*User, error) {
	users, err := many[User](s.pool.Query(ctx, `
		SELECT id, name, email, email_verified, banned FROM users
		WHERE deleted_at IS NULL AND id IN (`+activityNames+`)
		ORDER BY name, id LIMIT $2`, orgID, limit))
	return users, wrap("listing people", err)
}

// ActivityPerson returns the id of whom an e-mail address belongs to, in whatever
// case, among the people of an organization and those who left. It returns
// ErrNotFound for anybody else's.
func (s *Store) ActivityPerson(ctx context.Context, orgID, email string) (string, error) {
	row, err := one[struct{ ID string }](s.pool.Query(ctx, `
		SELECT id FROM users
		WHERE deleted_at IS NULL AND lower(email) = lower($2) AND id IN (`+activityNames+`)
		ORDER BY id LIMIT 1`, orgID, email))
	if err != nil {
		return "", wrap("looking for a person", err)
	}
	return row.ID, nil
}

// ActivityClients returns the names of clients that were connected to the given
// organizations, or by one person if userID is not empty.
func (s *Store) ActivityClients(ctx context.Context, orgIDs []string, userID string, limit int) ([]string, error) {
	rows, err := many[struct{ ClientName string }](s.pool.Query(ctx, `
		SELECT DISTINCT client_name FROM connections
		WHERE org_id = ANY ($1) AND ($2 = '' OR user_id = $2) AND connected_at IS NOT NULL
		ORDER BY client_name LIMIT $3`, orgIDs, userID, limit))
	if err != nil {
		return nil, wrap("listing clients", err)
	}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.ClientName
	}
	return names, nil
}
