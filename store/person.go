package store

import "context"

// User is a person as Clerk last described them.
type User struct {
	ID            string // Clerk's, user_…
	Name          string
	Email         string // primary address
	EmailVerified bool
	Banned        bool // banned or deprovisioned at Clerk
}

// Organization is a customer, as Clerk last described it.
type Organization struct {
	ID   string // Clerk's, org_…
	Slug string
	Name string
}

// Roles of a membership (Clerk's names).
const (
	RoleAdmin  = "org:admin"
	RoleMember = "org:member"
)

// Membership is a person's place in an organization. Custom roles of Clerk are
// members: only RoleAdmin administers.
type Membership struct {
	Organization
	Role string
}

// Admin reports whether the member administers the organization.
func (m Membership) Admin() bool { return m.Role == RoleAdmin }

// User returns the person with the given id, or ErrNotFound.
func (s *Store) User(ctx context.Context, id string) (*User, error) {
	u, err := one[User](s.pool.Query(ctx, `
		SELECT id, name, email, email_verified, banned FROM users WHERE id = $1 AND deleted_at IS NULL`, id))
	return u, wrap("reading user", err)
}

// Members returns the people of an organization by name, as last seen.
func (s *Store) Members(ctx context.Context, orgID string) ([]*User, error) {
	users, err := many[User](s.pool.Query(ctx, `
		SELECT u.id, u.name, u.email, u.email_verified, u.banned
		FROM memberships m JOIN users u ON u.id = m.user_id
		WHERE m.org_id = $1 AND u.deleted_at IS NULL
		ORDER BY u.name, u.id`, orgID))
	return users, wrap("reading members", err)
}
