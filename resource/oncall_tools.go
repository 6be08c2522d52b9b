package resource

import (
	"context"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/resource/rota"
	"scaling.cloud/mcp/store"
)

// scheduleJSON is a schedule on the wire (design §11).
type scheduleJSON struct {
	ID            uuid.UUID   `json:"id"`
	Name          string      `json:"name"`
	Description   string      `json:"description"`
	Timezone      string      `json:"timezone"`
	Layers        []layerJSON `json:"layers"`
	OnCall        []shiftJSON `json:"onCall"`
	NextHandoffAt *time.Time  `json:"nextHandoffAt"`
}

type layerJSON struct {
	ID                 uuid.UUID          `json:"id"`
	Position           int                `json:"position" jsonschema:"from 0, whose person owns incidents"`
	Name               string             `json:"name"`
	RotationType       store.RotationType `json:"rotationType"`
	RotationLengthDays int                `json:"rotationLengthDays"`
	HandoffTime        string             `json:"handoffTime" jsonschema:"HH:MM in the schedule's time zone"`
	EffectiveFrom      time.Time          `json:"effectiveFrom"`
	EffectiveUntil     *time.Time         `json:"effectiveUntil"`
	Participants       []participantJSON  `json:"participants" jsonschema:"in the order of their turns"`
}

type participantJSON struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Member bool   `json:"member" jsonschema:"false: has no access to the organization any more, and is never paged"`
}

// shiftJSON is somebody on call. Layer is null for an override of a schedule
// without layers.
type shiftJSON struct {
	Person personJSON `json:"person"`
	Layer  *string    `json:"layer"`
	Until  *time.Time `json:"until" jsonschema:"when another person or nobody follows, null if never"`
}

func newShiftsJSON(shifts []rota.Shift) []shiftJSON {
	list := make([]shiftJSON, len(shifts))
	for n, s := range shifts {
		list[n] = shiftJSON{Person: personJSON(s.Person), Until: inUTC(s.Until)}
		if s.Layer != "" {
			list[n].Layer = &s.Layer
		}
	}
	return list
}

type listSchedulesInput struct {
	Limit  pageSize `json:"limit,omitempty" jsonschema:"how many schedules to return"`
	Cursor string   `json:"cursor,omitempty" jsonschema:"nextCursor of the previous page"`
}

type listSchedulesOutput struct {
	Schedules  []scheduleJSON `json:"schedules"`
	NextCursor *string        `json:"nextCursor"`
	listing
}

func (s *Server) listSchedules(ctx context.Context, c *call, in listSchedulesInput) (*listSchedulesOutput, error) {
	page, err := s.Rota.List(ctx, c.claims.OrgID, int(in.Limit), in.Cursor, s.Now())
	if err != nil {
		return nil, err
	}
	out := &listSchedulesOutput{Schedules: []scheduleJSON{}}
	shown, err := out.fill(read(page.Schedules...), scheduleItem)
	if err != nil {
		return nil, err
	}
	page = page.First(len(shown))
	for _, schedule := range page.Schedules {
		out.Schedules = append(out.Schedules, newScheduleJSON(schedule))
	}
	if page.NextCursor != "" {
		out.NextCursor = &page.NextCursor
	}
	return out, nil
}

func newScheduleJSON(s *rota.Schedule) scheduleJSON {
	j := scheduleJSON{
		ID: s.ID, Name: s.Name, Description: s.Description, Timezone: s.Timezone,
		Layers: make([]layerJSON, len(s.Layers)), OnCall: newShiftsJSON(s.OnCall), NextHandoffAt: inUTC(s.NextHandoffAt),
	}
	for n, l := range s.Layers {
		j.Layers[n] = layerJSON{
			ID: l.ID, Position: l.Position, Name: l.Name,
			RotationType: l.RotationType, RotationLengthDays: l.RotationLengthDays, HandoffTime: l.HandoffTime,
			EffectiveFrom: l.EffectiveFrom.UTC(), EffectiveUntil: inUTC(l.EffectiveUntil),
			Participants: make([]participantJSON, len(l.ParticipantIDs)),
		}
		for i, p := range s.Participants(l) {
			j.Layers[n].Participants[i] = participantJSON{p.ID, p.Name, p.Email, p.Member}
		}
	}
	return j
}

type whoIsOnCallInput struct {
	ScheduleID string `json:"scheduleId,omitempty" jsonschema:"id of the schedule to ask about, from list_schedules; all schedules without it"`
	At         string `json:"at,omitempty" jsonschema:"the RFC 3339 instant to ask about, with its offset from UTC; now without it"`
}

type whoIsOnCallOutput struct {
	At        time.Time    `json:"at"`
	Schedules []onCallJSON `json:"schedules"`
	listing
}

// onCallJSON is who is on call in a schedule (design §11).
type onCallJSON struct {
	ScheduleID    uuid.UUID     `json:"scheduleId"`
	Name          string        `json:"name"`
	Timezone      string        `json:"timezone"`
	Owner         *personJSON   `json:"owner" jsonschema:"who would own an incident of this schedule"`
	OnCall        []shiftJSON   `json:"onCall" jsonschema:"everybody who would be paged, empty if nobody would"`
	Override      *overrideJSON `json:"override" jsonschema:"who stands in for the owner at this instant"`
	NextHandoffAt *time.Time    `json:"nextHandoffAt" jsonschema:"when onCall changes, null if never"`
	Next          *nextJSON     `json:"next" jsonschema:"the next shift that somebody has"`
}

type overrideJSON struct {
	Person   personJSON `json:"person"`
	StartsAt time.Time  `json:"startsAt"`
	EndsAt   time.Time  `json:"endsAt"`
}

type nextJSON struct {
	At     time.Time    `json:"at"`
	People []personJSON `json:"people"`
}

func (s *Server) whoIsOnCall(ctx context.Context, c *call, in whoIsOnCallInput) (*whoIsOnCallOutput, error) {
	at := s.Now().Truncate(time.Second) // nothing begins or ends within one
	if in.At != "" {
		var err error
		if at, err = rota.ParseAt(in.At); err != nil {
			return nil, err
		}
	}
	out := &whoIsOnCallOutput{At: at.UTC(), Schedules: []onCallJSON{}}
	schedules := s.Rota.At(ctx, c.claims.OrgID, at)
	if in.ScheduleID != "" {
		one, err := s.Rota.One(ctx, c.claims.OrgID, in.ScheduleID, at)
		if err != nil {
			return nil, err
		}
		schedules = read(one)
	}
	shown, err := out.fill(schedules, onCallItem)
	for _, schedule := range shown {
		out.Schedules = append(out.Schedules, newOnCallJSON(schedule))
	}
	return out, err
}

func newOnCallJSON(s *rota.Schedule) onCallJSON {
	j := onCallJSON{
		ScheduleID: s.ID, Name: s.Name, Timezone: s.Timezone,
		OnCall: newShiftsJSON(s.OnCall), NextHandoffAt: inUTC(s.NextHandoffAt),
	}
	if s.Owner != nil {
		j.Owner = new(personJSON(*s.Owner))
	}
	if o := s.Override; o != nil {
		j.Override = &overrideJSON{personJSON(o.Person), o.StartsAt.UTC(), o.EndsAt.UTC()}
	}
	if s.Next != nil {
		j.Next = &nextJSON{At: s.Next.At.UTC(), People: make([]personJSON, len(s.Next.People))}
		for n, p := range s.Next.People {
			j.Next.People[n] = personJSON(p)
		}
	}
	return j
}
