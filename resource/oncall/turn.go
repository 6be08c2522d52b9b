package oncall

import (
	"time"

	"scaling.cloud/mcp/store"
)

// A layer's turns are counted from 0, which begins at EffectiveFrom. Turn n
// begins n × RotationLengthDays days after EffectiveFrom's local date, at
// HandoffTime.

// turnAt returns the turn that a layer is in at an instant not before its
// EffectiveFrom.
func turnAt(l *store.ScheduleLayer, loc *time.Location, at time.Time) int {
	// The local date alone is off by at most a turn: the hand-off may be later
	// that day, or the clock may have gone back over midnight.
	turn := max(0, (day(at.In(loc))-day(l.EffectiveFrom.In(loc)))/l.RotationLengthDays)
	for turn > 0 && turnStart(l, loc, turn).After(at) {
		turn--
	}
	for !turnStart(l, loc, turn+1).After(at) {
		turn++
	}
	return turn
}

// participant returns whose a turn is.
func participant(l *store.ScheduleLayer, turn int) string {
	return l.ParticipantIDs[turn%len(l.ParticipantIDs)]
}

// nextTurn returns when the layer next passes to another person after an
// instant, as if it had no end. People who do not count are one, nobody. It
// returns false if all participants are one.
func nextTurn(l *store.ScheduleLayer, loc *time.Location, after time.Time, counts func(string) bool) (time.Time, bool) {
	person := func(turn int) string {
		if id := participant(l, turn); counts(id) {
			return id
		}
		return ""
	}
	turn := turnAt(l, loc, after)
	for next := turn + 1; next < turn+len(l.ParticipantIDs); next++ {
		if person(next) != person(turn) {
			return turnStart(l, loc, next), true
		}
	}
	return time.Time{}, false
}

// turnStart returns when turn n, at least 1, begins.
func turnStart(l *store.ScheduleLayer, loc *time.Location, n int) time.Time {
	y, m, d := l.EffectiveFrom.In(loc).Date()
	hour, minute := clock(l.HandoffTime)
	return firstInstant(time.Date(y, m, d+n*l.RotationLengthDays, hour, minute, 0, 0, time.UTC), loc)
}

// firstInstant returns the first instant at which the wall clock in loc shows
// what wall shows in UTC, or later.
func firstInstant(wall time.Time, loc *time.Location) time.Time {
	// No zone is or was as far as 24 hours from UTC, so at this instant the clock shows
	// less than wall. Each period of constant offset from there on either reaches wall
	// or ends before it, which takes no more than a few of them.
	for t := wall.Add(-24 * time.Hour).In(loc); ; {
		_, offset := t.Zone()
		_, end := t.ZoneBounds()
		reached := wall.Add(-time.Duration(offset) * time.Second).In(loc)
		if reached.Before(t) {
			reached = t // the clock jumped over wall at t
		}
		if end.IsZero() || reached.Before(end) {
			return reached
		}
		t = end
	}
}

// day numbers the local date of t.
func day(t time.Time) int {
	y, m, d := t.Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
}

// clock splits a HandoffTime, HH:MM.
func clock(s string) (hour, minute int) {
	two := func(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }
	return two(s[:2]), two(s[3:])
}
