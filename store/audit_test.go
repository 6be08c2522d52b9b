package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

func aCall(n int, at time.Time) store.AuditEvent {
	return store.AuditEvent{
		OrgID: "acme", UserID: "alice", ConnectionID: uuid.New(), ClientID: "claude",
		Action: "get_incident", Outcome: store.OutcomeOK, At: at, Incident: &n,
	}
}

// recordedCalls returns the incidents that the calls in a table were about, sorted.
func recordedCalls(t testing.TB, s *store.Store, table string) []int {
	t.Helper()
	rows, err := s.Pool().Query(t.Context(), `SELECT incident FROM `+pgx.Identifier{table}.Sanitize()+` ORDER BY incident`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestCallsWaitRatherThanBeLost: more come than there is place for while nothing
// is written. Those that found none in time are told; all others are in the log.
func TestCallsWaitRatherThanBeLost(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	log := store.NewAuditLog(s, slog.New(slog.DiscardHandler))
	impatient, giveUp := context.WithCancel(t.Context())
	giveUp()
	var want []int
	for n := range 5000 {
		err := log.Record(impatient, aCall(n, now))
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			break
		}
		want = append(want, n)
	}
	if len(want) == 5000 {
		t.Fatal("no call had to wait")
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = log.Run(ctx) })
	for n := range 3000 { // find their places as the others are written
		if err := log.Record(t.Context(), aCall(10_000+n, now)); err != nil {
			t.Fatal(err)
		}
		want = append(want, 10_000+n)
	}
	stop() // and what still waits is written before it ends
	running.Wait()
	if diff := cmp.Diff(want, recordedCalls(t, s, "audit_events")); diff != "" {
		t.Errorf("in the log (-want +got):\n%s", diff)
	}
}

// TestAnOutageOfTheDatabaseLosesNoCall: what could not be written is written when
// the database can again, once.
func TestAnOutageOfTheDatabaseLosesNoCall(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	failed := make(chan struct{}, 100)
	log := store.NewAuditLog(s, slog.New(onError{slog.DiscardHandler, failed}))
	exec := func(sql string) {
		t.Helper()
		if _, err := s.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`ALTER TABLE audit_events RENAME TO away`)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = log.Run(ctx) })
	for n := range 3 {
		if err := log.Record(t.Context(), aCall(n, now)); err != nil {
			t.Fatal(err)
		}
	}
	<-failed
	exec(`ALTER TABLE away RENAME TO audit_events`)
	stop()
	running.Wait()
	if diff := cmp.Diff([]int{0, 1, 2}, recordedCalls(t, s, "audit_events")); diff != "" {
		t.Errorf("in the log (-want +got):\n%s", diff)
	}
}

// onError is a log that tells of errors.
type onError struct {
	slog.Handler
	happened chan<- struct{}
}

func (onError) Enabled(context.Context, slog.Level) bool { return true }

func (h onError) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		h.happened <- struct{}{}
	}
	return nil
}

// TestAMonthIsKeptAsLongAsItShould: each month has a partition, made ahead of time
// by whichever replica comes first; what came too early for one moves into it; and
// what is older than is kept is gone.
func TestAMonthIsKeptAsLongAsItShould(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	month := func(n int) time.Time { return time.Date(2026, time.Month(1+n), 15, 12, 0, 0, 0, time.UTC) }
	record := func(months ...int) {
		t.Helper()
		for _, n := range months {
			if err := s.RecordAudit(t.Context(), []store.AuditEvent{withID(aCall(n, month(n)))}); err != nil {
				t.Fatal(err)
			}
		}
	}
	record(-20, 0, 2, 3) // before there is any partition
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := s.PrepareAuditLog(t.Context(), 13, month(0)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	record(1)
	for table, want := range map[string][]int{
		"audit_events_2026_01": {0}, "audit_events_2026_02": {1}, "audit_events_2026_03": {2}, "audit_events_default": {3},
	} {
		if diff := cmp.Diff(want, recordedCalls(t, s, table)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table, diff)
		}
	}
	// As time goes by.
	for n := 1; n <= 16; n++ {
		if err := s.PrepareAuditLog(t.Context(), 13, month(n)); err != nil {
			t.Fatal(err)
		}
		if n > 3 {
			record(n)
		}
		var want []int
		for m := range n + 1 {
			if m >= n-13 && (m <= 3 || m > 3 && m <= n) {
				want = append(want, m)
			}
		}
		for m := n + 1; m <= 3; m++ {
			want = append(want, m)
		}
		if got := recordedCalls(t, s, "audit_events"); !slices.Equal(got, want) {
			t.Errorf("in month %d: got %v, want %v", n, got, want)
		}
	}
	if got := recordedCalls(t, s, "audit_events_default"); len(got) != 0 {
		t.Errorf("the default partition still has %v", got)
	}
}

// TestACallIsRecordedWhileItsMonthIsMade: the first server on a new database makes
// the partition of this month while calls come in that belong there.
func TestACallIsRecordedWhileItsMonthIsMade(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	const months, calls = 12, 8
	for n := range months {
		month := time.Date(2026, time.Month(1+3*n), 15, 12, 0, 0, 0, time.UTC)
		var all sync.WaitGroup
		for range calls {
			all.Go(func() {
				if err := s.RecordAudit(t.Context(), []store.AuditEvent{withID(aCall(n, month))}); err != nil {
					t.Error(err)
				}
			})
		}
		if err := s.PrepareAuditLog(t.Context(), 100, month); err != nil {
			t.Error(err)
		}
		all.Wait()
	}
	if got := recordedCalls(t, s, "audit_events"); len(got) != months*calls {
		t.Errorf("%d calls are recorded, want %d", len(got), months*calls)
	}
}

func withID(e store.AuditEvent) store.AuditEvent {
	e.ID = uuid.New()
	return e
}

// BenchmarkAuditLog is what a call pays for being recorded, while the log keeps up.
func BenchmarkAuditLog(b *testing.B) {
	s := storetest.Open(b)
	log := store.NewAuditLog(s, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = log.Run(ctx) })
	e := aCall(1, now)
	for b.Loop() {
		if err := log.Record(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	stop()
	running.Wait()
	var n int
	if err := s.Pool().QueryRow(b.Context(), `SELECT count(*) FROM audit_events`).Scan(&n); err != nil || n < b.N {
		b.Error(fmt.Errorf("%d of %d are in the log: %w", n, b.N, err))
	}
}

// TestWhatHappensToConnectionsIsInTheAuditLog: who connected what, and who ended it.
// What never came alive is not.
func TestWhatHappensToConnectionsIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	later := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	connected(t, s, "user_bob", acme.ID, "claude")
	others := connected(t, s, "user_bob", acme.ID, "cursor")
	stolen := connected(t, s, "user_alice", globex.ID, "claude")
	pending(t, s, "user_bob", acme.ID, "cursor")

	_, err := s.RevokeOrgConnection(ctx, others.ID, acme.ID, "user_alice", later(1))
	must(t, err)
	for generation := range 2 {
		_, err = s.RotateRefreshToken(ctx, rotation(stolen, generation), now)
		must(t, err)
	}
	_, err = s.RotateRefreshToken(ctx, rotation(stolen, 0), later(2+int(store.ReplayWindow.Minutes())))
	is(t, "reuse", err, store.ErrReused)
	_, err = s.RevokeOwnConnections(ctx, "user_bob", "", later(60))
	must(t, err)

	rows, err := s.Pool().Query(ctx, `
		SELECT concat_ws(' ', org_id, user_id, client_name, action, outcome, connection_id) FROM audit_events ORDER BY at, org_id, client_name`)
	must(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	if diff := cmp.Diff([]string{
		"org_acme user_bob claude connected ok",
		"org_acme user_bob cursor connected ok",
		"org_globex user_alice claude connected ok",
		"org_acme user_alice cursor revoked:admin ok",
		"org_globex user_alice claude revoked:refresh_reuse ok",
		"org_acme user_bob claude revoked:user ok",
	}, got); diff != "" {
		t.Errorf("the audit log (-want +got):\n%s", diff)
	}
}
