package store

import (
	"context"

	"github.com/jackc/pgx/v5"
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
