// Package paging escalates incidents: it pages the first layer of an escalation
// policy when the incident is created, the next when nobody has acknowledged in
// time, and so on until somebody does, the incident is resolved, or no layer is
// left. People are paged by mail.
//
// The truth is in the incident's row: which layer was paged last, and when
// escalation goes on. Timers and mails are jobs of package queue, inserted in the
// transaction that plans them. A timer that fires acts only if the row, locked,
// still says so; who acknowledges or resolves has nothing to cancel. Two replicas
// that fire at once, or a timer that fires twice, advance escalation once.
//
// # What is guaranteed
//
// A page is sent at least once, and recorded exactly once for each layer and
// person: page_sent when the mail server has taken the mail, or the log the line
// where there is none; page_failed when it was tried ten times, over six
// minutes, or the person cannot be mailed at all. A mail is sent twice where a
// replica dies between the server's yes and the commit that records it; both have
// the same Message-ID. A page that has not gone out by the time somebody
// acknowledges or resolves is withdrawn.
//
// A replica that dies delays what it had begun, a page that it was sending most
// likely, by 100 seconds at most, and timers that come due meanwhile by 27; package
// queue says why.
package paging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/resource/oncall"
	"scaling.cloud/mcp/store"
)

// Config is what a Service is made of. Every field is needed.
type Config struct {
	Store     *store.Store
	Queue     *queue.Queue
	Mail      mail.Sender
	PublicURL string // origin of incident URLs
	Log       *slog.Logger
	Now       func() time.Time
}

// Service pages. It is safe for concurrent use.
type Service struct {
	config Config
	store  *store.Store
}

// New returns a Service whose jobs the queue works, once it runs.
func New(c Config) *Service {
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	s := &Service{c, c.Store}
	queue.Handle(c.Queue, s.escalate)
	queue.Handle(c.Queue, s.page)
	return s
}

// Layer is a layer of an escalation policy and whom it reaches.
type Layer struct {
	Position   int
	AckTimeout time.Duration
	People     []store.Person // members of the organization, each once
	Skipped    bool           // escalation came to it past another one
}

// FirstTx returns the layer that the escalation of a new incident begins with,
// or nil if no layer of the policy reaches anybody.
func (s *Service) FirstTx(ctx context.Context, tx pgx.Tx, orgID string, p *store.EscalationPolicy, at time.Time) (*Layer, error) {
	return s.nextTx(ctx, tx, orgID, p, 0, at)
}

// nextTx returns the first layer after the given position that reaches anybody:
// waiting for an acknowledgment from nobody would only lose the time. Who is on
// call, and who of them is still a member, is asked now.
func (s *Service) nextTx(ctx context.Context, tx pgx.Tx, orgID string, p *store.EscalationPolicy, after int, at time.Time) (*Layer, error) {
	skipped := after > 0
	for _, layer := range p.Layers {
		if layer.Position <= after {
			continue
		}
		ids := layer.UserIDs
		if layer.ScheduleID != nil {
			schedule, err := s.store.ScheduleTx(ctx, tx, orgID, *layer.ScheduleID, at)
			if err != nil {
				return nil, err
			}
			for _, shift := range oncall.OnCall(schedule, at) {
				ids = append(ids, shift.PersonID)
			}
		}
		members, err := s.store.MembersByIDTx(ctx, tx, orgID, ids)
		if err != nil {
			return nil, err
		}
		if len(members) == 0 {
			skipped = true
			continue
		}
		people := make([]store.Person, len(members))
		for i, m := range members {
			people[i] = *m
		}
		return &Layer{layer.Position, time.Duration(layer.AckTimeoutMinutes) * time.Minute, people, skipped}, nil
	}
	return nil, nil
}

// PageTx pages a layer of an incident's policy, and sets the timer of the next.
// A nil layer is recorded as the end of escalation.
func (s *Service) PageTx(ctx context.Context, tx pgx.Tx, orgID string, incidentID uuid.UUID, l *Layer, at time.Time) error {
	if l == nil {
		return s.store.ExhaustEscalationTx(ctx, tx, orgID, incidentID, at)
	}
	ids := make([]string, len(l.People))
	for i, person := range l.People {
		ids[i] = person.ID
	}
	due := at.Add(l.AckTimeout)
	paged, err := s.store.PageLayerTx(ctx, tx, store.LayerPage{
		OrgID: orgID, IncidentID: incidentID, Layer: l.Position, PersonIDs: ids, Advanced: l.Skipped, NextPageAt: due,
	}, at)
	if err != nil {
		return err
	}
	jobs := []river.InsertManyParams{timer(orgID, incidentID, l.Position, due)}
	for _, id := range paged {
		jobs = append(jobs, river.InsertManyParams{Args: pageArgs{orgID, incidentID, l.Position, id}})
	}
	return s.config.Queue.InsertTx(ctx, tx, jobs...)
}

// SetTimerTx sets the timer of an incident that waits for the given layer until
// due, and whose row says so.
func (s *Service) SetTimerTx(ctx context.Context, tx pgx.Tx, orgID string, incidentID uuid.UUID, layer int, due time.Time) error {
	return s.config.Queue.InsertTx(ctx, tx, timer(orgID, incidentID, layer, due))
}

func timer(orgID string, incidentID uuid.UUID, layer int, due time.Time) river.InsertManyParams {
	return river.InsertManyParams{Args: escalateArgs{orgID, incidentID, layer}, InsertOpts: &river.InsertOpts{ScheduledAt: due}}
}

// escalateArgs is the timer of a layer. What is encoded outlives a release: a
// field keeps its name.
type escalateArgs struct {
	OrgID      string    `json:"org"`
	IncidentID uuid.UUID `json:"incident"`
	Layer      int       `json:"layer"` // that nobody acknowledged
}

func (escalateArgs) Kind() string { return "escalate" }

// InsertOpts: a timer does not give up. Its attempts are a minute apart, and what
// does not heal within a day and a half is not for it to heal.
func (escalateArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queue.Database, MaxAttempts: 2000}
}

// escalate goes on to the next layer, unless the incident does not wait for that
// any more.
func (s *Service) escalate(ctx context.Context, job *river.Job[escalateArgs]) error {
	a, now := job.Args, s.config.Now()
	log := s.config.Log.With("org", a.OrgID, "incident", a.IncidentID, "layer", a.Layer)
	var early time.Duration
	err := pgx.BeginFunc(ctx, s.store.Pool(), func(tx pgx.Tx) error {
		e, err := s.store.LockEscalationTx(ctx, tx, a.OrgID, a.IncidentID)
		if errors.Is(err, store.ErrNotFound) {
			return queue.CompleteTx(ctx, tx, job) // deleted, with its organization
		}
		if err != nil {
			return err
		}
		if e.State != store.EscalationPaging || e.Resolved || *e.Layer != a.Layer || e.NextPageAt == nil {
			return queue.CompleteTx(ctx, tx, job)
		}
		// The timer was restarted, or this replica's clock is slow.
		if early = e.NextPageAt.Sub(now); early > 0 {
			return nil
		}
		policy, err := s.store.EscalationPolicyTx(ctx, tx, a.OrgID, *e.PolicyID)
		if err != nil {
			return err
		}
		next, err := s.nextTx(ctx, tx, a.OrgID, policy, a.Layer, now)
		if err != nil {
			return err
		}
		if err := s.PageTx(ctx, tx, a.OrgID, a.IncidentID, next, now); err != nil {
			return err
		}
		return queue.CompleteTx(ctx, tx, job)
	})
	if err != nil {
		if ctx.Err() == nil {
			log.ErrorContext(ctx, "escalating", "error", err, "attempt", job.Attempt)
		}
		return fmt.Errorf("paging: escalating: %w", err)
	}
	if early > 0 {
		return river.JobSnooze(early)
	}
	return nil
}
