package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Policy is what an organization's administrators decided about its clients.
// One that decided nothing has DefaultPolicy.
type Policy struct {
	Clients        AdmittedClients
	AllowedClients []string // client identities (design §9); they count where Clients is ClientsOnList
	MaxAgeDays     *int     // of a connection; nil: as long as the system allows
	PublicUpdates  PublicUpdates
	ReadOnly       bool // clients read, and change nothing
	// Version grows with each change, from 0 where none was made.
	Version       int
	UpdatedAt     *time.Time
	UpdatedBy     *string // a user id
	UpdatedByName *string
}

// DefaultPolicy is that of an organization that decided nothing.
func DefaultPolicy() Policy {
	return Policy{Clients: ClientsAnyone, PublicUpdates: PublicUpdatesConfirmWhenPossible}
}

// AdmittedClients says which clients may connect to an organization.
type AdmittedClients string

// The rules, the loosest first.
const (
	ClientsAnyone   AdmittedClients = "anyone"
	ClientsVerified AdmittedClients = "verified" // whose identity was proven
	ClientsOnList   AdmittedClients = "list"     // Policy.AllowedClients
)

// PublicUpdates is what an organization's administrators decided about public
// updates that come from clients.
type PublicUpdates string

// The rules, the loosest first.
const (
	// PublicUpdatesAllow: a client posts without asking.
	PublicUpdatesAllow PublicUpdates = "allow"
	// PublicUpdatesConfirmWhenPossible: a person confirms if their client can
	// ask them. It is the rule of an organization that decided nothing.
	PublicUpdatesConfirmWhenPossible PublicUpdates = "confirm_when_possible"
	// PublicUpdatesConfirmAlways: a person confirms, in the client or in the
	// dashboard.
	PublicUpdatesConfirmAlways PublicUpdates = "confirm_always"
	// PublicUpdatesNever: clients post none.
	PublicUpdatesNever PublicUpdates = "never"
)

// Bounds of Policy.MaxAgeDays.
const (
	PolicyMinAgeDays = 1
	PolicyMaxAgeDays = 180
)

// PublicUpdates returns the organization's rule on public updates.
func (s *Store) PublicUpdates(ctx context.Context, orgID string) (PublicUpdates, error) {
	return publicUpdates(ctx, s.pool, orgID)
}

// PublicUpdatesTx does so in the transaction of the update.
func (s *Store) PublicUpdatesTx(ctx context.Context, tx pgx.Tx, orgID string) (PublicUpdates, error) {
	return publicUpdates(ctx, tx, orgID)
}

func publicUpdates(ctx context.Context, q querier, orgID string) (PublicUpdates, error) {
	row, err := one[struct{ PublicUpdates PublicUpdates }](q.Query(ctx, `
		SELECT COALESCE((SELECT public_updates FROM org_policies WHERE org_id = $1), 'confirm_when_possible') AS public_updates`, orgID))
	if err != nil {
		return "", wrap("reading policy", err)
	}
	return row.PublicUpdates, nil
}

// ReadOnly reports whether the organization lets clients read alone.
func (s *Store) ReadOnly(ctx context.Context, orgID string) (bool, error) {
	return readOnly(ctx, s.pool, orgID)
}

// ReadOnlyTx does so in the transaction of a change.
func (s *Store) ReadOnlyTx(ctx context.Context, tx pgx.Tx, orgID string) (bool, error) {
	return readOnly(ctx, tx, orgID)
}

func readOnly(ctx context.Context, q querier, orgID string) (bool, error) {
	row, err := one[struct{ ReadOnly bool }](q.Query(ctx, `
		SELECT COALESCE((SELECT read_only FROM org_policies WHERE org_id = $1), false) AS read_only`, orgID))
	if err != nil {
		return false, wrap("reading policy", err)
	}
	return row.ReadOnly, nil
}

// Policy returns the policy of an organization.
func (s *Store) Policy(ctx context.Context, orgID string) (*Policy, error) {
	p, err := one[Policy](s.pool.Query(ctx, `
		SELECT p.clients, p.allowed_clients, p.max_age_days, p.public_updates, p.read_only, p.version,
		       p.updated_at, p.updated_by, u.name AS updated_by_name
		FROM org_policies p LEFT JOIN users u ON u.id = p.updated_by
		WHERE p.org_id = $1`, orgID))
	if errors.Is(err, ErrNotFound) {
		p := DefaultPolicy()
		return &p, nil
	}
	return p, wrap("reading policy", err)
}

// lockPolicy makes the redemption of codes (shared) and changes of what an
// organization admits (exclusive) take turns, so that of the two the second sees
// what the first did: a change revokes the connection, or the code is refused.
// It is taken before the rows of people, organizations and connections. What is
// to be seen is read in a later statement than this.
//
// Consents need not wait: a connection that comes of one is pending until its
// code is redeemed. Nor do refreshes: the connection that they rest on is
// revoked, and whatever token was issued a moment before is of its old epoch.
func lockPolicy(function string) string {
	return `SELECT ` + function + `(hashtextextended('policy ' || $1::text, 0))`
}

const (
	shared    = "pg_advisory_xact_lock_shared"
	exclusive = "pg_advisory_xact_lock"
)

// ruledOut is the condition that the rule clients, with the identities in list,
// does not admit a row of connections, under the name of table.
func ruledOut(table, clients, list string) string {
	return fmt.Sprintf(`(%[2]s = 'verified' AND NOT %[1]s.client_verified OR %[2]s = 'list' AND %[1]s.client_identity <> ALL (%[3]s))`,
		table, clients, list)
}

// excluded is the condition that an organization blocks the client of a row of
// connections, under the name of table, or does not admit it. It is asked of one
// row at a time: as an expression it does not change how the row is found.
func excluded(table string) string {
	return fmt.Sprintf(`(SELECT EXISTS (SELECT FROM client_blocks b WHERE b.org_id = %[1]s.org_id AND b.client_identity = %[1]s.client_identity)
		OR EXISTS (SELECT FROM org_policies p WHERE p.org_id = %[1]s.org_id AND %[2]s))`, table, ruledOut(table, "p.clients", "p.allowed_clients"))
}

// agedOut is when a connection reaches the age in a parameter; NULL, if that is.
const agedOut = `created_at + make_interval(hours => 24 * %s)`

// expiryMargin: a connection that would expire within it is revoked instead. A
// cache may have believed in it a moment before its expiry was brought forward,
// and would for up to LivenessTTL; it hears of a revocation.
const expiryMargin = 2 * LivenessTTL

// Refusal is why an organization does not let a client connect.
type Refusal string

// The refusals.
const (
	RefusedBlocked    Refusal = "blocked"
	RefusedUnverified Refusal = "unverified"
	RefusedNotOnList  Refusal = "not_on_list"
)

// RefusedBy returns, of the given organizations, those that do not let a client
// of the given identity connect, and why.
func (s *Store) RefusedBy(ctx context.Context, orgIDs []string, identity string, verified bool) (map[string]Refusal, error) {
	rows, err := many[struct {
		OrgID  string
		Reason Refusal
	}](s.pool.Query(ctx, `
		SELECT c.org_id, CASE WHEN b.org_id IS NOT NULL THEN 'blocked' WHEN p.clients = 'verified' THEN 'unverified' ELSE 'not_on_list' END AS reason
		FROM (SELECT org_id, $2::text AS client_identity, $3::boolean AS client_verified FROM unnest($1::text[]) AS o (org_id)) c
		LEFT JOIN client_blocks b ON b.org_id = c.org_id AND b.client_identity = c.client_identity
		LEFT JOIN org_policies p ON p.org_id = c.org_id
		WHERE b.org_id IS NOT NULL OR `+ruledOut("c", "p.clients", "p.allowed_clients"), orgIDs, identity, verified))
	if err != nil {
		return nil, wrap("reading who refuses a client", err)
	}
	refused := make(map[string]Refusal, len(rows))
	for _, row := range rows {
		refused[row.OrgID] = row.Reason
	}
	return refused, nil
}

// PolicyEffect is what a policy does to the connections that live now.
type PolicyEffect struct {
	Ends     int
	People   int // whose connections end
	Shortens int // expire earlier than they would have
}

// PolicyEffect returns what p would do if it became the organization's policy.
func (s *Store) PolicyEffect(ctx context.Context, orgID string, p Policy, now time.Time) (*PolicyEffect, error) {
	expires := fmt.Sprintf(agedOut, `$5::integer`)
	e, err := one[PolicyEffect](s.pool.Query(ctx, `
		SELECT count(*) FILTER (WHERE ends) AS ends, count(DISTINCT user_id) FILTER (WHERE ends) AS people,
		       count(*) FILTER (WHERE NOT ends AND shortened) AS shortens
		FROM (
			SELECT user_id, `+ruledOut("c", "$3::text", "$4::text[]")+` OR COALESCE(`+expires+` <= $6, false) AS ends,
			       COALESCE(`+expires+` < expires_at, false) AS shortened
			FROM connections c
			WHERE org_id = $1 AND revoked_at IS NULL AND connected_at IS NOT NULL AND expires_at > $2
		) live`, orgID, now, p.Clients, list(p.AllowedClients), p.MaxAgeDays, now.Add(expiryMargin)))
	return e, wrap("foreseeing a policy", err)
}

// PolicyChange is an administrator's decision. That by administers the
// organization is the caller's to establish.
type PolicyChange struct {
	OrgID, By string
	// Policy is the new one; its Version is that of the one which the
	// administrator saw.
	Policy    Policy
	RequestID string
}

// ChangePolicy replaces an organization's policy, and in the same transaction
// revokes the connections that the new one excludes, pending ones too, brings
// forward the expiry of those that would outlive its age, and records it. An
// expiry is never put off. The revocations are to be published.
//
// It returns ErrConflict, and changes nothing, if the policy is not of the
// version that the administrator saw.
func (s *Store) ChangePolicy(ctx context.Context, c PolicyChange, now time.Time) (revoked []*Revocation, err error) {
	p := c.Policy
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockPolicy(exclusive), c.OrgID); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			INSERT INTO org_policies AS p (org_id, clients, allowed_clients, max_age_days, public_updates, read_only, version, updated_at, updated_by)
			SELECT $1, $2, $3, $4, $5, $6, 1, $7, $8
			WHERE $9 = COALESCE((SELECT version FROM org_policies WHERE org_id = $1), 0)
			ON CONFLICT (org_id) DO UPDATE
			SET clients = $2, allowed_clients = $3, max_age_days = $4, public_updates = $5, read_only = $6,
			    version = p.version + 1, updated_at = $7, updated_by = $8
			WHERE p.version = $9`,
			c.OrgID, p.Clients, list(p.AllowedClients), p.MaxAgeDays, p.PublicUpdates, p.ReadOnly, now, c.By, p.Version)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrConflict
		}
		if revoked, err = s.applyPolicyTx(ctx, tx, c.OrgID, c.By, p.MaxAgeDays, now); err != nil {
			return err
		}
		return s.RecordAuditTx(ctx, tx, inDashboard(c.OrgID, c.By, "change_policy", "", c.RequestID, now))
	})
	if err != nil {
		return nil, wrap("changing policy", err)
	}
	return revoked, nil
}

// applyPolicyTx holds the connections of an organization to its policy. All that
// are touched are locked first, in the order of everybody who locks several.
func (s *Store) applyPolicyTx(ctx context.Context, tx pgx.Tx, orgID, by string, maxAgeDays *int, now time.Time) ([]*Revocation, error) {
	if _, err := tx.Exec(ctx, `
		SELECT FROM connections
		WHERE org_id = $1 AND revoked_at IS NULL AND expires_at > $2
		  AND (`+excluded("connections")+` OR `+fmt.Sprintf(agedOut, `$3::integer`)+` < expires_at)
		ORDER BY id FOR NO KEY UPDATE`, orgID, now, maxAgeDays); err != nil {
		return nil, err
	}
	revoked, err := revoke(ctx, tx, `org_id = $4 AND expires_at > $1 AND (`+excluded("connections")+` OR `+fmt.Sprintf(agedOut, `$5::integer`)+` <= $6)`,
		now, &by, RevokedByPolicy, orgID, maxAgeDays, now.Add(expiryMargin))
	if err != nil {
		return nil, err
	}
	expires := fmt.Sprintf(agedOut, `$3::integer`)
	_, err = tx.Exec(ctx, `
		UPDATE connections SET expires_at = `+expires+`
		WHERE org_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND `+expires+` < expires_at`, orgID, now, maxAgeDays)
	return revoked, err
}

// EndedByPolicy returns how many connections an administrator's change ended at
// an instant.
func (s *Store) EndedByPolicy(ctx context.Context, orgID, by string, at time.Time) (int, error) {
	row, err := one[struct{ N int }](s.pool.Query(ctx, `
		SELECT count(*) AS n FROM connections
		WHERE org_id = $1 AND revoke_reason = 'policy' AND revoked_by = $2 AND revoked_at = $3 AND connected_at IS NOT NULL`, orgID, by, at))
	if err != nil {
		return 0, wrap("counting what a policy ended", err)
	}
	return row.N, nil
}

// inDashboard is what the audit log keeps of an administrator's action, on a client
// unless clientName is empty.
func inDashboard(orgID, userID, action, clientName, requestID string, at time.Time) AuditEvent {
	return AuditEvent{OrgID: orgID, UserID: userID, ClientName: clientName, Action: action, Outcome: OutcomeOK, At: at, RequestID: requestID}
}

// list is identities as a parameter: of none it is the empty list, and not NULL.
func list(identities []string) []string { return append([]string{}, identities...) }
