package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

// usageEvery is how often the uses of connections are written down: often enough
// that a person who looks right after a call sees it, and one statement for
// however many connections.
const usageEvery = time.Second

// Usage notes when connections are used, and writes it to the database behind
// the requests' backs. What a crash loses of it is a second.
type Usage struct {
	store *Store
	log   *slog.Logger

	mu   sync.Mutex
	used map[uuid.UUID]time.Time
}

// NewUsage returns a Usage that writes to s once Run runs.
func NewUsage(s *Store, log *slog.Logger) *Usage {
	return &Usage{store: s, log: log, used: map[uuid.UUID]time.Time{}}
}

// Touch notes that a connection was used. It does not wait for the database.
func (u *Usage) Touch(id uuid.UUID, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.used[id].Before(at) {
		u.used[id] = at
	}
}

// Run writes down what was noted, every second and once more when ctx is done.
func (u *Usage) Run(ctx context.Context) error {
	ticker := time.NewTicker(usageEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), usageEvery)
			defer cancel()
			u.flush(last)
			return ctx.Err()
		case <-ticker.C:
			bounded, cancel := context.WithTimeout(ctx, 5*usageEvery)
			u.flush(bounded)
			cancel()
		}
	}
}

func (u *Usage) flush(ctx context.Context) {
	u.mu.Lock()
	used := u.used
	u.used = map[uuid.UUID]time.Time{}
	u.mu.Unlock()
	if len(used) == 0 {
		return
	}
	if err := u.store.TouchConnections(ctx, used); err != nil {
		u.log.WarnContext(ctx, "recording the use of connections", "error", err)
		for id, at := range used {
			u.Touch(id, at) // for the next time
		}
	}
}
