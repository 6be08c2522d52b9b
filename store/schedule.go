package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Schedule says who is on call when. Package oncall reads it.
type Schedule struct {
	ID          uuid.UUID
	Name        string // unique in the organization
	Description string
	Timezone    string              // IANA name, of the hand-off times
	Location    *time.Location      `db:"-"` // Timezone, loaded
	Layers      []*ScheduleLayer    `db:"-"` // by position
	Overrides   []*ScheduleOverride `db:"-"` // oldest first; where two overlap, the newer counts
}

// RotationType names a rotation's length.
type RotationType string

// The rotation types.
const (
	RotationDaily  RotationType = "daily"
	RotationWeekly RotationType = "weekly"
	RotationCustom RotationType = "custom" // any number of days
)

// ScheduleLayer is a rotation: its participants take turns, each for
// RotationLengthDays days. Every layer that is in effect has somebody on call;
// the one at position 0 bears the owner of incidents.
type ScheduleLayer struct {
	ID                 uuid.UUID
	ScheduleID         uuid.UUID
	Position           int // from 0
	Name               string
	RotationType       RotationType
	RotationLengthDays int        // at least 1
	HandoffTime        string     // HH:MM in the schedule's zone
	EffectiveFrom      time.Time  // the first participant is on call from here
	EffectiveUntil     *time.Time // exclusive; nil is without end
	ParticipantIDs     []string   // user ids in the order of their turns, at least one
}

// ScheduleOverride puts one person in the place of the layer at position 0.
type ScheduleOverride struct {
	ID         uuid.UUID
	ScheduleID uuid.UUID
	UserID     string
	StartsAt   time.Time
	EndsAt     time.Time // exclusive
	CreatedAt  time.Time
}

// CreateScheduleTx creates a schedule with its layers and overrides, and
// returns its id. The ids in sched are ignored, and so are the positions of
// layers: they count as listed. ErrConflict: the organization has a schedule of
// that name.
func (s *Store) CreateScheduleTx(ctx context.Context, tx pgx.Tx, orgID string, sched Schedule, c Change) (uuid.UUID, error) {
	if _, err := s.location(sched.Timezone); err != nil {
		return uuid.Nil, wrap("creating schedule", err)
	}
	id := uuid.Must(uuid.NewV7())
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO schedules (org_id, id, name, description, timezone, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, orgID, id, sched.Name, sched.Description, sched.Timezone, c.UserID, c.At)
	for position, l := range sched.Layers {
		batch.Queue(`
			INSERT INTO schedule_layers (org_id, schedule_id, id, position, name, rotation_type, rotation_length_days,
			                             handoff_time, effective_from, effective_until, participant_ids)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			orgID, id, uuid.Must(uuid.NewV7()), position, l.Name, l.RotationType, l.RotationLengthDays,
			l.HandoffTime, l.EffectiveFrom, l.EffectiveUntil, l.ParticipantIDs)
	}
	for _, o := range sched.Overrides {
		batch.Queue(`
			INSERT INTO schedule_overrides (org_id, schedule_id, id, user_id, starts_at, ends_at, created_by, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			orgID, id, uuid.Must(uuid.NewV7()), o.UserID, o.StartsAt, o.EndsAt, c.UserID, c.At)
	}
	err := tx.SendBatch(ctx, batch).Close()
	if violates(err, "schedules_name_unique") {
		return uuid.Nil, ErrConflict
	}
	return id, wrap("creating schedule", err)
}

// ScheduleTx returns a schedule, or ErrNotFound. Of its overrides it has those
// that end after since.
func (s *Store) ScheduleTx(ctx context.Context, tx pgx.Tx, orgID string, id uuid.UUID, since time.Time) (*Schedule, error) {
	sched, err := one[Schedule](tx.Query(ctx, `
		SELECT id, name, description, timezone FROM schedules WHERE org_id = $1 AND id = $2`, orgID, id))
	if err != nil {
		return nil, wrap("reading schedule", err)
	}
	if sched.Location, err = s.location(sched.Timezone); err != nil {
		return nil, wrap("reading schedule", err)
	}
	sched.Layers, err = many[ScheduleLayer](tx.Query(ctx, `
		SELECT id, schedule_id, position, name, rotation_type, rotation_length_days, handoff_time,
		       effective_from, effective_until, participant_ids
		FROM schedule_layers WHERE org_id = $1 AND schedule_id = $2 ORDER BY position`, orgID, id))
	if err != nil {
		return nil, wrap("reading schedule layers", err)
	}
	sched.Overrides, err = many[ScheduleOverride](tx.Query(ctx, `
		SELECT id, schedule_id, user_id, starts_at, ends_at, created_at
		FROM schedule_overrides WHERE org_id = $1 AND schedule_id = $2 AND ends_at > $3
		ORDER BY created_at, id`, orgID, id, since))
	return sched, wrap("reading schedule overrides", err)
}

// location returns an IANA time zone. LoadLocation reads it from a file, which
// costs more than all else there is to a schedule, so it is kept: there are a few
// hundred.
func (s *Store) location(timezone string) (*time.Location, error) {
	if kept, ok := s.zones.Load(timezone); ok {
		return kept.(*time.Location), nil
	}
	// LoadLocation also takes these, which would mean UTC and this server's zone.
	if timezone == "" || timezone == "Local" {
		return nil, fmt.Errorf("%q is not an IANA time zone", timezone)
	}
	loc, err := time.LoadLocation(timezone)
	if err == nil {
		s.zones.Store(timezone, loc)
	}
	return loc, err
}
