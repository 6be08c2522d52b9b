package incident

import (
	"context"
	"errors"
	"fmt"

	"scaling.cloud/mcp/store"
)

// TimelineQuery asks for the history of one incident.
type TimelineQuery struct {
	SequentialID int
	Limit        *int   // 1 to MaxLimit; nil is DefaultLimit
	Cursor       string // NextCursor of a page of the same incident
}

// TimelinePage is a part of a timeline. NextCursor is empty on the last.
type TimelinePage struct {
	Entries    []*store.TimelineEntry
	NextCursor string
	orgID      string
	query      TimelineQuery
}

// First returns a page of the first n entries, at least one of which must be
// there. Its cursor leads to the others.
func (p *TimelinePage) First(n int) *TimelinePage {
	if n >= len(p.Entries) {
		return p
	}
	return &TimelinePage{p.Entries[:n], encodeCursor(p.query.asked(p.orgID), p.Entries[n-1].Seq), p.orgID, p.query}
}

// Timeline returns what happened to an incident, oldest first, or a not_found
// refusal. Following NextCursor neither skips nor repeats an entry, however many
// are added meanwhile: those come after the last page, or are on it.
func (s *Service) Timeline(ctx context.Context, orgID string, q TimelineQuery) (*TimelinePage, error) {
	after, limit, err := q.check(orgID)
	if err != nil {
		return nil, err
	}
	// One more shows whether a page follows.
	entries, err := s.store.Timeline(ctx, orgID, q.SequentialID, after, limit+1)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknownIncident(q.SequentialID)
	}
	if err != nil {
		return nil, fmt.Errorf("incident: reading timeline: %w", err)
	}
	all := &TimelinePage{Entries: entries, orgID: orgID, query: q}
	return all.First(limit), nil
}

// check returns after which entry the page begins, and how long it may be.
func (q TimelineQuery) check(orgID string) (after int64, limit int, err error) {
	var p problems
	checkSequentialID(&p, q.SequentialID)
	limit = checkLimit(&p, q.Limit)
	if q.Cursor != "" {
		position, ok := decodeCursor(q.asked(orgID), q.Cursor, 1)
		if !ok {
			p.add("cursor must be the nextCursor of an earlier answer for the same sequentialId. Leave it out to begin at the oldest entry.")
			return 0, 0, p.err()
		}
		after = position[0]
	}
	return after, limit, p.err()
}

// Recent returns at least the last n entries of an incident's timeline, oldest
// first: those that are added meanwhile are there, too.
func (s *Service) Recent(ctx context.Context, orgID string, sequentialID, n int) ([]*store.TimelineEntry, error) {
	after, err := s.store.TimelineEnd(ctx, orgID, sequentialID, n)
	if err != nil {
		return nil, fmt.Errorf("incident: reading a timeline: %w", err)
	}
	entries, err := s.store.Timeline(ctx, orgID, sequentialID, after, n+MaxLimit)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknownIncident(sequentialID)
	}
	if err != nil {
		return nil, fmt.Errorf("incident: reading a timeline: %w", err)
	}
	return entries, nil
}
