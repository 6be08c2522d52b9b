package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// NoticeKind is what a person is told about a connection of theirs.
type NoticeKind string

// The kinds of notices. A connection's own end, by its person, by its client, or
// because the same client was connected anew, is none: whoever did it knows.
const (
	NoticeConnected NoticeKind = "connected" // its code was redeemed
	NoticeRevoked   NoticeKind = "revoked"   // by somebody else, or for safety
)

// NoticeOutcome is how a notice ended.
type NoticeOutcome string

// The outcomes of a notice.
const (
	NoticeSent      NoticeOutcome = "sent"
	NoticeFailed    NoticeOutcome = "failed"    // every attempt
	NoticeWithdrawn NoticeOutcome = "withdrawn" // too late, or there is nobody to tell
)

// noticesKept is how long what became of a notice is kept.
const noticesKept = 30 * 24 * time.Hour

// noticeRevoked inserts the notices of the connections in revoked, of a
// statement whose $1 is the instant, $2 who, $3 the reason.
const noticeRevoked = `
	INSERT INTO notices (connection_id, kind, made_at)
	SELECT id, 'revoked', $1 FROM revoked
	WHERE connected_at IS NOT NULL AND user_id IS DISTINCT FROM $2 AND $3 NOT IN ('user', 'client', 'superseded')`

// Notice is what one mail tells: connections of one person to one organization
// that were made, or that ended, in one act.
type Notice struct {
	Kind          NoticeKind
	UserID        string
	OrgID         string
	ConnectionIDs []uuid.UUID
}

// TakeNoticesTx returns notices that nobody has taken, of up to limit
// connections. They are the caller's when its transaction is committed.
func (s *Store) TakeNoticesTx(ctx context.Context, tx pgx.Tx, limit int, now time.Time) ([]*Notice, error) {
	notices, err := many[Notice](tx.Query(ctx, `
		WITH waiting AS (
			SELECT connection_id, kind FROM notices WHERE queued_at IS NULL
			ORDER BY made_at LIMIT $1 FOR UPDATE SKIP LOCKED
		), taken AS (
			UPDATE notices n SET queued_at = $2 FROM waiting w
			WHERE n.connection_id = w.connection_id AND n.kind = w.kind
			RETURNING n.connection_id, n.kind, n.made_at
		)
		SELECT t.kind, c.user_id, c.org_id, array_agg(c.id ORDER BY c.id) AS connection_ids
		FROM taken t JOIN connections c ON c.id = t.connection_id
		GROUP BY t.kind, c.user_id, c.org_id, t.made_at
		ORDER BY t.made_at`, limit, now))
	return notices, wrap("taking notices", err)
}

// NoticedConnection is a connection with what its notice says of it.
type NoticedConnection struct {
	ListedConnection
	MadeAt time.Time // the notice: when it was true
	// Reachable: the person exists, may sign in, and has a verified address.
	Reachable bool
}

// Noticed returns the connections of a notice, those whose notice has ended
// aside, by name.
func (s *Store) Noticed(ctx context.Context, n Notice) ([]*NoticedConnection, error) {
	cs, err := many[NoticedConnection](s.pool.Query(ctx, `
		SELECT `+connectionColumns+`, o.name AS org_name, o.slug AS org_slug, u.name AS user_name, u.email AS user_email,
		       r.name AS revoked_by_name, false AS ending,
		       n.made_at, u.email_verified AND NOT u.banned AND u.deleted_at IS NULL AS reachable
		FROM notices n
		JOIN connections c ON c.id = n.connection_id
		JOIN organizations o ON o.id = c.org_id
		JOIN users u ON u.id = c.user_id
		LEFT JOIN users r ON r.id = c.revoked_by
		WHERE c.org_id = $1 AND c.user_id = $2 AND n.kind = $3 AND n.connection_id = ANY ($4) AND n.ended_at IS NULL
		ORDER BY c.client_name, c.id`, n.OrgID, n.UserID, n.Kind, n.ConnectionIDs))
	return cs, wrap("reading notice", err)
}

// EndNoticeTx records what became of a notice, unless that is recorded already.
func (s *Store) EndNoticeTx(ctx context.Context, tx pgx.Tx, n Notice, outcome NoticeOutcome, now time.Time) error {
	_, err := tx.Exec(ctx, `
		UPDATE notices n SET outcome = $5, ended_at = $6
		FROM connections c
		WHERE c.org_id = $1 AND c.user_id = $2 AND n.kind = $3 AND n.connection_id = ANY ($4)
		  AND c.id = n.connection_id AND n.ended_at IS NULL`, n.OrgID, n.UserID, n.Kind, n.ConnectionIDs, outcome, now)
	return wrap("ending notice", err)
}
