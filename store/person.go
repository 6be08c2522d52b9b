package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

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

// SaveUser stores what Clerk said about a person at the instant now.
func (s *Store) SaveUser(ctx context.Context, u User, now time.Time) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO users (id, name, email, email_verified, banned, created_at, synced_at)
		VALUES ($1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT (id) DO UPDATE
		SET name = $2, email = $3, email_verified = $4, banned = $5, synced_at = $6, deleted_at = NULL
		WHERE users.synced_at <= $6`,
		u.ID, u.Name, u.Email, u.EmailVerified, u.Banned, now)
	return wrap("saving user", err)
}

// User returns the person with the given id, or ErrNotFound.
func (s *Store) User(ctx context.Context, id string) (*User, error) {
	u, err := one[User](s.pool.Query(ctx, `
		SELECT id, name, email, email_verified, banned FROM users WHERE id = $1 AND deleted_at IS NULL`, id))
	return u, wrap("reading user", err)
}

// SaveMemberships stores the whole list of a person's memberships as Clerk
// gave it at the instant now; memberships that are not in it are removed.
func (s *Store) SaveMemberships(ctx context.Context, userID string, memberships []Membership, now time.Time) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		orgs := make([]string, len(memberships))
		batch := &pgx.Batch{}
		for i, m := range memberships {
			orgs[i] = m.ID
			batch.Queue(`
				INSERT INTO organizations (id, slug, name, created_at, synced_at)
				VALUES ($1, $2, $3, $4, $4)
				ON CONFLICT (id) DO UPDATE SET slug = $2, name = $3, synced_at = $4, deleted_at = NULL
				WHERE organizations.synced_at <= $4`, m.ID, m.Slug, m.Name, now)
			batch.Queue(`
				INSERT INTO memberships (org_id, user_id, role, synced_at)
				VALUES ($1, $2, $3, $4)
				ON CONFLICT (org_id, user_id) DO UPDATE SET role = $3, synced_at = $4
				WHERE memberships.synced_at <= $4`, m.ID, userID, m.Role, now)
		}
		batch.Queue(`DELETE FROM memberships WHERE user_id = $1 AND org_id <> ALL ($2) AND synced_at <= $3`, userID, orgs, now)
		return tx.SendBatch(ctx, batch).Close()
	})
	return wrap("saving memberships", err)
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
