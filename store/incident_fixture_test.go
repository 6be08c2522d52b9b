package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

// noon is when most of what these tests do happens.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// incidentOrg stores an organization whose members are the given people.
func incidentOrg(t testing.TB, s *store.Store, orgID string, userIDs ...string) {
	t.Helper()
	for _, id := range userIDs {
		u := store.User{ID: id, Name: "Name of " + id, Email: id + "@example.com"}
		m := store.Membership{Organization: store.Organization{ID: orgID, Slug: orgID, Name: orgID}, Role: store.RoleMember}
		if _, err := s.SavePerson(t.Context(), u, []store.Membership{m}, noon, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// commit runs f in a transaction that must succeed, and returns what f made.
func commit[T any](t testing.TB, s *store.Store, f func(context.Context, pgx.Tx) (T, error)) T {
	t.Helper()
	v, err := inTx(t.Context(), s, f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func inTx[T any](ctx context.Context, s *store.Store, f func(context.Context, pgx.Tx) (T, error)) (v T, err error) {
	err = pgx.BeginFunc(ctx, s.Pool(), func(tx pgx.Tx) error {
		v, err = f(ctx, tx)
		return err
	})
	return v, err
}

// refused runs f in a transaction and wants it to fail with the given error.
func refused[T any](t testing.TB, s *store.Store, want error, f func(context.Context, pgx.Tx) (T, error)) {
	t.Helper()
	if _, err := inTx(t.Context(), s, f); !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// createIncident creates an incident at the given instant.
func createIncident(t testing.TB, s *store.Store, n store.NewIncident, userID string, at time.Time) *store.Incident {
	t.Helper()
	if n.Title == "" {
		n.Title = "Something is wrong"
	}
	if n.Severity == "" {
		n.Severity = store.SeverityHigh
	}
	return commit(t, s, func(ctx context.Context, tx pgx.Tx) (*store.Incident, error) {
		return s.CreateIncidentTx(ctx, tx, n, store.Change{UserID: userID, At: at})
	})
}

func createComponent(t testing.TB, s *store.Store, orgID, name string) uuid.UUID {
	t.Helper()
	return commit(t, s, func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
		return s.CreateComponentTx(ctx, tx, orgID, store.Component{Name: name}, noon)
	})
}

func createSchedule(t testing.TB, s *store.Store, orgID, name, userID string) uuid.UUID {
	t.Helper()
	return commit(t, s, func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
		return s.CreateScheduleTx(ctx, tx, orgID, store.Schedule{Name: name, Timezone: "UTC"}, store.Change{UserID: userID, At: noon})
	})
}
