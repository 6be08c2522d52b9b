package rota

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// Page is a part of the list of schedules. NextCursor is empty on the last.
type Page struct {
	Schedules  []*Schedule
	NextCursor string
	orgID      string
}

// First returns a page of the first n schedules, at least one of which must be
// there. Its cursor leads to the others.
func (p *Page) First(n int) *Page {
	if n >= len(p.Schedules) {
		return p
	}
	return &Page{p.Schedules[:n], cursor(p.orgID, p.Schedules[n-1].ID), p.orgID}
}

// List returns at most limit schedules as they stand at an instant, the oldest
// first. Following NextCursor shows each schedule that was there at the
// beginning once, whatever is created or renamed meanwhile.
func (s *Service) List(ctx context.Context, orgID string, limit int, after string, at time.Time) (*Page, error) {
	q := store.ScheduleQuery{Limit: limit + 1, Since: at} // one more shows whether a page follows
	if after != "" {
		id, ok := position(orgID, after)
		if !ok {
			return nil, &incident.Error{Code: incident.CodeInvalidArguments,
				Message: "cursor must be the nextCursor of an earlier answer. Leave it out to begin at the first schedule."}
		}
		q.After = id
	}
	stored, people, err := s.schedules(ctx, orgID, q)
	if err != nil {
		return nil, err
	}
	all := &Page{Schedules: make([]*Schedule, len(stored)), orgID: orgID}
	for n, sched := range stored {
		all.Schedules[n] = stand(sched, people, at)
	}
	return all.First(limit), nil
}

// A cursor is the id of the last schedule of a page, and a digest that catches
// one that was cut, edited, or brought to another organization. It is no secret.
const (
	cursorVersion = 's' // no other list's cursor begins with it
	cursorDigest  = 8
)

func cursor(orgID string, last uuid.UUID) string {
	b := append([]byte{cursorVersion}, last[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, digest(orgID, b)...))
}

// position reads a cursor. It returns false if that is none of the
// organization's.
func position(orgID, cursor string) (uuid.UUID, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return uuid.Nil, false
	}
	end := 1 + len(uuid.UUID{})
	if len(b) != end+cursorDigest || b[0] != cursorVersion {
		return uuid.Nil, false
	}
	if !slices.Equal(b[end:], digest(orgID, b[:end])) {
		return uuid.Nil, false
	}
	return uuid.UUID(b[1:end]), true
}

func digest(orgID string, position []byte) []byte {
	sum := sha256.Sum256(append([]byte(orgID), position...))
	return sum[:cursorDigest]
}
