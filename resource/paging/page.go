package paging

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/store"
)

// mostAttempts is how often a page is tried. With the pauses of package queue
// that is six minutes and a quarter: longer than a mail server takes to restart,
// and than greylisting asks for. Whatever the server says is tried again, a
// permanent refusal too: it may be a mistake in its configuration that somebody
// is about to mend, and a try costs nothing.
const mostAttempts = 10

// recordBound is how long it may take to record what became of a page.
const recordBound = 5 * time.Second

// pageArgs is one page. What is encoded outlives a release: a field keeps its
// name.
type pageArgs struct {
	OrgID      string    `json:"org"`
	IncidentID uuid.UUID `json:"incident"`
	Layer      int       `json:"layer"`
	PersonID   string    `json:"person"`
}

func (pageArgs) Kind() string { return "page" }

// InsertOpts: the attempts are counted here and not by River, which would drop
// the job of a replica that dies in the last of them, and nobody would record
// that the page failed.
func (pageArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queue.Mail, MaxAttempts: 3 * mostAttempts}
}

// page sends one page, and records what became of it.
func (s *Service) page(ctx context.Context, job *river.Job[pageArgs]) error {
	p := store.Page(job.Args)
	log := s.config.Log.With("org", p.OrgID, "incident", p.IncidentID, "layer", p.Layer, "person", p.PersonID)
	d, err := s.store.PageDetails(ctx, p)
	if errors.Is(err, store.ErrNotFound) || err == nil && d.Outcome != nil {
		return nil // deleted, or ended by a worker that was believed dead
	}
	if err != nil {
		return err
	}
	outcome := store.PageSent
	switch {
	case !d.Waited:
		outcome = store.PageWithdrawn
	case !d.Member:
		log.WarnContext(ctx, "page failed: the person has left the organization")
		outcome = store.PageFailed
	case !d.Verified:
		log.WarnContext(ctx, "page failed: the person's e-mail address is not verified")
		outcome = store.PageFailed
	default:
		if err := s.config.Mail.Send(ctx, message(p, d, s.config.PublicURL)); err != nil {
			log.WarnContext(ctx, "page not sent", "attempt", job.Attempt, "error", err)
			// An attempt that was cut short because the program stops does not count.
			if job.Attempt < mostAttempts || errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("paging: sending: %w", err)
			}
			outcome = store.PageFailed
		}
	}
	// What has happened is recorded, though time is up or the program stops.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordBound)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.store.Pool(), func(tx pgx.Tx) error {
		if _, err := s.store.EndPageTx(ctx, tx, p, outcome, s.config.Now()); err != nil {
			return err
		}
		return queue.CompleteTx(ctx, tx, job)
	})
	if err != nil {
		return fmt.Errorf("paging: recording: %w", err)
	}
	log.InfoContext(ctx, "page", "outcome", outcome)
	return nil
}
