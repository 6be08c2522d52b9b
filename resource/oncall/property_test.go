package oncall_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"scaling.cloud/mcp/resource/oncall"
	"scaling.cloud/mcp/store"
)

// TestMain makes each property ten thousand cases, unless the command line says
// otherwise.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "10000"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// eve is a day before something happens to a clock.
type eve struct{ zone, date string }

var eves = []eve{
	{"UTC", "2026-01-01"},
	{"Asia/Kathmandu", "2026-02-27"},      // +05:45, never changes
	{"America/New_York", "2026-03-06"},    // forward at 02:00
	{"America/New_York", "2026-10-30"},    // back at 02:00
	{"Europe/Berlin", "2026-03-27"},       // forward at 02:00
	{"Europe/Berlin", "2026-10-23"},       // back at 03:00
	{"Australia/Lord_Howe", "2026-04-03"}, // back by half an hour
	{"Australia/Lord_Howe", "2026-10-02"}, // forward by half an hour
	{"America/Sao_Paulo", "2018-11-02"},   // forward at midnight
	{"America/Sao_Paulo", "2018-02-16"},   // back at midnight, over the date
	{"America/Havana", "2026-10-30"},      // back at 01:00 to midnight
	{"Pacific/Apia", "2011-12-28"},        // 30 December does not exist
	{"Africa/Casablanca", "2026-02-13"},   // back for Ramadan
	{"Africa/Casablanca", "2026-03-20"},   // and forward after it
	{"Asia/Gaza", "2026-03-27"},           // forward at 02:00
	{"Asia/Gaza", "2023-04-27"},           // forward, late because of Ramadan
	{"Asia/Gaza", "2026-10-23"},           // back at 02:00
	{"Pacific/Chatham", "2026-04-03"},     // back from +13:45, at 03:45
	{"Pacific/Chatham", "2026-09-25"},     // forward from +12:45, at 02:45
	{"Antarctica/Troll", "2026-03-27"},    // forward by two hours
	{"Antarctica/Troll", "2026-10-23"},    // back by two hours
	{"Pacific/Kwajalein", "1993-08-19"},   // 21 August does not exist
}

func schedules(t *rapid.T) (*store.Schedule, *diary) {
	eve := rapid.SampledFrom(eves).Draw(t, "eve")
	d := diaries()[eve]
	quarters := func(label string, from, to int) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, label)) * step
	}
	people := rapid.SampledFrom([]string{"ann", "bea", "cem", "dan"})

	s := &store.Schedule{Timezone: eve.zone, Location: d.loc}
	for i := range rapid.IntRange(1, 3).Draw(t, "layers") {
		l := &store.ScheduleLayer{
			ID: uuid.New(), Name: fmt.Sprint("layer ", i), Position: i,
			RotationLengthDays: rapid.SampledFrom([]int{1, 1, 2, 3, 7}).Draw(t, "length"),
			HandoffTime: fmt.Sprintf("%02d:%02d", rapid.SampledFrom([]int{0, 0, 1, 2, 2, 3, 9, 23}).Draw(t, "hour"),
				rapid.SampledFrom([]int{0, 15, 30, 45}).Draw(t, "minute")),
			EffectiveFrom:  d.eve.Add(quarters("effective from", -2*aWeek, aWeek)),
			ParticipantIDs: rapid.SliceOfN(people, 1, 4).Draw(t, "participants"),
		}
		if rapid.IntRange(0, 3).Draw(t, "has an end") == 0 {
			until := l.EffectiveFrom.Add(quarters("effective for", 1, 3*aWeek))
			l.EffectiveUntil = &until
		}
		s.Layers = append(s.Layers, l)
	}
	for range rapid.IntRange(0, 3).Draw(t, "overrides") {
		o := &store.ScheduleOverride{ID: uuid.New(), UserID: people.Draw(t, "override by"), StartsAt: d.eve.Add(quarters("override from", -aDay, aWeek))}
		o.EndsAt = o.StartsAt.Add(quarters("override for", 1, 2*aDay))
		s.Overrides = append(s.Overrides, o)
	}
	return s, d
}

// aDay and aWeek are numbers of quarters.
const (
	aDay  = int(24 * time.Hour / step)
	aWeek = 7 * aDay
)

// quarterOf draws a quarter around the clock change.
func quarterOf(t *rapid.T, d *diary) int {
	return d.quarter(d.eve) + rapid.IntRange(-aDay, 5*aDay).Draw(t, "quarter")
}

func everybody(string) bool { return true }

// TestWhoIsOnCallAgreesWithLookingAtTheClock looks at every instant at which
// something changes, the quarter before it, and one in between.
func TestWhoIsOnCallAgreesWithLookingAtTheClock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, d := schedules(t)
		places := d.watch(s)
		agree := func(q int) {
			at := d.instant(q)
			var want []oncall.Shift
			for _, p := range places {
				if p.people[q] != "" {
					want = append(want, oncall.Shift{LayerID: p.layer.ID, Layer: p.layer.Name, PersonID: p.people[q], Override: p.overrides[q]})
				}
			}
			if got := oncall.OnCall(s, at); !slices.Equal(got, want) {
				t.Fatalf("on call at %v (-want +got):\n%s", at.In(d.loc), cmp.Diff(want, got))
			}
			if owner := oncall.Owner(s, at); owner != places[0].people[q] {
				t.Fatalf("owner at %v: got %q, want %q", at.In(d.loc), owner, places[0].people[q])
			}
		}
		agree(quarterOf(t, d))
		for _, p := range places {
			for q := 0; ; {
				if q = p.nextChange(q, everybody); q == len(d.walls) {
					break
				}
				agree(q - 1)
				agree(q)
			}
		}
	})
}

// TestTheNextHandoffIsTheNextChangeOnTheClock, where some people may not count.
func TestTheNextHandoffIsTheNextChangeOnTheClock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, d := schedules(t)
		absent := rapid.SliceOfN(rapid.SampledFrom([]string{"ann", "bea", "cem", "dan"}), 0, 3).Draw(t, "absent")
		counts := func(id string) bool { return !slices.Contains(absent, id) }
		after := quarterOf(t, d)
		want := len(d.walls)
		for _, p := range d.watch(s) {
			want = min(want, p.nextChange(after, counts))
		}
		got, ok := oncall.NextHandoff(s, d.instant(after), counts)
		d.compare(t, "next hand-off", after, want, got, ok)
	})
}

func TestAShiftLastsUntilTheClockEndsIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, d := schedules(t)
		places := d.watch(s)
		after := quarterOf(t, d)
		for _, shift := range oncall.OnCall(s, d.instant(after)) {
			n := slices.IndexFunc(places, func(p place) bool { return p.layer.ID == shift.LayerID })
			until, ok := oncall.Until(s, shift, d.instant(after))
			d.compare(t, shift.PersonID+" in "+shift.Layer, after, places[n].nextChange(after, everybody), until, ok)
		}
	})
}

// compare fails unless got is the instant of the quarter wanted, or not within
// the diary where that has none.
func (d *diary) compare(t *rapid.T, what string, after, want int, got time.Time, ok bool) {
	t.Helper()
	switch {
	case want < len(d.walls) && (!ok || !got.Equal(d.instant(want))):
		t.Fatalf("%s after %v: got %v (%v), want %v", what, d.instant(after).In(d.loc), got.In(d.loc), ok, d.instant(want).In(d.loc))
	case want == len(d.walls) && ok && got.Before(d.instant(want)):
		t.Fatalf("%s after %v: got %v, want none in the diary", what, d.instant(after).In(d.loc), got.In(d.loc))
	}
}
