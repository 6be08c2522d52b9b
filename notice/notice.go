// Package notice tells people by mail what happened to their connections, when
// they may not have done it themselves: one was made in their name, or one was
// ended by somebody else or for safety.
//
// That there is something to tell is written by the statement that does it, in
// package store: there are both or neither. A Service turns it into a job of
// package queue a moment later. What happened to several connections of a person
// at once is one mail.
//
// # What is guaranteed
//
// A notice is sent at least once, and what became of it is recorded exactly
// once: it was sent, which without a mail server means a line in the log; it
// failed, after ten tries over six minutes; or it was withdrawn, because
// it could not be sent within tellWithin, or the person has gone or has no
// verified address. A mail is sent twice where a replica dies between the mail
// server's yes and the commit that records it; both have the same Message-ID.
package notice

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/store"
)

const (
	// tellWithin is how old news may be. Who hears of a connection a day later,
	// when everything that was down is up again, is alarmed for nothing: the
	// connections page has told it all along.
	tellWithin = 6 * time.Hour
	// lookEvery is how often a Service looks for notices that wait.
	lookEvery = 2 * time.Second
	// takenAtOnce bounds one transaction. More follow at once.
	takenAtOnce = 500
)

// Config is what a Service is made of. Every field is needed.
type Config struct {
	Store     *store.Store
	Queue     *queue.Queue
	Mail      mail.Sender
	PublicURL string // origin of the dashboard
	Log       *slog.Logger
	Now       func() time.Time
}

// Service gives notice. Any number of replicas may run one.
type Service struct{ Config }

// New returns a Service whose jobs the queue works, once that runs.
func New(c Config) *Service {
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	s := &Service{c}
	queue.Handle(c.Queue, s.send)
	return s
}

// Run makes jobs of notices until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		// The database may be away for longer than anybody wants to read about.
		if err := s.enqueue(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "queueing notices", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// enqueue makes jobs of all notices that wait.
func (s *Service) enqueue(ctx context.Context) error {
	for more := true; more; {
		err := pgx.BeginFunc(ctx, s.Store.Pool(), func(tx pgx.Tx) error {
			notices, err := s.Store.TakeNoticesTx(ctx, tx, takenAtOnce, s.Now())
			if err != nil {
				return err
			}
			taken := 0
			jobs := make([]river.InsertManyParams, len(notices))
			for i, n := range notices {
				taken += len(n.ConnectionIDs)
				jobs[i] = river.InsertManyParams{Args: args{n.Kind, n.UserID, n.OrgID, n.ConnectionIDs}}
			}
			more = taken == takenAtOnce
			return s.Queue.InsertTx(ctx, tx, jobs...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// args is one mail. What is encoded outlives a release: a field keeps its name.
type args struct {
	What          store.NoticeKind `json:"what"`
	UserID        string           `json:"user"`
	OrgID         string           `json:"org"`
	ConnectionIDs []uuid.UUID      `json:"connections"`
}

func (args) Kind() string { return "notice" }

func (args) InsertOpts() river.InsertOpts { return queue.MailOpts() }

func (a args) notice() store.Notice {
	return store.Notice{Kind: a.What, UserID: a.UserID, OrgID: a.OrgID, ConnectionIDs: a.ConnectionIDs}
}

// send sends one notice, and records what became of it.
func (s *Service) send(ctx context.Context, job *river.Job[args]) error {
	n := job.Args.notice()
	log := s.Log.With("kind", n.Kind, "person", n.UserID, "org", n.OrgID, "connections", n.ConnectionIDs)
	connections, err := s.Store.Noticed(ctx, n)
	if err != nil {
		return err
	}
	if len(connections) == 0 {
		return nil // ended by a worker that was believed dead
	}
	outcome := store.NoticeSent
	switch first := connections[0]; {
	case !first.Reachable:
		log.InfoContext(ctx, "notice withdrawn: the person has gone, or their e-mail address is not verified")
		outcome = store.NoticeWithdrawn
	case s.Now().Sub(first.MadeAt) > tellWithin:
		log.WarnContext(ctx, "notice withdrawn: it is no news any more")
		outcome = store.NoticeWithdrawn
	default:
		if err := s.Mail.Send(ctx, message(n.Kind, connections, s.PublicURL)); err != nil {
			log.WarnContext(ctx, "notice not sent", "attempt", job.Attempt, "error", err)
			if !queue.LastAttempt(ctx, job) {
				return fmt.Errorf("notice: sending: %w", err)
			}
			outcome = store.NoticeFailed
		}
	}
	err = queue.End(ctx, s.Store.Pool(), job, func(ctx context.Context, tx pgx.Tx) error {
		return s.Store.EndNoticeTx(ctx, tx, n, outcome, s.Now())
	})
	if err != nil {
		return fmt.Errorf("notice: recording: %w", err)
	}
	log.InfoContext(ctx, "notice", "outcome", outcome)
	return nil
}
