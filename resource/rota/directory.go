package rota

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// Members returns at most limit people who belong to an organization now, those
// after the one with the given id; an empty one begins at the first.
func (s *Service) Members(ctx context.Context, orgID, after string, limit int) ([]*store.Member, error) {
	members, err := s.store.MembersAfter(ctx, orgID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("rota: %w", err)
	}
	return members, nil
}

// Policy is an escalation policy, whom it pages by name.
type Policy struct {
	ID                uuid.UUID
	Name, Description string
	Layers            []PolicyLayer
}

// PolicyLayer is whom to page at once: a schedule, or people.
type PolicyLayer struct {
	Position          int // from 1
	AckTimeoutMinutes int
	ScheduleID        uuid.UUID // uuid.Nil where it pages people
	ScheduleName      string
	People            []store.Participant
}

// Policies returns at most limit escalation policies of an organization, those
// after the one with the given id; uuid.Nil begins at the first.
func (s *Service) Policies(ctx context.Context, orgID string, after uuid.UUID, limit int) ([]*Policy, error) {
	stored, err := s.store.EscalationPoliciesAfter(ctx, orgID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("rota: %w", err)
	}
	var ids []string
	for _, p := range stored {
		for _, t := range p.Targets {
			ids = append(ids, t.UserIDs...)
		}
	}
	people, err := s.store.Participants(ctx, orgID, ids)
	if err != nil {
		return nil, fmt.Errorf("rota: %w", err)
	}
	list := make([]*Policy, len(stored))
	for n, p := range stored {
		list[n] = &Policy{ID: p.ID, Name: p.Name, Description: p.Description}
		for _, t := range p.Targets {
			layer := PolicyLayer{Position: t.Position, AckTimeoutMinutes: t.AckTimeoutMinutes}
			if t.ScheduleID != nil {
				layer.ScheduleID, layer.ScheduleName = *t.ScheduleID, *t.ScheduleName
			}
			for _, id := range t.UserIDs {
				layer.People = append(layer.People, participant(people, id))
			}
			list[n].Layers = append(list[n].Layers, layer)
		}
	}
	return list, nil
}
