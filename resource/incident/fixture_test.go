package incident_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/resource/paging"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// noon of a Monday is when these tests happen.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// world is two organizations: acme with ann, bea and cem, and globex with gus.
type world struct {
	testing.TB
	*incident.Service
	store *store.Store
	now   time.Time // noon, until a test moves it
}

func newWorld(t testing.TB, log *slog.Logger) *world {
	t.Helper()
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := storetest.Open(t)
	for userID, orgID := range map[string]string{"ann": "acme", "bea": "acme", "cem": "acme", "gus": "globex"} {
		u := store.User{ID: userID, Name: "Name of " + userID, Email: userID + "@example.com"}
		m := store.Membership{Organization: store.Organization{ID: orgID, Slug: orgID, Name: orgID}, Role: store.RoleMember}
		if _, err := s.SavePerson(t.Context(), u, []store.Membership{m}, noon, ""); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{TB: t, store: s, now: noon}
	now := func() time.Time { return w.now }
	pages := paging.New(paging.Config{Store: s, Queue: queue.New(s.Pool(), log), Mail: mail.Log{Logger: log}, PublicURL: "https://mcp.example", Log: log, Now: now})
	w.Service = incident.New(s, incident.Config{Now: now, PublicURL: "https://mcp.example/", Paging: pages})
	return w
}

func person(id string) store.Person {
	return store.Person{ID: id, Name: "Name of " + id, Email: id + "@example.com"}
}

// ann is the actor of most calls.
var ann = incident.Actor{UserID: "ann", ClientName: "Claude", OrgID: "acme"}

func (w *world) create(in incident.Create) *incident.Created {
	w.Helper()
	if in.Title == "" {
		in.Title = "Something is wrong"
	}
	if in.Severity == "" {
		in.Severity = "high"
	}
	created, err := w.Create(w.Context(), ann, in, "")
	if err != nil {
		w.Fatal(err)
	}
	return created
}

func (w *world) make(f func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error)) string {
	w.Helper()
	var id uuid.UUID
	if err := pgx.BeginFunc(w.Context(), w.store.Pool(), func(tx pgx.Tx) (err error) {
		id, err = f(w.Context(), tx)
		return err
	}); err != nil {
		w.Fatal(err)
	}
	return id.String()
}

func (w *world) component(orgID, name string) string {
	w.Helper()
	return w.make(func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
		return w.store.CreateComponentTx(ctx, tx, orgID, store.Component{Name: name}, noon)
	})
}

// schedule makes a schedule of acme with a layer per list of participants.
func (w *world) schedule(name string, overrideBy string, layers ...[]string) string {
	w.Helper()
	s := store.Schedule{Name: name, Timezone: "UTC"}
	for i, participants := range layers {
		s.Layers = append(s.Layers, &store.ScheduleLayer{
			Name: fmt.Sprint("layer ", i), RotationType: store.RotationDaily, RotationLengthDays: 1, HandoffTime: "09:00",
			EffectiveFrom: noon, ParticipantIDs: participants,
		})
	}
	if overrideBy != "" {
		s.Overrides = []*store.ScheduleOverride{{UserID: overrideBy, StartsAt: noon, EndsAt: noon.Add(time.Hour)}}
	}
	return w.make(func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
		return w.store.CreateScheduleTx(ctx, tx, "acme", s, store.Change{UserID: "ann", At: noon})
	})
}

// policy makes an escalation policy of acme; a layer is the id of a schedule,
// or a list of people.
func (w *world) policy(name string, layers ...any) string {
	w.Helper()
	p := store.EscalationPolicy{Name: name}
	for _, l := range layers {
		layer := &store.EscalationLayer{AckTimeoutMinutes: 5}
		switch target := l.(type) {
		case string:
			layer.ScheduleID = new(uuid.MustParse(target))
		case []string:
			layer.UserIDs = target
		}
		p.Layers = append(p.Layers, layer)
	}
	return w.make(func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
		return w.store.CreateEscalationPolicyTx(ctx, tx, "acme", p, store.Change{UserID: "ann", At: noon})
	})
}

// refusedAs wants err to be a refusal with the given code, and returns it.
func refusedAs(t testing.TB, err error, code string) *incident.Error {
	t.Helper()
	refusal, ok := errors.AsType[*incident.Error](err)
	if !ok {
		t.Fatalf("got error %v, want the refusal %s", err, code)
	}
	if refusal.Code != code {
		t.Errorf("got %v, want the refusal %s", err, code)
	}
	return refusal
}
