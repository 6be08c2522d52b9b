package incident

import (
	"context"
	"fmt"
	"time"

	"scaling.cloud/mcp/store"
)

// ListQuery selects incidents. Zero values select everything.
type ListQuery struct {
	Status   string
	Severity string
	From     string // created at or after: an RFC 3339 instant, or a date, which is UTC's
	To       string // created at or before: an RFC 3339 instant, or a date, to the end of that day
	Limit    *int   // 1 to MaxLimit; nil is DefaultLimit
	Cursor   string // NextCursor of a page of the same query
}

// Limits of a page.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

// Page is a part of a list. NextCursor is empty on the last.
type Page struct {
	Incidents  []*store.Incident
	NextCursor string
	orgID      string
	query      ListQuery
}

// First returns a page of the first n incidents, at least one of which must be
// there. Its cursor leads to the others.
func (p *Page) First(n int) *Page {
	if n >= len(p.Incidents) {
		return p
	}
	return &Page{p.Incidents[:n], p.query.cursor(p.orgID, p.Incidents[n-1].Position()), p.orgID, p.query}
}

// List returns incidents of an organization, newest first, without their
// descriptions. Following NextCursor neither skips nor repeats an incident,
// however many are created meanwhile: those come before the first page.
func (s *Service) List(ctx context.Context, orgID string, q ListQuery) (*Page, error) {
	selection, err := q.selection(orgID)
	if err != nil {
		return nil, err
	}
	limit := selection.Limit
	selection.Limit++ // one more shows whether a page follows
	incidents, err := s.store.Incidents(ctx, orgID, selection)
	if err != nil {
		return nil, fmt.Errorf("incident: listing: %w", err)
	}
	all := &Page{Incidents: incidents, orgID: orgID, query: q}
	return all.First(limit), nil
}

// selection checks q and puts it into store's terms.
func (q ListQuery) selection(orgID string) (store.IncidentQuery, error) {
	var selection store.IncidentQuery
	var p problems
	if q.Status != "" {
		oneOf(&p, "status", q.Status, store.IncidentStatuses())
		selection.Status = new(store.IncidentStatus(q.Status))
	}
	if q.Severity != "" {
		oneOf(&p, "severity", q.Severity, store.Severities())
		selection.Severity = new(store.Severity(q.Severity))
	}
	if q.From != "" {
		from, _, err := parseTime(q.From)
		if err != nil {
			p.add("from must be an RFC 3339 instant such as 2026-01-31T09:00:00Z, or a date such as 2026-01-31, got %s.", quote(q.From))
		}
		selection.From = &from
	}
	if q.To != "" {
		_, end, err := parseTime(q.To)
		if err != nil {
			p.add("to must be an RFC 3339 instant such as 2026-01-31T09:00:00Z, or a date such as 2026-01-31, got %s.", quote(q.To))
		}
		selection.Before = &end
	}
	if len(p.sentences) == 0 && q.From != "" && q.To != "" && !selection.From.Before(*selection.Before) {
		p.add("from must not be later than to.")
	}
	selection.Limit = checkLimit(&p, q.Limit)
	if q.Cursor != "" {
		after, ok := q.position(orgID)
		if !ok {
			p.add("cursor must be the nextCursor of an earlier answer to the same status, severity, from and to. Leave it out to begin at the newest incident.")
		}
		selection.After = &after
	}
	return selection, p.err()
}

// checkLimit returns how many items a page may have.
func checkLimit(p *problems, limit *int) int {
	if limit == nil {
		return DefaultLimit
	}
	if *limit < 1 || *limit > MaxLimit {
		p.add("limit must be between 1 and %d, got %d.", MaxLimit, *limit)
	}
	return *limit
}

// parseTime returns the instant that s names and the first one after it: a
// microsecond later, which is as finely as times are stored, or a day later for
// a date.
func parseTime(s string) (start, end time.Time, err error) {
	if start, err = time.Parse(time.DateOnly, s); err == nil {
		return start, start.AddDate(0, 0, 1), nil
	}
	if start, err = time.Parse(time.RFC3339, s); err != nil {
		return start, start, err
	}
	return start, start.Truncate(time.Microsecond).Add(time.Microsecond), nil
}
