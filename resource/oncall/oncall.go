// Package oncall is the arithmetic of on-call schedules: who is on call at an
// instant, and when that changes next. It is pure: no clock, no database, no
// I/O, and the answer for an instant is computed, not walked to from the
// schedule's beginning. Who of the people named is still a member of the
// organization is for the caller to ask.
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
	"slices"
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
	override := overrideAt(s, at)
	if override != nil {
		shift := Shift{PersonID: override.UserID, Override: override}
		if owner := ownerLayer(s); owner != nil {
			shift.LayerID, shift.Layer = owner.ID, owner.Name
		}
		shifts = append(shifts, shift)
	}
	for _, l := range s.Layers {
		if !inEffect(l, at) || l.Position == 0 && override != nil {
			continue
		}
		turn := turnAt(l, s.Location, at)
		shifts = append(shifts, Shift{LayerID: l.ID, Layer: l.Name, PersonID: l.ParticipantIDs[turn%len(l.ParticipantIDs)]})
	}
	return shifts
}

// Owner returns who bears incidents at an instant: the override's person, or
// the layer at position 0's. It is empty where neither has one, even if other
// layers have somebody on call.
func Owner(s *store.Schedule, at time.Time) (personID string) {
	if o := overrideAt(s, at); o != nil {
		return o.UserID
	}
	if l := ownerLayer(s); l != nil && inEffect(l, at) {
		return l.ParticipantIDs[turnAt(l, s.Location, at)%len(l.ParticipantIDs)]
	}
	return ""
}

// NextHandoff returns the first instant later than after at which OnCall
// changes: another person in a layer, or a layer that begins or ends. It returns
// false where nothing ever changes again. Where the same person goes on, by
// taking the next turn or by an override, nobody hands off to anybody.
func NextHandoff(s *store.Schedule, after time.Time) (time.Time, bool) {
	before := OnCall(s, after)
	for at := after; ; {
		next, ok := nextBoundary(s, at)
		if !ok {
			return time.Time{}, false
		}
		if !slices.EqualFunc(before, OnCall(s, next), sameShift) {
			return next, true
		}
		at = next
	}
}

func sameShift(a, b Shift) bool { return a.LayerID == b.LayerID && a.PersonID == b.PersonID }

// nextBoundary returns the first instant later than after at which something
// begins or ends that may change who is on call. While an override stands, the
// turns of layer 0 change nothing; that keeps the boundaries that turn out to
// change nothing as few as the overrides.
func nextBoundary(s *store.Schedule, after time.Time) (first time.Time, ok bool) {
	consider := func(t time.Time) {
		if t.After(after) && (!ok || t.Before(first)) {
			first, ok = t, true
		}
	}
	for _, o := range s.Overrides {
		consider(o.StartsAt)
		consider(o.EndsAt)
	}
	overridden := overrideAt(s, after) != nil
	for _, l := range s.Layers {
		consider(l.EffectiveFrom)
		if l.EffectiveUntil != nil {
			consider(*l.EffectiveUntil)
		}
		if !inEffect(l, after) || l.Position == 0 && overridden {
			continue
		}
		if t, changes := nextTurn(l, s.Location, after); changes && inEffect(l, t) {
			consider(t)
		}
	}
	return first, ok
}

func overrideAt(s *store.Schedule, at time.Time) *store.ScheduleOverride {
	for _, o := range slices.Backward(s.Overrides) {
		if !at.Before(o.StartsAt) && at.Before(o.EndsAt) {
			return o
		}
	}
	return nil
}

func ownerLayer(s *store.Schedule) *store.ScheduleLayer {
	if len(s.Layers) > 0 && s.Layers[0].Position == 0 {
		return s.Layers[0]
	}
	return nil
}

func inEffect(l *store.ScheduleLayer, at time.Time) bool {
	return !at.Before(l.EffectiveFrom) && (l.EffectiveUntil == nil || at.Before(*l.EffectiveUntil))
}
