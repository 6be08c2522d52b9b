package paging

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/store"
)

// pageArgs is one page. What is encoded outlives a release: a field keeps its
// name.
type pageArgs struct {
	OrgID      string    `json:"org"`
	IncidentID uuid.UUID `json:"incident"`
	Layer      int       `json:"layer"`
	PersonID   string    `json:"person"`
}

func (pageArgs) Kind() string { return "page" }

func (pageArgs) InsertOpts() river.InsertOpts { return queue.MailOpts() }

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
			if !queue.LastAttempt(ctx, job) {
				return fmt.Errorf("paging: sending: %w", err)
			}
			outcome = store.PageFailed
		}
	}
	err = queue.End(ctx, s.store.Pool(), job, func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.store.EndPageTx(ctx, tx, p, outcome, s.config.Now())
		return err
	})
	if err != nil {
		return fmt.Errorf("paging: recording: %w", err)
	}
	log.InfoContext(ctx, "page", "outcome", outcome)
	return nil
}
