package oncall_test

import (
	"sync"
	"time"

	"scaling.cloud/mcp/store"
)

// The oracle knows no arithmetic of dates but "the day after", and no time zones
// but "what does the clock on the wall show now": it looks at the clock every
// quarter of an hour. Everything in the generated schedules begins and ends on a
// quarter, and so do the clock changes.
const step = 15 * time.Minute

// wall is what a calendar and a clock on the wall show, comparable as a number.
type wall int64

func wallOf(y int, m time.Month, d, hour, minute int) wall {
	return wall((((y*100+int(m))*100+d)*100+hour)*100 + minute)
}

// diary is what the clock on the wall of a place showed, quarter by quarter.
type diary struct {
	loc    *time.Location
	eve    time.Time // midnight at the beginning of the eve's date
	begins time.Time
	walls  []wall
}

// The diaries go from before any generated layer begins to a while after the
// last instant that is asked for.
const (
	daysBefore = 15
	daysAfter  = 12
)

// diaries returns the diary of every eve.
var diaries = sync.OnceValue(func() map[eve]*diary {
	kept := map[eve]*diary{}
	for _, e := range eves {
		loc, err := time.LoadLocation(e.zone)
		if err != nil {
			panic(err)
		}
		midnight, err := time.ParseInLocation(time.DateOnly, e.date, loc)
		if err != nil {
			panic(err)
		}
		d := &diary{loc: loc, eve: midnight, begins: midnight.Add(-daysBefore * 24 * time.Hour)}
		for at := d.begins; at.Before(midnight.Add(daysAfter * 24 * time.Hour)); at = at.Add(step) {
			local := at.In(loc)
			d.walls = append(d.walls, wallOf(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute()))
		}
		kept[e] = d
	}
	return kept
})

func (d *diary) instant(quarter int) time.Time { return d.begins.Add(time.Duration(quarter) * step) }
func (d *diary) quarter(at time.Time) int      { return int(at.Sub(d.begins) / step) }

// place is who has one place on call in each quarter of the diary, "" where
// nobody has. The overrides are of the owner's place alone.
type place struct {
	layer     *store.ScheduleLayer
	people    []string
	overrides []*store.ScheduleOverride // nil where none stands
}

// watch fills in the places of a schedule by looking at the clock.
func (d *diary) watch(s *store.Schedule) []place {
	places := make([]place, len(s.Layers))
	for n, l := range s.Layers {
		places[n] = place{l, d.turns(l), make([]*store.ScheduleOverride, len(d.walls))}
	}
	for _, o := range s.Overrides {
		for q := d.quarter(o.StartsAt); q < d.quarter(o.EndsAt); q++ {
			places[0].people[q], places[0].overrides[q] = o.UserID, o
		}
	}
	return places
}

// turns is whose turn it is in each quarter in which the layer is in effect.
func (d *diary) turns(l *store.ScheduleLayer) []string {
	people := make([]string, len(d.walls))
	handoff, err := time.Parse("15:04", l.HandoffTime)
	if err != nil {
		panic(err)
	}
	y, m, day := l.EffectiveFrom.In(d.loc).Date()
	date := time.Date(y, m, day, 0, 0, 0, 0, time.UTC)
	nextDue := func() wall {
		for range l.RotationLengthDays {
			date = date.AddDate(0, 0, 1)
		}
		return wallOf(date.Year(), date.Month(), date.Day(), handoff.Hour(), handoff.Minute())
	}
	turn, due := 0, nextDue()
	for q := d.quarter(l.EffectiveFrom); q < len(d.walls); q++ {
		if l.EffectiveUntil != nil && q == d.quarter(*l.EffectiveUntil) {
			break
		}
		for d.walls[q] >= due {
			turn, due = turn+1, nextDue()
		}
		people[q] = l.ParticipantIDs[turn%len(l.ParticipantIDs)]
	}
	return people
}

// nextChange is the first quarter after the given one in which somebody else
// has the place, len(p.people) if none is in the diary. Of people who do not
// count it is as if nobody was there.
func (p place) nextChange(after int, counts func(string) bool) int {
	person := func(q int) string {
		if !counts(p.people[q]) {
			return ""
		}
		return p.people[q]
	}
	for q := after + 1; q < len(p.people); q++ {
		if person(q) != person(after) {
			return q
		}
	}
	return len(p.people)
}
