package incident

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/resource/oncall"
	"scaling.cloud/mcp/store"
)

// responsibleTx returns the owner and the escalation policy that the arguments
// lead to. Either is nil where nothing leads to one.
func (s *Service) responsibleTx(ctx context.Context, tx pgx.Tx, orgID string, in Create, at time.Time) (owner *store.Person, policy *store.EscalationPolicy, err error) {
	if in.OwnerID != "" {
		if owner, err = s.memberTx(ctx, tx, orgID, in.OwnerID); err != nil {
			return nil, nil, err
		}
		if owner == nil {
			return nil, nil, refuse(CodeNotFound, "ownerId %s is not a member of this organization. Use the id of a member, or leave ownerId out.", quote(in.OwnerID))
		}
	}
	var matching *uuid.UUID
	if in.OwnerScheduleID != "" {
		schedule, err := s.scheduleTx(ctx, tx, orgID, in.OwnerScheduleID, at)
		if err != nil {
			return nil, nil, err
		}
		if onCall := oncall.Owner(schedule, at); owner == nil && onCall != "" {
			if owner, err = s.memberTx(ctx, tx, orgID, onCall); err != nil {
				return nil, nil, err
			}
		}
		id, err := s.store.MatchingEscalationPolicyTx(ctx, tx, orgID, schedule.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, nil, err
		}
		if err == nil {
			matching = &id
		}
	}
	if in.EscalationPolicyID != "" {
		policy, err = s.policyTx(ctx, tx, orgID, in.EscalationPolicyID)
		return owner, policy, err
	}
	if matching != nil {
		policy, err = s.store.EscalationPolicyTx(ctx, tx, orgID, *matching)
	}
	return owner, policy, err
}

// memberTx returns a member of the organization, or nil.
func (s *Service) memberTx(ctx context.Context, tx pgx.Tx, orgID, userID string) (*store.Person, error) {
	people, err := s.store.MembersByIDTx(ctx, tx, orgID, []string{userID})
	if err != nil || len(people) == 0 {
		return nil, err
	}
	return people[0], nil
}

func (s *Service) scheduleTx(ctx context.Context, tx pgx.Tx, orgID, argument string, at time.Time) (*store.Schedule, error) {
	unknown := refuse(CodeNotFound, "ownerScheduleId %s is not a schedule of this organization. Use an id from list_schedules, or leave ownerScheduleId out.", quote(argument))
	id, err := uuid.Parse(argument)
	if err != nil {
		return nil, unknown
	}
	schedule, err := s.store.ScheduleTx(ctx, tx, orgID, id, at)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknown
	}
	return schedule, err
}

func (s *Service) policyTx(ctx context.Context, tx pgx.Tx, orgID, argument string) (*store.EscalationPolicy, error) {
	unknown := refuse(CodeNotFound, "escalationPolicyId %s is not an escalation policy of this organization. Leave it out; ownerScheduleId finds the policy of a schedule.", quote(argument))
	id, err := uuid.Parse(argument)
	if err != nil {
		return nil, unknown
	}
	policy, err := s.store.EscalationPolicyTx(ctx, tx, orgID, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknown
	}
	return policy, err
}

// checkComponentsTx refuses ids that are not components of the organization;
// arguments are ids as they were sent. No tool lists components, so the refusal
// does.
func (s *Service) checkComponentsTx(ctx context.Context, tx pgx.Tx, orgID string, arguments []string, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	found, err := s.store.ComponentsExistTx(ctx, tx, orgID, ids)
	if err != nil {
		return err
	}
	known := make(map[uuid.UUID]bool, len(found))
	for _, id := range found {
		known[id] = true
	}
	var unknown []string
	for i, id := range ids {
		if !known[id] {
			unknown = append(unknown, quote(arguments[i]))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	components, err := s.store.ComponentsTx(ctx, tx, orgID)
	if err != nil {
		return err
	}
	return unknownComponents(unknown, components)
}

// Bounds of what one refusal lists: arguments that are wrong, and components
// that would be right.
const (
	mostWrong = 10
	mostValid = 50
)

func unknownComponents(unknown []string, components []*store.Component) error {
	e := &Error{Code: CodeInvalidComponentID}
	e.Message = "componentIds names what is no component of this organization: " + strings.Join(unknown[:min(len(unknown), mostWrong)], ", ")
	if more := len(unknown) - mostWrong; more > 0 {
		e.Message += fmt.Sprintf(", and %d more", more)
	}
	switch {
	case len(components) == 0:
		e.Message += ". The organization has none: leave componentIds out."
	case len(components) > mostValid:
		e.Message += fmt.Sprintf(". Use the ids of its components; the first %d of %d are listed.", mostValid, len(components))
	default:
		e.Message += ". Use the ids of its components, which are listed."
	}
	for _, c := range components[:min(len(components), mostValid)] {
		e.ValidValues = append(e.ValidValues, c.ID.String())
		e.ValidNames = append(e.ValidNames, c.Name)
	}
	return e
}
