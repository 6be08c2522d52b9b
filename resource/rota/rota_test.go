package rota

import (
	"testing"
	"time"

	"scaling.cloud/mcp/store"
)

// TestTheNextShiftIsOneThatSomebodyHas, however many hand-offs to nobody, or
// among people who have left, come before it.
func TestTheNextShiftIsOneThatSomebodyHas(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	day := func(n int) *time.Time { return new(at.AddDate(0, 0, n)) }
	people := map[string]*store.Participant{}
	for id, member := range map[string]bool{"ann": true, "bea": true, "old": false, "older": false} {
		people[id] = &store.Participant{Person: store.Person{ID: id, Name: id}, Member: member}
	}
	layer := func(from, until *time.Time, people ...string) *store.ScheduleLayer {
		return &store.ScheduleLayer{Name: "Layer", RotationLengthDays: 1, HandoffTime: "09:00", EffectiveFrom: *from, EffectiveUntil: until, ParticipantIDs: people}
	}
	for _, row := range []struct {
		name          string
		layer         *store.ScheduleLayer
		overrides     []*store.ScheduleOverride
		onCall, owner string
		absent        string
		handoff       *time.Time
		next          string
		nextAt        *time.Time
	}{
		{name: "two take turns", layer: layer(day(0), nil, "ann", "bea"), onCall: "ann", owner: "ann", handoff: day(1), next: "bea", nextAt: day(1)},
		{name: "one alone", layer: layer(day(0), nil, "ann"), onCall: "ann", owner: "ann"},
		{name: "not begun", layer: layer(day(3), nil, "ann", "bea"), handoff: day(3), next: "ann", nextAt: day(3)},
		{name: "over", layer: layer(day(-9), day(-1), "ann", "bea")},
		{name: "about to end", layer: layer(day(0), day(1), "ann"), onCall: "ann", owner: "ann", handoff: day(1)},
		{name: "a gap, then an override", layer: layer(day(0), day(1), "ann"),
			overrides: []*store.ScheduleOverride{{UserID: "bea", StartsAt: *day(4), EndsAt: *day(5)}},
			onCall:    "ann", owner: "ann", handoff: day(1), next: "bea", nextAt: day(4)},
		{name: "the turn of somebody who left", layer: layer(day(0), nil, "old", "older", "bea"), absent: "old", handoff: day(2), next: "bea", nextAt: day(2)},
		{name: "then of two who left", layer: layer(day(0), nil, "ann", "old", "older", "bea"), onCall: "ann", owner: "ann", handoff: day(1), next: "bea", nextAt: day(3)},
		{name: "all have left", layer: layer(day(0), nil, "old", "older"), absent: "old"},
		{name: "nobody knows who it is", layer: layer(day(0), nil, "?"), absent: "?"},
		{name: "overridden by somebody who left", layer: layer(day(0), nil, "ann"),
			overrides: []*store.ScheduleOverride{{UserID: "old", StartsAt: *day(0), EndsAt: *day(2)}},
			absent:    "old", handoff: day(2), next: "ann", nextAt: day(2)},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := stand(&store.Schedule{Location: time.UTC, Layers: []*store.ScheduleLayer{row.layer}, Overrides: row.overrides}, people, at)
			first := func(shifts []Shift) string {
				if len(shifts) == 0 {
					return ""
				}
				return shifts[0].Person.ID
			}
			if got := first(s.OnCall); got != row.onCall {
				t.Errorf("on call: got %q, want %q", got, row.onCall)
			}
			if got := first(s.Absent); got != row.absent {
				t.Errorf("absent: got %q, want %q", got, row.absent)
			}
			owner := ""
			if s.Owner != nil {
				owner = s.Owner.ID
			}
			if owner != row.owner {
				t.Errorf("owner: got %q, want %q", owner, row.owner)
			}
			if !same(s.NextHandoffAt, row.handoff) {
				t.Errorf("next hand-off: got %v, want %v", s.NextHandoffAt, row.handoff)
			}
			var next string
			var nextAt *time.Time
			if s.Next != nil {
				next, nextAt = s.Next.People[0].ID, &s.Next.At
			}
			if next != row.next || !same(nextAt, row.nextAt) {
				t.Errorf("next: got %q at %v, want %q at %v", next, nextAt, row.next, row.nextAt)
			}
		})
	}
}

func same(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

// TestACursorIsOfItsOrganizationAndWhole: neither another's, nor one that was
// cut or edited, skips anything.
func TestACursorIsOfItsOrganizationAndWhole(t *testing.T) {
	id := [16]byte{1, 2, 3}
	good := cursor("acme", id)
	if got, ok := position("acme", good); !ok || got != id {
		t.Errorf("its own: got %v, %v", got, ok)
	}
	edited := []byte(good)
	edited[5] ^= 1
	for name, c := range map[string]string{"of another organization": cursor("globex", id), "cut": good[:len(good)-1], "longer": good + "A", "edited": string(edited), "empty": "", "no base64": "…"} {
		if got, ok := position("acme", c); ok {
			t.Errorf("%s: got %v, want a refusal", name, got)
		}
	}
}
