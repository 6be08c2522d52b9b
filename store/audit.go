package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// AuditEvent is one call of a tool, as the audit log keeps it: who, through
// which client, what, when, and how it ended. It has no bodies.
type AuditEvent struct {
	ID           uuid.UUID // made by whoever records it
	OrgID        string
	UserID       string
	ConnectionID uuid.UUID // uuid.Nil and an empty ClientID in the dashboard
	ClientID     string
	ClientName   string // of the client that somebody in the dashboard acted on; a connection's is looked up
	Action       string // the tool's name, or what somebody did in the dashboard
	Outcome      string // OutcomeOK, OutcomeReplayed, or the code of the refusal
	At           time.Time
	Duration     time.Duration
	Incident     *int // the sequential id that was asked for or made
	RequestID    string
}

// Outcomes of calls that were not refused.
const (
	OutcomeOK       = "ok"
	OutcomeReplayed = "replayed" // an earlier call with the same idempotency key did it
)

// What happens to connections is in the audit log, too, by the client's name: a
// connection's own events are the calls that were made through it.
const (
	// AuditConnected is the action of somebody who connected a client.
	AuditConnected = "connected"
	// auditRevokedPrefix, and the reason, is the action of whoever ended a connection.
	auditRevokedPrefix = "revoked:"
)

// AuditRevoked returns the action of ending a connection.
func AuditRevoked(reason RevokeReason) string { return auditRevokedPrefix + string(reason) }

// auditConnected and auditRevoked record the connections in connected and in
// revoked, of a statement: see RedeemCode and revokeConnections. Whoever connects a
// client anew has ended nothing.
const (
	auditConnected = `
	INSERT INTO audit_events (org_id, id, at, user_id, client_name, action, outcome, duration_us)
	SELECT org_id, gen_random_uuid(), $2, user_id, client_name, '` + AuditConnected + `', '` + OutcomeOK + `', 0 FROM connected`
	auditRevoked = `
	INSERT INTO audit_events (org_id, id, at, user_id, client_name, action, outcome, duration_us)
	SELECT org_id, gen_random_uuid(), $1, COALESCE($2, user_id), client_name, '` + auditRevokedPrefix + `' || $3, '` + OutcomeOK + `', 0 FROM revoked
	WHERE connected_at IS NOT NULL AND $3 <> '` + string(RevokedSuperseded) + `'`
)

// RecordAuditTx records a call in the transaction of its effect: neither is
// there without the other.
func (s *Store) RecordAuditTx(ctx context.Context, tx pgx.Tx, e AuditEvent) error {
	e.ID = uuid.Must(uuid.NewV7())
	return wrap("recording a call", recordAudit(ctx, tx, []AuditEvent{e}))
}

// RecordAudit records calls in one statement. Those that are recorded already,
// by an attempt whose outcome nobody learned, are left as they are.
func (s *Store) RecordAudit(ctx context.Context, events []AuditEvent) error {
	return wrap("recording calls", recordAudit(ctx, s.pool, events))
}

// recordAudit notes the client's name with each call: a connection may be gone
// before the log of what it did is.
func recordAudit(ctx context.Context, q querier, events []AuditEvent) error {
	n := len(events)
	ids, connections, times := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]time.Time, n)
	orgs, users, clients, names, actions, outcomes, requests := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	durations, incidents := make([]int64, n), make([]*int, n)
	for i, e := range events {
		ids[i], connections[i], times[i] = e.ID, e.ConnectionID, e.At
		orgs[i], users[i], clients[i], names[i], actions[i], outcomes[i], requests[i] = e.OrgID, e.UserID, e.ClientID, e.ClientName, e.Action, e.Outcome, e.RequestID
		durations[i], incidents[i] = e.Duration.Microseconds(), e.Incident
	}
	_, err := q.Exec(ctx, `
		INSERT INTO audit_events (org_id, id, at, user_id, connection_id, client_id, client_name, action, outcome, duration_us, incident, request_id)
		SELECT e.org_id, e.id, e.at, e.user_id, NULLIF(e.connection_id, '00000000-0000-0000-0000-000000000000'), NULLIF(e.client_id, ''), COALESCE(c.client_name, NULLIF(e.client_name, '')),
		       e.action, e.outcome, e.duration_us, e.incident, NULLIF(e.request_id, '')
		FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::text[])
		  AS e (org_id, id, at, user_id, connection_id, client_id, action, outcome, duration_us, incident, request_id, client_name)
		LEFT JOIN connections c ON c.id = e.connection_id
		ON CONFLICT DO NOTHING`,
		orgs, ids, times, users, connections, clients, actions, outcomes, durations, incidents, requests, names)
	return err
}
