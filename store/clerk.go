package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// What Clerk says takes effect here, whoever asked: a sign-in, a consent, an
// administrator's page, a refresh, or a webhook. Each method is one transaction
// that stores Clerk's word and revokes what it no longer covers, pending
// connections too; the caller publishes the revocations that it returns.
//
// asked is the instant at which Clerk was asked, or told us. Everything about
// one person takes turns on their row of users, everything about one
// organization on its row of organizations, and a word that was asked for
// earlier than the stored one changes nothing, however late it comes.

// MembershipAge is how old Clerk's word on a person may be where it decides
// something: whoever is removed or demoted acts on it for at most this long.
const MembershipAge = time.Minute

// Delivery is the id of a webhook (svix-id), stored together with its effect.
// The empty one is no webhook. A method that is given a delivery whose effect
// is committed returns ErrConflict, and changes nothing.
type Delivery string

// deliveriesKept is how long a delivery is remembered. Svix repeats one for 28
// hours by itself, and at the press of a button for as long as it keeps it.
const deliveriesKept = 8 * 24 * time.Hour

// DeliverySeen reports whether a webhook has had its effect.
func (s *Store) DeliverySeen(ctx context.Context, id Delivery) (seen bool, err error) {
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM webhook_deliveries WHERE id = $1)`, id).Scan(&seen)
	return seen, wrap("reading webhook delivery", err)
}

// takeEffect runs f in a transaction with the delivery. Of concurrent calls with
// the same delivery all others wait for the first.
func (s *Store) takeEffect(ctx context.Context, doing string, delivery Delivery, asked time.Time, f func(pgx.Tx) ([]*Revocation, error)) (revoked []*Revocation, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if delivery != "" {
			tag, err := tx.Exec(ctx, `INSERT INTO webhook_deliveries (id, received_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`, delivery, asked)
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 0 {
				return ErrConflict
			}
		}
		revoked, err = f(tx)
		return err
	})
	if err != nil {
		return nil, wrap(doing, err)
	}
	return revoked, nil
}

// SavePerson stores a person and the whole list of their memberships as Clerk
// gave them. Memberships that are not in the list are removed. It revokes the
// person's connections to organizations that they do not belong to; of somebody
// who is banned it revokes all, and ends the browser sessions.
func (s *Store) SavePerson(ctx context.Context, u User, memberships []Membership, asked time.Time, delivery Delivery) ([]*Revocation, error) {
	// Locked in one order, or the syncs of two people would wait for each other.
	memberships = slices.SortedFunc(slices.Values(memberships), func(a, b Membership) int { return cmp.Compare(a.ID, b.ID) })
	n := len(memberships)
	ids, slugs, names, roles := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, m := range memberships {
		ids[i], slugs[i], names[i], roles[i] = m.ID, m.Slug, m.Name, m.Role
	}
	return s.takeEffect(ctx, "saving person", delivery, asked, func(tx pgx.Tx) ([]*Revocation, error) {
		tag, err := tx.Exec(ctx, `
			INSERT INTO users (id, name, email, email_verified, banned, created_at, synced_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6)
			ON CONFLICT (id) DO UPDATE
			SET name = $2, email = $3, email_verified = $4, banned = $5, synced_at = $6, deleted_at = NULL
			WHERE users.synced_at <= $6`,
			u.ID, u.Name, u.Email, u.EmailVerified, u.Banned, asked)
		if err != nil || tag.RowsAffected() == 0 {
			return nil, err
		}
		batch := &pgx.Batch{}
		batch.Queue(`
			INSERT INTO organizations (id, slug, name, created_at, synced_at)
			SELECT id, slug, name, $4, $4 FROM unnest($1::text[], $2::text[], $3::text[]) AS o (id, slug, name) ORDER BY id
			ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, name = excluded.name, synced_at = excluded.synced_at, deleted_at = NULL
			WHERE organizations.synced_at <= excluded.synced_at`, ids, slugs, names, asked)
		// An organization that is still deleted was so after this list was asked for.
		batch.Queue(`
			INSERT INTO memberships (org_id, user_id, role, synced_at)
			SELECT o.id, $3, m.role, $4
			FROM unnest($1::text[], $2::text[]) AS m (org_id, role) JOIN organizations o ON o.id = m.org_id
			WHERE o.deleted_at IS NULL
			ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role, synced_at = excluded.synced_at`, ids, roles, u.ID, asked)
		batch.Queue(`DELETE FROM memberships WHERE user_id = $1 AND org_id <> ALL ($2)`, u.ID, ids)
		batch.Queue(`DELETE FROM sessions WHERE user_id = $1 AND $2`, u.ID, u.Banned)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return nil, err
		}
		return revoke(ctx, tx, `user_id = $4 AND expires_at > $1 AND ($5 OR NOT EXISTS (
			SELECT FROM memberships m WHERE m.org_id = connections.org_id AND m.user_id = connections.user_id))`,
			asked, nil, RevokedByClerk, u.ID, u.Banned)
	})
}

// FormerMember is what is shown in place of the name of somebody who was
// forgotten.
const FormerMember = "Former member"

// ForgetUser notes that Clerk does not know a person. The id stays, for the
// audit log and for what they wrote, under the name FormerMember; their own name
// and address go, and so do memberships, browser sessions and all connections.
func (s *Store) ForgetUser(ctx context.Context, userID string, asked time.Time, delivery Delivery) ([]*Revocation, error) {
	return s.takeEffect(ctx, "forgetting person", delivery, asked, func(tx pgx.Tx) ([]*Revocation, error) {
		// Stored even if we never met them: an older answer may be under way.
		tag, err := tx.Exec(ctx, `
			INSERT INTO users (id, name, email, email_verified, created_at, synced_at, deleted_at)
			VALUES ($1, $3, '', false, $2, $2, $2)
			ON CONFLICT (id) DO UPDATE
			SET name = $3, email = '', email_verified = false, synced_at = $2, deleted_at = COALESCE(users.deleted_at, $2)
			WHERE users.synced_at <= $2`, userID, asked, FormerMember)
		if err != nil || tag.RowsAffected() == 0 {
			return nil, err
		}
		batch := &pgx.Batch{}
		batch.Queue(`DELETE FROM memberships WHERE user_id = $1`, userID)
		batch.Queue(`DELETE FROM sessions WHERE user_id = $1`, userID)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return nil, err
		}
		return revoke(ctx, tx, `user_id = $4 AND expires_at > $1`, asked, nil, RevokedByClerk, userID)
	})
}

// RemoveMember ends one membership, and the connections that rested on it, on
// the word of a webhook alone: Clerk could not be asked. What is known of the
// person's other memberships gets no younger by it.
func (s *Store) RemoveMember(ctx context.Context, orgID, userID string, told time.Time, delivery Delivery) ([]*Revocation, error) {
	return s.takeEffect(ctx, "removing member", delivery, told, func(tx pgx.Tx) ([]*Revocation, error) {
		batch := &pgx.Batch{}
		batch.Queue(`UPDATE users SET synced_at = GREATEST(synced_at, $2) WHERE id = $1`, userID, told)
		batch.Queue(`DELETE FROM memberships WHERE org_id = $1 AND user_id = $2`, orgID, userID)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return nil, err
		}
		return revoke(ctx, tx, `user_id = $4 AND org_id = $5 AND expires_at > $1`, told, nil, RevokedByClerk, userID, orgID)
	})
}

// SaveOrganization stores an organization as Clerk described it.
func (s *Store) SaveOrganization(ctx context.Context, o Organization, asked time.Time, delivery Delivery) error {
	_, err := s.takeEffect(ctx, "saving organization", delivery, asked, func(tx pgx.Tx) ([]*Revocation, error) {
		_, err := tx.Exec(ctx, `
			INSERT INTO organizations (id, slug, name, created_at, synced_at)
			VALUES ($1, $2, $3, $4, $4)
			ON CONFLICT (id) DO UPDATE SET slug = $2, name = $3, synced_at = $4, deleted_at = NULL
			WHERE organizations.synced_at <= $4`, o.ID, o.Slug, o.Name, asked)
		return nil, err
	})
	return err
}

// ForgetOrganization notes that Clerk does not know an organization. Everybody's
// memberships and connections in it end; what it recorded stays.
func (s *Store) ForgetOrganization(ctx context.Context, orgID string, asked time.Time, delivery Delivery) ([]*Revocation, error) {
	return s.takeEffect(ctx, "forgetting organization", delivery, asked, func(tx pgx.Tx) ([]*Revocation, error) {
		tag, err := tx.Exec(ctx, `
			INSERT INTO organizations (id, slug, name, created_at, synced_at, deleted_at)
			VALUES ($1, $1, $1, $2, $2, $2)
			ON CONFLICT (id) DO UPDATE SET synced_at = $2, deleted_at = COALESCE(organizations.deleted_at, $2)
			WHERE organizations.synced_at <= $2`, orgID, asked)
		if err != nil || tag.RowsAffected() == 0 {
			return nil, err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM memberships WHERE org_id = $1`, orgID); err != nil {
			return nil, err
		}
		return revoke(ctx, tx, `org_id = $4 AND expires_at > $1`, asked, nil, RevokedByClerk, orgID)
	})
}

// EndSessions ends the browser sessions of a person that began before an
// instant. Connections stay: they are not sessions.
func (s *Store) EndSessions(ctx context.Context, userID string, before, told time.Time, delivery Delivery) error {
	_, err := s.takeEffect(ctx, "ending sessions", delivery, told, func(tx pgx.Tx) ([]*Revocation, error) {
		_, err := tx.Exec(ctx, `DELETE FROM sessions WHERE user_id = $1 AND created_at < $2`, userID, before)
		return nil, err
	})
	return err
}

// MembershipSyncedAt returns when Clerk was last asked about a person who
// belongs to the organization, or ErrNotFound if they do not.
func (s *Store) MembershipSyncedAt(ctx context.Context, orgID, userID string) (at time.Time, err error) {
	type row struct{ SyncedAt time.Time }
	m, err := one[row](s.pool.Query(ctx, `SELECT synced_at FROM memberships WHERE org_id = $1 AND user_id = $2`, orgID, userID))
	if err != nil {
		return time.Time{}, wrap("reading membership", err)
	}
	return m.SyncedAt, nil
}
