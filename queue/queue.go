// Package queue does work in the background, on River: a job is inserted in the
// transaction of what it follows from, and there are both or neither; then some
// replica works it, again and again until it succeeds or its attempts are used
// up. What a job does is the business of the package that defines it, and so is
// doing no harm when it is worked twice, which cannot be excluded: a worker that
// was believed dead may still be at it.
//
// # When a replica dies
//
// Its jobs stay marked as running. One replica leads: it holds a lease of 15
// seconds that it renews every 5, and looks every 30 seconds for jobs that have
// been running for a minute (rescueAfter). It puts them back, its scheduler makes
// them available within 5 seconds, and whoever polls first within another works
// them. Should the leader itself have died, another leads 21 seconds later, when
// its lease has run out and the next bid is made, 5 to 6 seconds after the one
// before; that time passes while the dead one's jobs come of age. So what a
// replica began and did not end is begun anew at most 100 seconds after it began
// (60 + 30 + 5 + 1, and some for the work itself).
//
// What nobody had begun waits less: a new job for nothing, a timer or a retry for
// its scheduler, 5 seconds, or 27 where the leader died. And a replica that is
// told to stop leaves nothing behind: its jobs end, or go back at once.
package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
)

// The queues, by what their jobs wait for: a mail server that hangs must not hold
// up what needs only the database.
const (
	Database = "database"
	Mail     = "mail"
)

const (
	// jobTimeout is how long one attempt may take. Sending a mail, the longest of
	// them, gives up by itself after 20 seconds.
	jobTimeout = 30 * time.Second
	// rescueAfter is when a job that runs is believed to run no more. It must be
	// longer than jobTimeout, and is twice that for a worker that is slow to let go.
	rescueAfter = time.Minute
	// softStop is how long jobs may take to finish when the program stops, until
	// their context is cancelled; hardStop is when nobody waits for them any more.
	softStop = 5 * time.Second
	hardStop = softStop + 5*time.Second
)

// Queue inserts jobs and works them. It is safe for concurrent use. A process
// needs one.
type Queue struct {
	client  *river.Client[pgx.Tx]
	workers *river.Workers
	log     *slog.Logger
}

// New returns a Queue in the database of pool. It only inserts until it is Run.
func New(pool *pgxpool.Pool, log *slog.Logger) *Queue {
	workers := river.NewWorkers()
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues: map[string]river.QueueConfig{
			Database: {MaxWorkers: 4},
			Mail:     {MaxWorkers: 8}, // none holds a connection to the database while it sends
		},
		Workers:              workers,
		JobTimeout:           jobTimeout,
		RescueStuckJobsAfter: rescueAfter,
		RetryPolicy:          quickly{},
		SoftStopTimeout:      softStop,
		// A new job is announced by NOTIFY. Polling is for announcements that are
		// lost, or saved because another was just made.
		FetchPollInterval: time.Second,
		Logger:            slog.New(warnings{log.Handler()}),
	})
	if err != nil {
		panic(fmt.Sprintf("queue: %v", err)) // nothing of it comes from outside
	}
	return &Queue{client, workers, log}
}

// Handle has f work the jobs whose arguments are an A. It must be called before
// the first of them is inserted, and before Run. An error of f is an attempt that
// failed.
func Handle[A river.JobArgs](q *Queue, f func(context.Context, *river.Job[A]) error) {
	river.AddWorker(q.workers, river.WorkFunc(f))
}

// InsertTx inserts jobs in the caller's transaction.
func (q *Queue) InsertTx(ctx context.Context, tx pgx.Tx, jobs ...river.InsertManyParams) error {
	if len(jobs) == 0 {
		return nil
	}
	if _, err := q.client.InsertManyTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("queue: inserting: %w", err)
	}
	return nil
}

// CompleteTx ends a job in the transaction of its effect. Its worker then returns
// nil, when the transaction is committed.
func CompleteTx[A river.JobArgs](ctx context.Context, tx pgx.Tx, job *river.Job[A]) error {
	if _, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job); err != nil {
		return fmt.Errorf("queue: completing: %w", err)
	}
	return nil
}

// Run works jobs until ctx is done. Those that it has begun may finish, within
// hardStop.
func (q *Queue) Run(ctx context.Context) error {
	if err := q.client.Start(ctx); err != nil {
		return fmt.Errorf("queue: starting: %w", err)
	}
	stopped := q.client.Stopped()
	<-ctx.Done()
	bound := time.NewTimer(hardStop)
	defer bound.Stop()
	select {
	case <-stopped:
	case <-bound.C:
		q.log.Warn("stopping while jobs still run; another replica takes them over")
	}
	return ctx.Err()
}

// quickly is when a job is tried again: after 5 seconds, then 10, 20, 40, and
// from then on every minute. Somebody waits for a page.
type quickly struct{}

func (quickly) NextRetry(job *rivertype.JobRow) time.Time {
	now := time.Now()
	// A job of a dead replica has waited for long enough. Not now, which would be
	// over when River compares.
	if job.AttemptedAt != nil && now.Sub(*job.AttemptedAt) >= rescueAfter {
		return now.Add(time.Second)
	}
	return now.Add(min(5*time.Second<<min(max(job.Attempt-1, 0), 10), time.Minute))
}

// warnings passes on what is a warning or worse: River tells each start and each
// retry, and what a job means its own package logs.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
