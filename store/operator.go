package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Selection chooses connections for an operator: those that fit all of what is
// set.
type Selection struct {
	IDs    []uuid.UUID
	Org    string // id or slug
	User   string // id or e-mail address
	Client string // id, or identity (design §9)
}

// Empty reports whether nothing is set, so that every connection fits.
func (s Selection) Empty() bool {
	return len(s.IDs) == 0 && s.Org == "" && s.User == "" && s.Client == ""
}

// where is the condition that a row of connections, under the name of table,
// fits the selection; its parameters are numbered from first.
func (s Selection) where(table string, first int) (condition string, args []any) {
	ids := s.IDs
	if ids == nil {
		ids = []uuid.UUID{}
	}
	return fmt.Sprintf(`
		    (cardinality($%[2]d::uuid[]) = 0 OR %[1]s.id = ANY ($%[2]d))
		AND ($%[3]d::text = '' OR %[1]s.org_id IN (SELECT id FROM organizations WHERE $%[3]d IN (id, slug)))
		AND ($%[4]d::text = '' OR %[1]s.user_id IN (SELECT id FROM users WHERE id = $%[4]d OR lower(email) = lower($%[4]d)))
		AND ($%[5]d::text = '' OR $%[5]d IN (%[1]s.client_id, %[1]s.client_identity))`,
		table, first, first+1, first+2, first+3), []any{ids, s.Org, s.User, s.Client}
}

// Connections returns the connections that fit a selection, the newest first:
// the live ones or, with ended, those too that ended within EndedShownFor.
func (s *Store) Connections(ctx context.Context, selection Selection, ended bool, now time.Time) ([]*ListedConnection, error) {
	condition, args := selection.where("c", 3)
	cs, err := many[ListedConnection](s.pool.Query(ctx, listedConnection+`
		AND ($2 OR (c.revoked_at IS NULL AND c.expires_at > $1)) AND `+condition+`
		ORDER BY c.revoked_at IS NOT NULL, c.connected_at DESC, c.id`, append([]any{now, ended}, args...)...))
	return cs, wrap("listing connections", err)
}

// RevokeConnections ends every live connection that fits a selection, on behalf
// of the operator: pending ones too, whose code could still be redeemed. It
// returns ErrNotFound if there is none, and an error for an empty selection.
func (s *Store) RevokeConnections(ctx context.Context, selection Selection, now time.Time) ([]*Revocation, error) {
	if selection.Empty() {
		return nil, errors.New("store: refusing to revoke every connection")
	}
	condition, args := selection.where("connections", 4)
	revoked, err := revoke(ctx, s.pool, `expires_at > $1 AND `+condition, now, nil, RevokedByOperator, args...)
	if err != nil {
		return nil, wrap("revoking connections", err)
	}
	if len(revoked) == 0 {
		return nil, ErrNotFound
	}
	return revoked, nil
}
