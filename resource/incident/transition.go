package incident

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

// Transition moves an incident to its next status.
type Transition struct {
	SequentialID int
	Status       string
	// ResolutionNote is for members only, and allowed where Status is resolved:
	// at most MaxResolutionNote characters. Empty is none.
	ResolutionNote string
}

// Resolve resolves an incident.
type Resolve struct {
	SequentialID   int
	ResolutionNote string // as in Transition
}

// MaxResolutionNote is the most characters of a resolution note.
const MaxResolutionNote = 10_000

// Transitioned is the answer to a transition.
type Transitioned struct {
	Incident *store.Incident
	Changed  bool // false: it was in that status before, and any note was dropped
	Replayed bool // an earlier call with the same key did it
}

// Resolved is the answer to a resolution.
type Resolved struct {
	Incident    *store.Incident
	Transitions []store.StatusChange // the steps that were taken, in order; empty, never nil
	Already     bool                 // it was resolved before, and any note was dropped
	Replayed    bool                 // an earlier call with the same key did it
}

// Transition moves an incident one step forward. The status that it is in is no
// step, and changes nothing; any other is refused, and whatever is resolved
// stays so. Resolving stops the escalation.
func (s *Service) Transition(ctx context.Context, a Actor, in Transition, idempotencyKey string) (*Transitioned, error) {
	var p problems
	checkSequentialID(&p, in.SequentialID)
	oneOf(&p, "status", in.Status, store.IncidentStatuses())
	checkText(&p, "resolutionNote", in.ResolutionNote, MaxResolutionNote)
	if in.ResolutionNote != "" && in.Status != string(store.StatusResolved) {
		p.add("resolutionNote is for the status resolved alone. Leave it out, or call post_incident_update with it.")
	}
	checkKey(&p, idempotencyKey)
	if err := p.err(); err != nil {
		return nil, err
	}
	m := move("transition_incident_status", "changing status", storedMove(in))
	stored, replayed, err := once(ctx, s, a, idempotencyKey, m, func(tx pgx.Tx) (storedTransitioned, error) {
		done, err := s.transitionTx(ctx, tx, a, in)
		if err != nil {
			return storedTransitioned{}, err
		}
		return newStoredTransitioned(done), s.recordTx(ctx, tx, a, in.SequentialID)
	})
	if err != nil {
		return nil, err
	}
	done := stored.transitioned()
	done.Replayed = replayed
	return done, nil
}

func (s *Service) transitionTx(ctx context.Context, tx pgx.Tx, a Actor, in Transition) (*Transitioned, error) {
	i, err := s.lockTx(ctx, tx, a.OrgID, in.SequentialID)
	if err != nil {
		return nil, err
	}
	to := store.IncidentStatus(in.Status)
	if i.Status == to {
		return &Transitioned{Incident: i}, nil
	}
	if err := checkStep(i, to); err != nil {
		return nil, err
	}
	i, _, err = s.walkTx(ctx, tx, a, i, to, in.ResolutionNote)
	return &Transitioned{Incident: i, Changed: true}, err
}

// Resolve walks an incident through the steps that are left until it is
// resolved, all of them or none. Each is recorded; the note belongs to the last.
func (s *Service) Resolve(ctx context.Context, a Actor, in Resolve, idempotencyKey string) (*Resolved, error) {
	var p problems
	checkSequentialID(&p, in.SequentialID)
	checkText(&p, "resolutionNote", in.ResolutionNote, MaxResolutionNote)
	checkKey(&p, idempotencyKey)
	if err := p.err(); err != nil {
		return nil, err
	}
	m := move("resolve_incident", "resolving", storedMove{SequentialID: in.SequentialID, ResolutionNote: in.ResolutionNote})
	stored, replayed, err := once(ctx, s, a, idempotencyKey, m, func(tx pgx.Tx) (storedResolved, error) {
		done, err := s.resolveTx(ctx, tx, a, in)
		if err != nil {
			return storedResolved{}, err
		}
		return newStoredResolved(done), s.recordTx(ctx, tx, a, in.SequentialID)
	})
	if err != nil {
		return nil, err
	}
	done := stored.resolved()
	done.Replayed = replayed
	return done, nil
}

func (s *Service) resolveTx(ctx context.Context, tx pgx.Tx, a Actor, in Resolve) (*Resolved, error) {
	i, err := s.lockTx(ctx, tx, a.OrgID, in.SequentialID)
	if err != nil {
		return nil, err
	}
	already := i.Status == store.StatusResolved
	i, steps, err := s.walkTx(ctx, tx, a, i, store.StatusResolved, in.ResolutionNote)
	return &Resolved{Incident: i, Transitions: steps, Already: already}, err
}

// checkStep refuses what is not the next step of i.
func checkStep(i *store.Incident, to store.IncidentStatus) error {
	if i.Status == store.StatusResolved {
		return refuse(CodeIncidentResolved, "Incident %d is resolved, which is final: it cannot be reopened. If the problem is back, create a new incident.", i.SequentialID)
	}
	left := stepsAfter(i.Status)
	if to == left[0] {
		return nil
	}
	e := &Error{Code: CodeInvalidStatusTransition, ValidValues: []string{string(left[0])}}
	if slices.Contains(left, to) {
		e.Message = fmt.Sprintf("Incident %d is %s, and a status moves one step at a time: next is %s. Call again with that status; or call resolve_incident, which takes all remaining steps, if the incident is over.", i.SequentialID, i.Status, left[0])
	} else {
		e.Message = fmt.Sprintf("Incident %d is %s, and a status never moves back: next is %s. Call again with that status when it is true, or say what changed with post_incident_update.", i.SequentialID, i.Status, left[0])
	}
	return e
}

// stepsAfter returns the rest of the lifecycle.
func stepsAfter(status store.IncidentStatus) []store.IncidentStatus {
	all := store.IncidentStatuses()
	return all[slices.Index(all, status)+1:]
}

// walkTx takes every step from where i stands up to and including to, and
// returns the incident as it is then, and the steps. The caller has locked i.
func (s *Service) walkTx(ctx context.Context, tx pgx.Tx, a Actor, i *store.Incident, to store.IncidentStatus, resolutionNote string) (*store.Incident, []store.StatusChange, error) {
	steps := []store.StatusChange{}
	if i.Status == to {
		return i, steps, nil
	}
	change := a.change(s.config.Now())
	for from := i.Status; from != to; {
		step := store.StatusChange{Status: stepsAfter(from)[0]}
		if step.Status == store.StatusResolved && resolutionNote != "" {
			step.ResolutionNote = &resolutionNote
		}
		if err := s.store.ChangeStatusTx(ctx, tx, a.OrgID, i.ID, from, step.Status, step.ResolutionNote, change); err != nil {
			return nil, nil, err
		}
		steps = append(steps, step)
		from = step.Status
	}
	i, err := s.store.IncidentTx(ctx, tx, a.OrgID, i.ID)
	if err != nil {
		return nil, nil, err
	}
	for n := range steps {
		steps[n].ChangedAt = i.UpdatedAt // all of one instant, that of the last
	}
	return i, steps, nil
}
