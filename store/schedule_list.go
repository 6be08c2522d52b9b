package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ScheduleQuery selects schedules of one organization.
type ScheduleQuery struct {
	ID    uuid.UUID // this one alone; uuid.Nil selects all
	After uuid.UUID // those with a greater id; uuid.Nil begins at the first
	Limit int
	Since time.Time // of their overrides, those that end later
}

// Schedules returns schedules of an organization by id, which is the order in
// which they were created and, unlike one by name, never changes. All are of one
// instant. However many there are, it takes the same number of statements.
func (s *Store) Schedules(ctx context.Context, orgID string, q ScheduleQuery) (schedules []*Schedule, err error) {
	page := `SELECT id FROM schedules WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3`
	from := q.After
	if q.ID != uuid.Nil {
		page, from = `SELECT id FROM schedules WHERE org_id = $1 AND id = $2 LIMIT $3`, q.ID
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT id, name, description, timezone FROM schedules
		WHERE org_id = $1 AND id IN (`+page+`) ORDER BY id`, orgID, from, q.Limit)
	batch.Queue(`
		SELECT id, schedule_id, position, name, rotation_type, rotation_length_days, handoff_time,
		       effective_from, effective_until, participant_ids
		FROM schedule_layers WHERE org_id = $1 AND schedule_id IN (`+page+`) ORDER BY schedule_id, position`,
		orgID, from, q.Limit)
	batch.Queue(`
		SELECT id, schedule_id, user_id, starts_at, ends_at, created_at
		FROM schedule_overrides WHERE org_id = $1 AND schedule_id IN (`+page+`) AND ends_at > $4
		ORDER BY schedule_id, created_at, id`, orgID, from, q.Limit, q.Since)

	// A snapshot, so that the statements select the same page.
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
		results := tx.SendBatch(ctx, batch)
		defer results.Close()
		if schedules, err = many[Schedule](results.Query()); err != nil {
			return err
		}
		byID := make(map[uuid.UUID]*Schedule, len(schedules))
		for _, sched := range schedules {
			if sched.Location, err = s.location(sched.Timezone); err != nil {
				return err
			}
			byID[sched.ID] = sched
		}
		layers, err := many[ScheduleLayer](results.Query())
		if err != nil {
			return err
		}
		for _, l := range layers {
			byID[l.ScheduleID].Layers = append(byID[l.ScheduleID].Layers, l)
		}
		overrides, err := many[ScheduleOverride](results.Query())
		if err != nil {
			return err
		}
		for _, o := range overrides {
			byID[o.ScheduleID].Overrides = append(byID[o.ScheduleID].Overrides, o)
		}
		return results.Close()
	})
	return schedules, wrap("listing schedules", err)
}

// Participant is somebody whom a schedule or an escalation policy names.
type Participant struct {
	Person
	Member bool // of the organization, now: can be paged, as MembersByIDTx has it
}

// Participants returns the given people by id, as far as they are known. They
// must have been named by a row of the organization: whoever left it keeps their
// place there, and the name.
func (s *Store) Participants(ctx context.Context, orgID string, ids []string) (map[string]*Participant, error) {
	list, err := many[Participant](s.pool.Query(ctx, `
		SELECT u.id, u.name, u.email, m.user_id IS NOT NULL AND u.deleted_at IS NULL AND NOT u.banned AS member
		FROM users u
		LEFT JOIN memberships m ON m.org_id = $1 AND m.user_id = u.id
		WHERE u.id = ANY ($2)`, orgID, ids))
	if err != nil {
		return nil, wrap("reading participants", err)
	}
	people := make(map[string]*Participant, len(list))
	for _, p := range list {
		people[p.ID] = p
	}
	return people, nil
}
