package store

import "context"

// Member is a person and what they are in an organization.
type Member struct {
	Person
	Role string
}

// MembersAfter returns at most limit members of an organization by id, those
// with a greater id than after. It leaves out who is banned, as MembersByIDTx
// does.
func (s *Store) MembersAfter(ctx context.Context, orgID, after string, limit int) ([]*Member, error) {
	members, err := many[Member](s.pool.Query(ctx, `
		SELECT u.id, u.name, u.email, m.role
		FROM memberships m JOIN users u ON u.id = m.user_id
		WHERE m.org_id = $1 AND m.user_id > $2 AND u.deleted_at IS NULL AND NOT u.banned
		ORDER BY m.user_id LIMIT $3`, orgID, after, limit))
	return members, wrap("listing members", err)
}
