package oncall_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/resource/oncall"
	"scaling.cloud/mcp/store"
)

func rotation(t *testing.T, zone, from, handoff string, days int, people ...string) *store.Schedule {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return &store.Schedule{Timezone: zone, Location: loc, Layers: []*store.ScheduleLayer{{
		ID: uuid.New(), Name: "rotation", RotationLengthDays: days, HandoffTime: handoff,
		EffectiveFrom: instant(t, from), ParticipantIDs: people,
	}}}
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestHandoffFollowsTheClockOnTheWall(t *testing.T) {
	for _, row := range []struct{ name, zone, from, handoff, want string }{
		{"ordinary day", "Europe/Berlin", "2026-06-01T09:00:00+02:00", "09:00", "2026-06-02T09:00:00+02:00"},
		{"begun in the afternoon, first turn is short", "Europe/Berlin", "2026-06-01T14:00:00+02:00", "09:00", "2026-06-02T09:00:00+02:00"},
		{"begun before the hand-off of its day, which is none", "Europe/Berlin", "2026-06-01T06:00:00+02:00", "09:00", "2026-06-02T09:00:00+02:00"},
		{"clock goes forward: 23 hours", "Europe/Berlin", "2026-03-28T09:00:00+01:00", "09:00", "2026-03-29T09:00:00+02:00"},
		{"clock goes back: 25 hours", "Europe/Berlin", "2026-10-24T09:00:00+02:00", "09:00", "2026-10-25T09:00:00+01:00"},
		{"02:30 does not exist: at the jump", "Europe/Berlin", "2026-03-28T09:00:00+01:00", "02:30", "2026-03-29T03:00:00+02:00"},
		{"02:30 comes twice: the first", "Europe/Berlin", "2026-10-24T09:00:00+02:00", "02:30", "2026-10-25T02:30:00+02:00"},
		{"midnight does not exist", "America/Sao_Paulo", "2018-11-03T09:00:00-03:00", "00:00", "2018-11-04T01:00:00-02:00"},
		{"the whole day does not exist", "Pacific/Apia", "2011-12-29T09:00:00-10:00", "09:00", "2011-12-31T00:00:00+14:00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := rotation(t, row.zone, row.from, row.handoff, 1, "ann", "bea", "cem")
			want := instant(t, row.want)
			got, ok := oncall.NextHandoff(s, instant(t, row.from), everybody)
			if !ok || !got.Equal(want) {
				t.Fatalf("next hand-off: got %v, want %v", got, want)
			}
			if before := oncall.Owner(s, want.Add(-time.Nanosecond)); before != "ann" {
				t.Errorf("owner before the hand-off: got %q, want ann", before)
			}
			if after := oncall.Owner(s, want); after != "bea" {
				t.Errorf("owner from the hand-off on: got %q, want bea", after)
			}
		})
	}
}

func TestNobodyIsOnCallOutsideTheLayersTime(t *testing.T) {
	s := rotation(t, "UTC", "2026-06-01T09:00:00Z", "09:00", 1, "ann", "bea")
	until := instant(t, "2026-06-03T09:00:00Z")
	s.Layers[0].EffectiveUntil = &until

	for _, at := range []time.Time{s.Layers[0].EffectiveFrom.Add(-time.Second), until} {
		if got := oncall.OnCall(s, at); len(got) != 0 {
			t.Errorf("on call at %v: got %v, want nobody", at, got)
		}
		if got := oncall.Owner(s, at); got != "" {
			t.Errorf("owner at %v: got %q, want nobody", at, got)
		}
	}
	if next, ok := oncall.NextHandoff(s, instant(t, "2026-01-01T00:00:00Z"), everybody); !ok || !next.Equal(s.Layers[0].EffectiveFrom) {
		t.Errorf("next hand-off before the beginning: got %v %v, want %v", next, ok, s.Layers[0].EffectiveFrom)
	}
	if next, ok := oncall.NextHandoff(s, until, everybody); ok {
		t.Errorf("next hand-off after the end: got %v, want none", next)
	}
}

func TestOneParticipantNeverHandsOff(t *testing.T) {
	s := rotation(t, "Europe/Berlin", "2026-06-01T09:00:00+02:00", "09:00", 1, "ann")
	if next, ok := oncall.NextHandoff(s, s.Layers[0].EffectiveFrom, everybody); ok {
		t.Errorf("next hand-off: got %v, want none", next)
	}
	if got := oncall.Owner(s, instant(t, "2126-06-01T09:00:00+02:00")); got != "ann" {
		t.Errorf("owner after a hundred years: got %q, want ann", got)
	}
}

func TestAScheduleWithoutLayersHasOnlyItsOverrides(t *testing.T) {
	from, until := instant(t, "2026-06-01T09:00:00Z"), instant(t, "2026-06-02T09:00:00Z")
	s := &store.Schedule{Location: time.UTC, Overrides: []*store.ScheduleOverride{{UserID: "ann", StartsAt: from, EndsAt: until}}}
	if got := oncall.OnCall(s, from); len(got) != 1 || got[0].PersonID != "ann" {
		t.Errorf("on call during the override: got %v, want ann", got)
	}
	if got := oncall.OnCall(s, until); len(got) != 0 {
		t.Errorf("on call after the override: got %v, want nobody", got)
	}
}

func BenchmarkOnCallAfterTenYears(b *testing.B) {
	loc, err := time.LoadLocation("America/New_York")
	if err != nil {
		b.Fatal(err)
	}
	s := &store.Schedule{Location: loc, Layers: []*store.ScheduleLayer{{
		RotationLengthDays: 1, HandoffTime: "09:00", ParticipantIDs: []string{"ann", "bea", "cem"},
		EffectiveFrom: time.Date(2016, 1, 1, 9, 0, 0, 0, loc),
	}}}
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, loc)
	for b.Loop() {
		oncall.OnCall(s, at)
	}
}
