package oncall

import (
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// lane is one place on call: a layer, and the overrides that take it.
type lane struct {
	layer     *store.ScheduleLayer      // nil: the schedule has no layer at position 0
	overrides []*store.ScheduleOverride // of two at the same time, the later in the list counts
	loc       *time.Location
}

// lanes returns the places of a schedule, the owner's first.
func lanes(s *store.Schedule) []lane {
	owner := ownerLane(s)
	list := append(make([]lane, 0, len(s.Layers)+1), owner)
	for _, l := range s.Layers {
		if l != owner.layer {
			list = append(list, lane{layer: l, loc: s.Location})
		}
	}
	return list
}

func ownerLane(s *store.Schedule) lane {
	l := lane{overrides: s.Overrides, loc: s.Location}
	if len(s.Layers) > 0 && s.Layers[0].Position == 0 {
		l.layer = s.Layers[0]
	}
	return l
}

func (l lane) id() uuid.UUID {
	if l.layer == nil {
		return uuid.Nil
	}
	return l.layer.ID
}

// shift returns who has the place at an instant, a Shift without a person if
// nobody has.
func (l lane) shift(at time.Time) Shift {
	shift := Shift{LayerID: l.id()}
	if l.layer != nil {
		shift.Layer = l.layer.Name
	}
	if o := l.overrideAt(at); o != nil {
		shift.PersonID, shift.Override = o.UserID, o
	} else if l.inEffect(at) {
		shift.PersonID = participant(l.layer, turnAt(l.layer, l.loc, at))
	}
	return shift
}

// person is shift's person, or empty if that person does not count.
func (l lane) person(at time.Time, counts func(string) bool) string {
	if id := l.shift(at).PersonID; id != "" && counts(id) {
		return id
	}
	return ""
}

// nextChange returns the first instant later than after at which the place
// passes to another person or to nobody, where people who do not count are
// nobody. It returns false if it never does.
func (l lane) nextChange(after time.Time, counts func(string) bool) (time.Time, bool) {
	before := l.person(after, counts)
	for at := after; ; {
		next, ok := l.nextBoundary(at, counts)
		if !ok {
			return time.Time{}, false
		}
		if l.person(next, counts) != before {
			return next, true
		}
		at = next
	}
}

// nextBoundary returns the first instant later than after at which something
// begins or ends that may change whose the place is. While an override stands,
// the layer's turns change nothing; that keeps the boundaries that turn out to
// change nothing as few as the overrides.
func (l lane) nextBoundary(after time.Time, counts func(string) bool) (first time.Time, ok bool) {
	consider := func(t time.Time) {
		if t.After(after) && (!ok || t.Before(first)) {
			first, ok = t, true
		}
	}
	for _, o := range l.overrides {
		consider(o.StartsAt)
		consider(o.EndsAt)
	}
	if l.layer == nil {
		return first, ok
	}
	consider(l.layer.EffectiveFrom)
	if until := l.layer.EffectiveUntil; until != nil {
		consider(*until)
	}
	if l.inEffect(after) && l.overrideAt(after) == nil {
		if t, changes := nextTurn(l.layer, l.loc, after, counts); changes && l.inEffect(t) {
			consider(t)
		}
	}
	return first, ok
}

func (l lane) overrideAt(at time.Time) *store.ScheduleOverride {
	for n := len(l.overrides) - 1; n >= 0; n-- {
		if o := l.overrides[n]; !at.Before(o.StartsAt) && at.Before(o.EndsAt) {
			return o
		}
	}
	return nil
}

func (l lane) inEffect(at time.Time) bool {
	return l.layer != nil && !at.Before(l.layer.EffectiveFrom) &&
		(l.layer.EffectiveUntil == nil || at.Before(*l.layer.EffectiveUntil))
}
