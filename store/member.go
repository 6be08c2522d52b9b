package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Person is somebody as incidents and schedules show them: an owner, somebody
// on call, somebody paged. Name and Email are empty once the person has been
// deleted; the ID stays.
type Person struct {
	ID    string
	Name  string
	Email string
}

// Actor is who did something. Via names the client that the person did it
// through ("Alice via Claude"); it is nil in the dashboard.
type Actor struct {
	Person
	Via *string
}

// MembersByIDTx returns those of the given people who are members of the
// organization now, each once, in the order of ids. Somebody who left, was
// banned, or belongs only to another organization is not in the answer.
func (s *Store) MembersByIDTx(ctx context.Context, tx pgx.Tx, orgID string, ids []string) ([]*Person, error) {
	people, err := many[Person](tx.Query(ctx, `
		SELECT u.id, u.name, u.email
		FROM (SELECT id, min(place) AS place FROM unnest($2::text[]) WITH ORDINALITY AS t (id, place) GROUP BY id) wanted
		JOIN memberships m ON m.org_id = $1 AND m.user_id = wanted.id
		JOIN users u ON u.id = m.user_id
		WHERE m.org_id = $1 AND u.deleted_at IS NULL AND NOT u.banned
		ORDER BY wanted.place`, orgID, ids))
	return people, wrap("reading members by id", err)
}
