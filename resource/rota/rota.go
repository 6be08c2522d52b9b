// Package rota answers who is on call in an organization. It takes schedules
// from the store and turns from package oncall's arithmetic, and shows people as
// paging would find them: somebody who is not a member of the organization now,
// or is banned, is paged by nobody and so is not on call, whatever the rotation
// says. It knows no MCP; its refusals are those of package incident.
package rota

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/resource/oncall"
	"scaling.cloud/mcp/store"
)

// Service answers from a store. It is safe for concurrent use.
type Service struct {
	store *store.Store
}

// New returns a Service on s.
func New(s *store.Store) *Service { return &Service{s} }

// Schedule is a schedule as it stands at an instant.
type Schedule struct {
	*store.Schedule
	OnCall        []Shift       // who can be paged; may be empty, also where it is somebody's turn
	Absent        []Shift       // whose turn it is, and who cannot be paged
	Owner         *store.Person // who bears incidents; nil is nobody
	Override      *Override     // the one that stands
	NextHandoffAt *time.Time    // when OnCall changes; nil is never
	Next          *Next         // nil: after this nobody is ever on call
	people        map[string]*store.Participant
}

// Shift is somebody in a layer.
type Shift struct {
	Person store.Person
	Layer  string     // empty for an override of a schedule without layers
	Until  *time.Time // when another person, or nobody, follows; nil is never
}

// Override is who stands in for the owner's layer, and for how long.
type Override struct {
	Person           store.Person
	StartsAt, EndsAt time.Time
}

// Next is the next shift that somebody has: NextHandoffAt, or later where nobody
// is on call in between.
type Next struct {
	At     time.Time
	People []store.Person // each once
}

// Participants returns whom a layer of the schedule names, in the order of their
// turns.
func (s *Schedule) Participants(l *store.ScheduleLayer) []store.Participant {
	list := make([]store.Participant, len(l.ParticipantIDs))
	for n, id := range l.ParticipantIDs {
		list[n] = s.participant(id)
	}
	return list
}

func (s *Schedule) participant(id string) store.Participant { return participant(s.people, id) }

// participant returns a person by id, who is only that where nothing is known
// of them.
func participant(people map[string]*store.Participant, id string) store.Participant {
	if p := people[id]; p != nil {
		return *p
	}
	return store.Participant{Person: store.Person{ID: id}}
}

// The instants that can be asked about. Beyond them the rules of time zones are
// guesses.
var (
	earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2101, 1, 1, 0, 0, 0, 0, time.UTC)
)

// ParseAt reads the instant that is asked about.
func ParseAt(at string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return t, &incident.Error{Code: incident.CodeInvalidArguments,
			Message: "at must be an RFC 3339 instant with its offset from UTC, such as 2026-01-31T09:00:00Z or 2026-01-31T10:00:00+01:00. Leave it out for now."}
	}
	if t.Before(earliest) || !t.Before(latest) {
		return t, &incident.Error{Code: incident.CodeInvalidArguments,
			Message: "at must be in the years 2000 to 2100. Leave it out for now."}
	}
	return t, nil
}

// schedulesAtOnce is how many schedules At reads at a time: about as many as an
// answer of a tool has room for.
const schedulesAtOnce = 64

// At yields the schedules of an organization as they stand at an instant, the
// oldest first. It reads them as they are asked for, because an answer may be full
// long before the last; an error is the last that it yields.
func (s *Service) At(ctx context.Context, orgID string, at time.Time) iter.Seq2[*Schedule, error] {
	return func(yield func(*Schedule, error) bool) {
		q := store.ScheduleQuery{Limit: schedulesAtOnce, Since: at}
		for {
			stored, people, err := s.schedules(ctx, orgID, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, sched := range stored {
				if !yield(stand(sched, people, at), nil) {
					return
				}
			}
			if len(stored) < schedulesAtOnce {
				return
			}
			q.After = stored[len(stored)-1].ID
		}
	}
}

// One returns a schedule as it stands at an instant, or a not_found refusal.
func (s *Service) One(ctx context.Context, orgID, scheduleID string, at time.Time) (*Schedule, error) {
	unknown := &incident.Error{Code: incident.CodeNotFound,
		Message: "This organization has no schedule with this scheduleId. Use an id from list_schedules, or leave scheduleId out to see all schedules."}
	id, err := uuid.Parse(scheduleID)
	if err != nil || id == uuid.Nil {
		return nil, unknown
	}
	stored, people, err := s.schedules(ctx, orgID, store.ScheduleQuery{ID: id, Limit: 1, Since: at})
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return nil, unknown
	}
	return stand(stored[0], people, at), nil
}

// schedules reads schedules and the people in them.
func (s *Service) schedules(ctx context.Context, orgID string, q store.ScheduleQuery) ([]*store.Schedule, map[string]*store.Participant, error) {
	stored, err := s.store.Schedules(ctx, orgID, q)
	if err != nil {
		return nil, nil, fmt.Errorf("rota: %w", err)
	}
	people, err := s.store.Participants(ctx, orgID, named(stored))
	if err != nil {
		return nil, nil, fmt.Errorf("rota: %w", err)
	}
	return stored, people, nil
}

// named returns everybody whom schedules name, each once.
func named(schedules []*store.Schedule) []string {
	var ids []string
	seen := map[string]bool{}
	add := func(id string) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for _, s := range schedules {
		for _, l := range s.Layers {
			for _, id := range l.ParticipantIDs {
				add(id)
			}
		}
		for _, o := range s.Overrides {
			add(o.UserID)
		}
	}
	return ids
}

// stand returns how a schedule stands at an instant.
func stand(stored *store.Schedule, people map[string]*store.Participant, at time.Time) *Schedule {
	s := &Schedule{Schedule: stored, people: people}
	for _, shift := range oncall.OnCall(s.Schedule, at) {
		p := s.participant(shift.PersonID)
		entry := Shift{Person: p.Person, Layer: shift.Layer}
		if until, ends := oncall.Until(s.Schedule, shift, at); ends {
			entry.Until = &until
		}
		if o := shift.Override; o != nil {
			s.Override = &Override{p.Person, o.StartsAt, o.EndsAt}
		}
		if !p.Member {
			s.Absent = append(s.Absent, entry)
			continue
		}
		s.OnCall = append(s.OnCall, entry)
	}
	if owner := s.participant(oncall.Owner(s.Schedule, at)); owner.Member {
		s.Owner = &owner.Person
	}

	if next, ok := oncall.NextHandoff(s.Schedule, at, s.member); ok {
		s.NextHandoffAt = &next
		s.Next = s.nextShift(next)
	}
	return s
}

// nextShift returns the next shift that somebody has, given the next hand-off.
func (s *Schedule) nextShift(handoff time.Time) *Next {
	people := s.membersAt(handoff)
	if len(people) > 0 {
		return &Next{handoff, people}
	}
	handoff, ok := oncall.NextHandoff(s.Schedule, handoff, s.member)
	if !ok {
		return nil
	}
	return &Next{handoff, s.membersAt(handoff)}
}

func (s *Schedule) member(id string) bool { return s.participant(id).Member }

// membersAt returns who of the members is on call at an instant, each once.
func (s *Schedule) membersAt(at time.Time) []store.Person {
	var people []store.Person
	seen := map[string]bool{}
	for _, shift := range oncall.OnCall(s.Schedule, at) {
		if p := s.participant(shift.PersonID); p.Member && !seen[p.ID] {
			seen[p.ID] = true
			people = append(people, p.Person)
		}
	}
	return people
}
