package oncall_test

import (
	"fmt"
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

// eves are days before something happens to a clock.
var eves = []struct {
	zone string
	date string
}{
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
	{"Africa/Casablanca", "2026-02-13"},   // forward and back around Ramadan
}

func schedules(t *rapid.T) (*store.Schedule, time.Time) {
	eve := rapid.SampledFrom(eves).Draw(t, "eve")
	loc, err := time.LoadLocation(eve.zone)
	if err != nil {
		t.Fatal(err)
	}
	day, err := time.ParseInLocation(time.DateOnly, eve.date, loc)
	if err != nil {
		t.Fatal(err)
	}
	quarters := func(label string, from, to int) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, label)) * step
	}
	const aDay, aWeek = int(24 * time.Hour / step), 7 * int(24*time.Hour/step)
	people := rapid.SampledFrom([]string{"ann", "bea", "cem", "dan"})

	s := &store.Schedule{Timezone: eve.zone, Location: loc}
	for i := range rapid.IntRange(1, 3).Draw(t, "layers") {
		l := &store.ScheduleLayer{
			ID: uuid.New(), Name: fmt.Sprint("layer ", i), Position: i,
			RotationLengthDays: rapid.SampledFrom([]int{1, 1, 2, 3, 7}).Draw(t, "length"),
			HandoffTime: fmt.Sprintf("%02d:%02d", rapid.SampledFrom([]int{0, 0, 1, 2, 2, 3, 9, 23}).Draw(t, "hour"),
				rapid.SampledFrom([]int{0, 15, 30, 45}).Draw(t, "minute")),
			EffectiveFrom:  day.Add(quarters("effective from", -2*aWeek, aWeek)),
			ParticipantIDs: rapid.SliceOfN(people, 1, 4).Draw(t, "participants"),
		}
		if rapid.IntRange(0, 3).Draw(t, "has an end") == 0 {
			until := l.EffectiveFrom.Add(quarters("effective for", 1, 3*aWeek))
			l.EffectiveUntil = &until
		}
		s.Layers = append(s.Layers, l)
	}
	for range rapid.IntRange(0, 3).Draw(t, "overrides") {
		o := &store.ScheduleOverride{ID: uuid.New(), UserID: people.Draw(t, "override by"), StartsAt: day.Add(quarters("override from", -aDay, aWeek))}
		o.EndsAt = o.StartsAt.Add(quarters("override for", 1, 2*aDay))
		s.Overrides = append(s.Overrides, o)
	}
	return s, day
}

func TestWhoIsOnCallAgreesWithLookingAtTheClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, day := schedules(t)
		from, to := day.Add(-24*time.Hour), day.Add(5*24*time.Hour)
		want := timeline(s, from, to)
		for i := range want {
			at := from.Add(time.Duration(i) * step)
			got := oncall.OnCall(s, at)
			if !slices.Equal(got, want[i]) {
				t.Fatalf("on call at %v (-want +got):\n%s", at.In(s.Location), cmp.Diff(want[i], got))
			}
			wantOwner := ""
			if len(got) > 0 && got[0].LayerID == s.Layers[0].ID {
				wantOwner = got[0].PersonID
			}
			if owner := oncall.Owner(s, at); owner != wantOwner {
				t.Fatalf("owner at %v: got %q, want %q", at.In(s.Location), owner, wantOwner)
			}
		}
	})
}

func TestNextHandoffIsTheNextChangeOnTheClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, day := schedules(t)
		to := day.Add(12 * 24 * time.Hour)
		after := day.Add(time.Duration(rapid.IntRange(-96, 4*96).Draw(t, "after")) * step)
		quarters := timeline(s, after, to)
		got, ok := oncall.NextHandoff(s, after)
		if changed := slices.IndexFunc(quarters, func(q []oncall.Shift) bool { return !samePeople(q, quarters[0]) }); changed >= 0 {
			if want := after.Add(time.Duration(changed) * step); !ok || !got.Equal(want) {
				t.Fatalf("next hand-off after %v: got %v, want %v", after, got.In(s.Location), want.In(s.Location))
			}
		} else if ok && !got.After(to) {
			t.Fatalf("next hand-off after %v: got %v, want none before %v", after, got.In(s.Location), to.In(s.Location))
		}
	})
}

func samePeople(a, b []oncall.Shift) bool {
	return slices.EqualFunc(a, b, func(a, b oncall.Shift) bool {
		return a.LayerID == b.LayerID && a.PersonID == b.PersonID
	})
}
