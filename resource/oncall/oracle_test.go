package oncall_test

import (
	"time"

	"scaling.cloud/mcp/resource/oncall"
	"scaling.cloud/mcp/store"
)

// The oracle knows no dates arithmetic but "the day after", and no time zones
// but "what does the clock on the wall show now": it looks at the clock every
// quarter of an hour from a layer's beginning on. Everything in the generated
// schedules begins and ends on a quarter, and so do the clock changes.
const step = 15 * time.Minute

// wall is what a calendar and a clock on the wall show, comparable as a number.
type wall int64

func wallAt(t time.Time, loc *time.Location) wall {
	y, m, d := t.In(loc).Date()
	hour, minute, _ := t.In(loc).Clock()
	return wallOf(y, m, d, hour, minute)
}

func wallOf(y int, m time.Month, d, hour, minute int) wall {
	return wall((((y*100+int(m))*100+d)*100+hour)*100 + minute)
}

// watch calls see with every quarter from the layer's beginning up to the
// given instant, and the participant whose turn it is then.
func watch(l *store.ScheduleLayer, loc *time.Location, upTo time.Time, see func(at time.Time, person string)) {
	handoff, err := time.Parse("15:04", l.HandoffTime)
	if err != nil {
		panic(err)
	}
	y, m, d := l.EffectiveFrom.In(loc).Date()
	date := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	nextDue := func() wall {
		for range l.RotationLengthDays {
			date = date.AddDate(0, 0, 1)
		}
		return wallOf(date.Year(), date.Month(), date.Day(), handoff.Hour(), handoff.Minute())
	}
	turn, due := 0, nextDue()
	for at := l.EffectiveFrom; !at.After(upTo); at = at.Add(step) {
		for wallAt(at, loc) >= due {
			turn, due = turn+1, nextDue()
		}
		see(at, l.ParticipantIDs[turn%len(l.ParticipantIDs)])
	}
}

// timeline is who is on call in each quarter from from to to, both included.
func timeline(s *store.Schedule, from, to time.Time) [][]oncall.Shift {
	quarters := make([][]oncall.Shift, to.Sub(from)/step+1)
	overrides := make([]*store.ScheduleOverride, len(quarters))
	for i := range quarters {
		at := from.Add(time.Duration(i) * step)
		for _, o := range s.Overrides {
			if !at.Before(o.StartsAt) && at.Before(o.EndsAt) {
				overrides[i] = o
			}
		}
		if o := overrides[i]; o != nil {
			quarters[i] = append(quarters[i], oncall.Shift{LayerID: s.Layers[0].ID, Layer: s.Layers[0].Name, PersonID: o.UserID, Override: o})
		}
	}
	for n, l := range s.Layers {
		watch(l, s.Location, to, func(at time.Time, person string) {
			if at.Before(from) {
				return
			}
			if l.EffectiveUntil != nil && !at.Before(*l.EffectiveUntil) {
				return
			}
			i := at.Sub(from) / step
			if n == 0 && overrides[i] != nil {
				return
			}
			quarters[i] = append(quarters[i], oncall.Shift{LayerID: l.ID, Layer: l.Name, PersonID: person})
		})
	}
	return quarters
}
