package queue_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/store/storetest"
)

type greet struct {
	Name string `json:"name"`
}

func (greet) Kind() string { return "greet" }

func (greet) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: queue.Database} }

// lines is a log that is read while it may still be written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestAJobIsWorkedIfWhatItFollowsFromIsCommitted, and in no other case.
func TestAJobIsWorkedIfWhatItFollowsFromIsCommitted(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t).Pool()
	log := &lines{}
	q := queue.New(pool, slog.New(slog.NewTextHandler(log, nil)))
	worked, tries := make(chan string), 0
	queue.Handle(q, func(_ context.Context, job *river.Job[greet]) error {
		if tries++; tries == 1 {
			return errors.New("not now")
		}
		worked <- job.Args.Name
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	errUndone := errors.New("undone")
	for name, undone := range map[string]error{"nobody": errUndone, "bea": nil} {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if err := q.InsertTx(t.Context(), tx, river.InsertManyParams{Args: greet{name}}); err != nil {
				return err
			}
			return undone
		})
		if !errors.Is(err, undone) {
			t.Fatal(err)
		}
	}
	// The first attempt fails, and the next comes five seconds later.
	select {
	case name := <-worked:
		if name != "bea" {
			t.Errorf("worked the job of %s, want that of bea", name)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the job was not worked")
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("running: %v", err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE state <> 'completed'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("jobs that are left: %d %v, want none", left, err)
	}
	if got := log.String(); got != "" {
		t.Errorf("logged, though nothing is wrong:\n%s", strings.TrimSpace(got))
	}
}

// TestWhatDoesNotStopIsNotWaitedForForever: a job that ignores its context does
// not keep the program from ending.
func TestWhatDoesNotStopIsNotWaitedForForever(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t).Pool()
	log := &lines{}
	q := queue.New(pool, slog.New(slog.NewTextHandler(log, nil)))
	begun, forever := make(chan struct{}), make(chan struct{})
	defer close(forever)
	queue.Handle(q, func(context.Context, *river.Job[greet]) error {
		close(begun)
		<-forever
		return nil
	})
	if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		return q.InsertTx(t.Context(), tx, river.InsertManyParams{Args: greet{"bea"}})
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	<-begun
	cancel()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("still running")
	}
	if !strings.Contains(log.String(), "stopping while jobs still run") {
		t.Errorf("got log %q, want it to say so", log)
	}
}
