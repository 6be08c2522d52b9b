package store

import (
	"context"

	"github.com/google/uuid"
)

// EscalationTarget is a layer of a policy, and the name of the schedule that it
// pages.
type EscalationTarget struct {
	EscalationLayer
	ScheduleName *string // nil where it pages people
}

// EscalationSummary is a policy with its targets by name.
type EscalationSummary struct {
	ID          uuid.UUID
	Name        string
	Description string
	Targets     []*EscalationTarget `db:"-"` // in the order they are paged; may be empty
}

// EscalationPoliciesAfter returns at most limit policies of an organization by
// id, those with a greater id than after.
func (s *Store) EscalationPoliciesAfter(ctx context.Context, orgID string, after uuid.UUID, limit int) ([]*EscalationSummary, error) {
	policies, err := many[EscalationSummary](s.pool.Query(ctx, `
		SELECT id, name, description FROM escalation_policies
		WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3`, orgID, after, limit))
	if err != nil {
		return nil, wrap("listing escalation policies", err)
	}
	byID := make(map[uuid.UUID]*EscalationSummary, len(policies))
	ids := make([]uuid.UUID, len(policies))
	for n, p := range policies {
		byID[p.ID], ids[n] = p, p.ID
	}
	targets, err := many[struct {
		PolicyID uuid.UUID
		EscalationTarget
	}](s.pool.Query(ctx, `
		SELECT l.policy_id, l.position, l.ack_timeout_minutes, l.schedule_id, l.user_ids, s.name AS schedule_name
		FROM escalation_layers l
		LEFT JOIN schedules s ON s.org_id = l.org_id AND s.id = l.schedule_id
		WHERE l.org_id = $1 AND l.policy_id = ANY ($2)
		ORDER BY l.policy_id, l.position`, orgID, ids))
	for _, t := range targets {
		byID[t.PolicyID].Targets = append(byID[t.PolicyID].Targets, &t.EscalationTarget)
	}
	return policies, wrap("listing escalation layers", err)
}
