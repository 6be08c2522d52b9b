package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

func TestScheduleReadsBackInOrder(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea")
	until := noon.Add(24 * time.Hour)
	want := store.Schedule{
		Name: "Primary", Description: "Platform", Timezone: "Europe/Berlin",
		Layers: []*store.ScheduleLayer{
			{Name: "Zeta", RotationType: store.RotationWeekly, RotationLengthDays: 7, HandoffTime: "09:00", EffectiveFrom: noon, ParticipantIDs: []string{"bea", "ann"}},
			{Name: "Alpha", RotationType: store.RotationCustom, RotationLengthDays: 3, HandoffTime: "23:59", EffectiveFrom: noon, EffectiveUntil: &until, ParticipantIDs: []string{"ann"}, Position: 1},
		},
		Overrides: []*store.ScheduleOverride{
			{UserID: "ann", StartsAt: noon, EndsAt: until, CreatedAt: noon},
			{UserID: "bea", StartsAt: noon, EndsAt: until.Add(time.Hour), CreatedAt: noon},
		},
	}
	id := commit(t, s, func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
		return s.CreateScheduleTx(ctx, tx, "acme", want, store.Change{UserID: "ann", At: noon})
	})
	read := func(since time.Time) *store.Schedule {
		return commit(t, s, func(ctx context.Context, tx pgx.Tx) (*store.Schedule, error) {
			return s.ScheduleTx(ctx, tx, "acme", id, since)
		})
	}
	got := read(noon)
	ids := cmpopts.IgnoreTypes(uuid.UUID{}, &time.Location{})
	if diff := cmp.Diff(&want, got, ids); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if got.Location.String() != "Europe/Berlin" {
		t.Errorf("location: got %v, want Europe/Berlin", got.Location)
	}
	if late := read(until); len(late.Overrides) != 1 || late.Overrides[0].UserID != "bea" {
		t.Errorf("overrides after the first ended: got %v, want bea's alone", late.Overrides)
	}
}

func TestASchedulesMistakesAreRefused(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gus")
	id := createSchedule(t, s, "acme", "Primary", "ann")

	refused(t, s, store.ErrNotFound, func(ctx context.Context, tx pgx.Tx) (*store.Schedule, error) {
		return s.ScheduleTx(ctx, tx, "globex", id, noon)
	})
	refused(t, s, store.ErrConflict, func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
		return s.CreateScheduleTx(ctx, tx, "acme", store.Schedule{Name: "Primary", Timezone: "UTC"}, store.Change{UserID: "ann", At: noon})
	})
	good := store.ScheduleLayer{Name: "l", RotationType: "daily", RotationLengthDays: 1, HandoffTime: "09:00", EffectiveFrom: noon, ParticipantIDs: []string{"ann"}}
	for name, spoil := range map[string]func(*store.Schedule){
		"no zone":                func(s *store.Schedule) { s.Timezone = "" },
		"this server's zone":     func(s *store.Schedule) { s.Timezone = "Local" },
		"a zone that is none":    func(s *store.Schedule) { s.Timezone = "Mars/Olympus" },
		"nobody in the rotation": func(s *store.Schedule) { s.Layers[0].ParticipantIDs = []string{} },
		"daily for two days":     func(s *store.Schedule) { s.Layers[0].RotationLengthDays = 2 },
		"hand-off at 24:00":      func(s *store.Schedule) { s.Layers[0].HandoffTime = "24:00" },
		"hand-off at 9:00":       func(s *store.Schedule) { s.Layers[0].HandoffTime = "9:00" },
		"ends as it begins":      func(s *store.Schedule) { s.Layers[0].EffectiveUntil = &noon },
		"an override without time": func(s *store.Schedule) {
			s.Overrides = []*store.ScheduleOverride{{UserID: "ann", StartsAt: noon, EndsAt: noon}}
		},
		"two layers of one name": func(s *store.Schedule) { s.Layers = append(s.Layers, s.Layers[0]) },
		"an override by a stranger": func(s *store.Schedule) {
			s.Overrides = []*store.ScheduleOverride{{UserID: "?", StartsAt: noon, EndsAt: noon.Add(1)}}
		},
	} {
		layer := good
		sched := store.Schedule{Name: name, Timezone: "UTC", Layers: []*store.ScheduleLayer{&layer}}
		spoil(&sched)
		if _, err := inTx(t.Context(), s, func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
			return s.CreateScheduleTx(ctx, tx, "acme", sched, store.Change{UserID: "ann", At: noon})
		}); err == nil {
			t.Errorf("%s: got a schedule, want an error", name)
		}
	}
}

func TestMembersAreThoseOfTheOrganizationNow(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann", "bea", "cem", "dan")
	incidentOrg(t, s, "globex", "gus")
	// A person may be known as deleted before their memberships are.
	if _, err := s.Pool().Exec(t.Context(), `UPDATE users SET deleted_at = $1 WHERE id = 'dan'`, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pool().Exec(t.Context(), `UPDATE users SET banned = true WHERE id = 'cem'`); err != nil {
		t.Fatal(err)
	}
	people := commit(t, s, func(ctx context.Context, tx pgx.Tx) ([]*store.Person, error) {
		return s.MembersByIDTx(ctx, tx, "acme", []string{"gus", "bea", "cem", "dan", "ann", "bea", "nobody"})
	})
	got := make([]string, len(people))
	for i, p := range people {
		got[i] = p.ID
	}
	if want := []string{"bea", "ann"}; !slices.Equal(got, want) {
		t.Errorf("members: got %v, want %v", got, want)
	}
}
