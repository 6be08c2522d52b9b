package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// EventTypes returns every type of event, as a timeline may hold it.
func EventTypes() []EventType {
	return []EventType{
		EventCreated, EventStatusChanged, EventUpdatePosted, EventUpdateRedacted, EventPageSent, EventPageFailed,
		EventEscalationAdvanced, EventEscalationExhausted, EventAcknowledged, EventHandedOff, EventOwnerChanged, EventComponentsChanged,
	}
}

// TimelineEntry is an event as people read it. Which of the fields after Actor
// are set follows from Type.
type TimelineEntry struct {
	Seq    int64 // the place in the timeline; grows, with gaps
	ID     uuid.UUID
	Type   EventType
	At     time.Time // never earlier than that of the entry before
	Actor  *Actor    // nil where escalation acted by itself
	Status *IncidentStatus
	Note   *string // the resolution note, for members only
	Layer  *int
	Person *Person // who was paged, or became the owner
	Update *TimelineUpdate
}

// TimelineUpdate is an update as it stands now: who redacts it takes its body
// out of the entry of its posting, too.
type TimelineUpdate struct {
	ID         uuid.UUID
	Body       *string // nil once redacted
	Visibility Visibility
}

// timelineRow is a row of timelineStatement.
type timelineRow struct {
	Seq                               int64
	ID                                uuid.UUID
	Type                              EventType
	At                                time.Time
	ActorID, ActorName, ActorEmail    *string
	Via                               *string
	Status                            *IncidentStatus
	Note                              *string
	Layer                             *int
	PersonID, PersonName, PersonEmail *string
	UpdateID                          *uuid.UUID
	Body                              *string
	Visibility                        *Visibility
}

func (r *timelineRow) entry() *TimelineEntry {
	e := &TimelineEntry{Seq: r.Seq, ID: r.ID, Type: r.Type, At: r.At, Status: r.Status, Note: r.Note, Layer: r.Layer}
	if r.ActorID != nil {
		e.Actor = &Actor{Person{*r.ActorID, *r.ActorName, *r.ActorEmail}, r.Via}
	}
	if r.PersonID != nil {
		e.Person = &Person{*r.PersonID, *r.PersonName, *r.PersonEmail}
	}
	if r.UpdateID != nil {
		e.Update = &TimelineUpdate{*r.UpdateID, r.Body, *r.Visibility}
	}
	return e
}

// Timeline returns at most limit entries of an incident's history, oldest
// first, of those whose Seq is greater than after. Events of one incident commit
// in the order of Seq, so whoever goes on from the last one has missed nothing.
// ErrNotFound: the organization has no incident of that number.
func (s *Store) Timeline(ctx context.Context, orgID string, sequentialID int, after int64, limit int) ([]*TimelineEntry, error) {
	id, err := one[struct{ ID uuid.UUID }](s.pool.Query(ctx, `
		SELECT id FROM incidents WHERE org_id = $1 AND sequential_id = $2`, orgID, sequentialID))
	if err != nil {
		return nil, wrap("finding incident", err)
	}
	rows, err := many[timelineRow](s.pool.Query(ctx, timelineStatement, orgID, id.ID, after, limit))
	if err != nil {
		return nil, wrap("reading timeline", err)
	}
	entries := make([]*TimelineEntry, len(rows))
	for i, r := range rows {
		entries[i] = r.entry()
	}
	return entries, nil
}

// TimelineEnd returns the Seq after which the last n entries of an incident's
// history come: 0 if it has no more than those, or is unknown.
func (s *Store) TimelineEnd(ctx context.Context, orgID string, sequentialID, n int) (int64, error) {
	before, err := one[struct{ Seq int64 }](s.pool.Query(ctx, `
		SELECT e.seq FROM incident_events e
		WHERE e.org_id = $1 AND e.incident_id = (SELECT id FROM incidents WHERE org_id = $1 AND sequential_id = $2)
		ORDER BY e.seq DESC OFFSET $3 LIMIT 1`, orgID, sequentialID, n))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, wrap("finding the end of a timeline", err)
	}
	return before.Seq, nil
}

// timelineStatement reads a page off the primary key, and then looks up one by
// one what the page names: a page costs the same wherever it lies, in a timeline
// of any length. A prepared statement has one plan for the incident of ten
// events and for that of a hundred thousand, made for the average one, of which
// PostgreSQL would rather read and sort everything. It does not, because the
// page is cut before the joins, with a limit that is a parameter: of an unknown
// limit it assumes that only a part of the events will be wanted.
const timelineStatement = `
	SELECT e.seq, e.id, e.type, e.at, e.actor_id, actor.name AS actor_name, actor.email AS actor_email, e.via,
	       e.status, e.note, e.layer, e.person_id, person.name AS person_name, person.email AS person_email,
	       e.update_id, u.body, u.visibility
	FROM (
		SELECT * FROM incident_events
		WHERE org_id = $1 AND incident_id = $2 AND seq > $3
		ORDER BY seq
		LIMIT $4) e
	LEFT JOIN LATERAL (SELECT name, email FROM users WHERE id = e.actor_id LIMIT 1) actor ON true
	LEFT JOIN LATERAL (SELECT name, email FROM users WHERE id = e.person_id LIMIT 1) person ON true
	LEFT JOIN LATERAL (
		SELECT body, visibility FROM incident_updates
		WHERE org_id = $1 AND incident_id = $2 AND id = e.update_id
		LIMIT 1) u ON true
	ORDER BY e.seq`
