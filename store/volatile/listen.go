package volatile

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"scaling.cloud/mcp/store"
)

const (
	// catchUp is how far back a replica reads when it starts to listen. It is
	// longer than any key of Redis lives that says "alive".
	catchUp       = 5 * time.Minute
	outboxEvery   = time.Second
	outboxTimeout = 10 * time.Second
	reconnectWait = time.Second
	// heartbeat is how long a session that hears nothing is trusted before it is
	// asked whether it is still there, and heartbeatTimeout how long it may take
	// to say so. A network that drops a session without a word would else keep us
	// from ever hearing of a revocation.
	heartbeat        = 2 * time.Second
	heartbeatTimeout = time.Second
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
			l.applyOutbox(ctx)
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
		n, err := hear(ctx, conn)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		r, err := parseAnnouncement(n.Payload)
		if err != nil {
			return err
		}
		l.remember(r)
	}
}

// hear returns the next announcement, or nil if there was none for a while and
// the session is in order.
func hear(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	n, err := conn.WaitForNotification(waiting)
	if err == nil || waiting.Err() == nil || ctx.Err() != nil {
		return n, err
	}
	answering, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	return nil, conn.Ping(answering)
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

// applyOutbox tells revocations whose first publication failed.
func (l *Liveness) applyOutbox(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
	defer cancel()
	revoked, err := l.store.UnappliedRevocations(ctx, 500)
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			l.log.WarnContext(ctx, "revocation outbox", "error", err)
		}
		return
	}
	if len(revoked) > 0 {
		l.tell(ctx, revoked)
	}
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
