package queue

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
)

// mailAttempts is how often a mail is tried. With the pauses of this package that
// is six minutes and a quarter: longer than a mail server takes to restart, and
// than greylisting asks for. Whatever the server says is tried again, a permanent
// refusal too: it may be a mistake in its configuration that somebody is about to
// mend, and a try costs nothing.
const mailAttempts = 10

// recordBound is how long it may take to record what became of a mail.
const recordBound = 5 * time.Second

// MailOpts are the options of a job that sends a mail. Its attempts are counted by
// LastAttempt and not by River, which would drop the job of a replica that dies in
// the last of them, and nobody would record that it failed.
func MailOpts() river.InsertOpts {
	return river.InsertOpts{Queue: Mail, MaxAttempts: 3 * mailAttempts}
}

// LastAttempt reports whether a mail that was not sent is not tried again. An
// attempt that was cut short because the program stops does not count.
func LastAttempt[A river.JobArgs](ctx context.Context, job *river.Job[A]) bool {
	return job.Attempt >= mailAttempts && !errors.Is(ctx.Err(), context.Canceled)
}

// End records what became of a mail, and ends its job with that. What has happened
// is recorded, though time is up or the program stops.
func End[A river.JobArgs](ctx context.Context, pool *pgxpool.Pool, job *river.Job[A], record func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordBound)
	defer cancel()
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := record(ctx, tx); err != nil {
			return err
		}
		return CompleteTx(ctx, tx, job)
	})
}
