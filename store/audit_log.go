package store

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

// Bounds of AuditLog. A batch is written when its first call is auditDelay old, or
// when it is full: a busy replica writes some statements a second, and a call that
// nothing follows is in the log before its person has turned to look.
const (
	auditBatch   = 500
	auditWaiting = 4 * auditBatch
	auditDelay   = 200 * time.Millisecond
	auditTimeout = 10 * time.Second
	auditRetry   = time.Second
)

// AuditLog records calls that change nothing: many in one statement, behind the
// calls' backs. None is dropped: while the database is slow or away calls wait for
// a place, and what has one is written when the database is back. A crash loses
// those of the last auditDelay, and a shutdown without a database those that
// wait. Calls with an effect are recorded with it, by RecordAuditTx.
type AuditLog struct {
	store *Store
	log   *slog.Logger
	calls chan AuditEvent
}

// NewAuditLog returns an AuditLog that writes to s once Run runs.
func NewAuditLog(s *Store, log *slog.Logger) *AuditLog {
	return &AuditLog{s, log, make(chan AuditEvent, auditWaiting)}
}

// Record takes a call. It waits while there is no place, and returns ctx's error
// if there is none in time: then the call is not in the log, and its caller must
// not have its answer.
func (a *AuditLog) Record(ctx context.Context, e AuditEvent) error {
	e.ID = uuid.Must(uuid.NewV7())
	select {
	case a.calls <- e:
		return nil
	default:
	}
	select {
	case a.calls <- e:
		return nil
	case <-ctx.Done():
		return wrap("waiting for the audit log", ctx.Err())
	}
}

// Run writes what Record takes. When ctx is done it writes what is waiting, and
// returns; nobody must call Record by then.
func (a *AuditLog) Run(ctx context.Context) error {
	batch := make([]AuditEvent, 0, auditBatch)
	for {
		select {
		case <-ctx.Done():
			return a.drain(ctx)
		case e := <-a.calls:
			batch = append(batch[:0], e)
		}
		batch = a.gather(ctx, batch)
		for a.write(ctx, batch) != nil && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(auditRetry):
			}
		}
	}
}

// gather adds to batch what comes in the next auditDelay.
func (a *AuditLog) gather(ctx context.Context, batch []AuditEvent) []AuditEvent {
	full := time.NewTimer(auditDelay)
	defer full.Stop()
	for len(batch) < auditBatch {
		select {
		case <-ctx.Done():
			return batch
		case <-full.C:
			return batch
		case e := <-a.calls:
			batch = append(batch, e)
		}
	}
	return batch
}

// drain writes what is waiting.
func (a *AuditLog) drain(ctx context.Context) error {
	for {
		var batch []AuditEvent
		for len(batch) < auditBatch && len(a.calls) > 0 {
			batch = append(batch, <-a.calls)
		}
		if len(batch) == 0 || a.write(ctx, batch) != nil {
			return ctx.Err()
		}
	}
}

// write writes one batch, also when ctx is done: its calls have been answered.
func (a *AuditLog) write(ctx context.Context, batch []AuditEvent) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	err := a.store.RecordAudit(bounded, batch)
	if err != nil {
		a.log.ErrorContext(ctx, "writing the audit log", "calls", len(batch), "error", err)
	}
	return err
}
