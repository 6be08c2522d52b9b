package volatile

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// Swap is the last step of fill, for a test that stalls before it.
func Swap(ctx context.Context, r redis.UniversalClient, id uuid.UUID, lease, value string, ttl time.Duration) (bool, error) {
	err := swap.Run(ctx, r, []string{key(id)}, lease, value, ttl.Milliseconds()).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

// Forget is what Run does once a second with tombstones.
func (l *Liveness) Forget() { l.forget() }
