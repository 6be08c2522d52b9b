// Package oncall is the arithmetic of on-call schedules: who is on call at an
// instant, until when, and when that changes next. It is pure: no clock, no
// database, no I/O, and the answer for an instant is computed, not walked to
// from the schedule's beginning. Who of the people named is still a member of
// the organization is for the caller to know.
//
// Hand-offs happen by the wall clock of the schedule's time zone, which some
// days misses and some days shows twice. A hand-off due at 02:30 happens at the
// first instant whose local date and time are 02:30 of that day or later:
//
//   - where the clock jumps from 02:00 to 03:00, at the jump;
//   - where 02:30 comes twice, at the first of the two;
//   - where a whole day is missing, at the beginning of the next.
//
// So there is exactly one hand-off per turn, in order, whatever the clocks do.
package oncall

import (
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// Shift is one person on call.
type Shift struct {
	LayerID  uuid.UUID // of an override, the layer at position 0; uuid.Nil if there is none
	Layer    string    // the layer's name
	PersonID string
	Override *store.ScheduleOverride // the override that put the person there
}

// OnCall returns who is on call at an instant: the layers in effect by
// position, each with the participant whose turn it is. An override puts its
// person in the place of the layer at position 0, also while that layer is not
// in effect. Of overlapping overrides the one made last counts. A person may
// appear in several shifts. Nobody on call is an empty list.
func OnCall(s *store.Schedule, at time.Time) []Shift {
	var shifts []Shift
	for _, l := range lanes(s) {
		if shift := l.shift(at); shift.PersonID != "" {
			shifts = append(shifts, shift)
		}
	}
	return shifts
}

// Owner returns who bears incidents at an instant: the override's person, or
// the layer at position 0's. It is empty where neither has one, even if other
// layers have somebody on call.
func Owner(s *store.Schedule, at time.Time) (personID string) {
	return ownerLane(s).shift(at).PersonID
}

// Until returns when the shift of OnCall at an instant ends: when another person
// or nobody follows in its place. It returns false if it never ends.
func Until(s *store.Schedule, shift Shift, at time.Time) (time.Time, bool) {
	for _, l := range lanes(s) {
		if l.id() == shift.LayerID {
			return l.nextChange(at, everybody)
		}
	}
	return time.Time{}, false
}

// NextHandoff returns the first instant later than after at which it changes who
// of the people that counts accepts is on call: another person in a layer, or one
// less or more. It returns false where nothing ever changes again. Where the same
// person goes on, by taking the next turn or by an override, nobody hands off to
// anybody.
func NextHandoff(s *store.Schedule, after time.Time, counts func(personID string) bool) (first time.Time, ok bool) {
	for _, l := range lanes(s) {
		if t, changes := l.nextChange(after, counts); changes && (!ok || t.Before(first)) {
			first, ok = t, true
		}
	}
	return first, ok
}

func everybody(string) bool { return true }
