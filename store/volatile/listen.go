package volatile

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"scaling.cloud/mcp/store"
)

const (
	// catchUp is how far back a replica reads when it starts to listen. It is
	// longer than any key of Redis lives that says "alive".
	catchUp       = 5 * time.Minute
	outboxEvery   = time.Second
	reconnectWait = time.Second
)

// Run keeps the replica's own tombstones and the outbox until ctx is done. ready
// is called once, when the tombstones of the last minutes are loaded.
func (l *Liveness) Run(ctx context.Context, ready func()) error {
	ready = sync.OnceFunc(ready)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for ctx.Err() == nil {
			err := l.listen(ctx, ready)
			l.listening.Store(false)
			if ctx.Err() != nil {
				break
			}
			l.log.WarnContext(ctx, "not listening for revocations, asking postgres at each request", "error", err)
			pause(ctx, reconnectWait)
		}
		return ctx.Err()
	})
	g.Go(func() error {
		for ctx.Err() == nil {
			pause(ctx, outboxEvery)
			if err := l.applyOutbox(ctx); err != nil && ctx.Err() == nil {
				l.log.WarnContext(ctx, "revocation outbox", "error", err)
			}
			l.forget()
		}
		return ctx.Err()
	})
	return g.Wait()
}

// listen holds one session of Postgres and remembers every revocation that it
// announces. It always returns an error.
func (l *Liveness) listen(ctx context.Context, ready func()) error {
	pooled, err := l.store.Pool().Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // a session that listens must not go back to the pool
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{store.RevocationChannel}.Sanitize()); err != nil {
		return err
	}
	// Read after LISTEN has begun: what is committed later is announced.
	recent, err := l.store.RevocationsSince(ctx, l.now().Add(-catchUp))
	if err != nil {
		return err
	}
	for _, r := range recent {
		l.remember(r)
	}
	l.listening.Store(true)
	ready()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		r, err := parseAnnouncement(n.Payload)
		if err != nil {
			return err
		}
		l.remember(r)
	}
}

func parseAnnouncement(payload string) (*store.Revocation, error) {
	id, epoch, _ := strings.Cut(payload, ":")
	connectionID, err := uuid.Parse(id)
	if err != nil {
		return nil, fmt.Errorf("volatile: announcement %q: %w", payload, err)
	}
	number, err := strconv.Atoi(epoch)
	if err != nil {
		return nil, fmt.Errorf("volatile: announcement %q: %w", payload, err)
	}
	return &store.Revocation{ConnectionID: connectionID, Epoch: number}, nil
}

// applyOutbox publishes revocations whose first publication failed.
func (l *Liveness) applyOutbox(ctx context.Context) error {
	revoked, err := l.store.UnappliedRevocations(ctx, 500)
	if err != nil || len(revoked) == 0 {
		return err
	}
	if err := l.bury(ctx, revoked); err != nil {
		return err
	}
	return l.store.ConfirmRevocations(ctx, revoked, l.now())
}

// forget drops the tombstones that no token can outlive.
func (l *Liveness) forget() {
	now := l.now()
	l.tombstones.Range(func(id, t any) bool {
		if now.After(t.(tombstone).until) {
			l.tombstones.CompareAndDelete(id, t)
		}
		return true
	})
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
