// Package volatile is what we keep in Redis: state that may vanish at any
// moment. It holds one thing today, whether a connection lives, and its rule
// of failure: what Redis does not know, or does not answer, is asked of
// Postgres; what neither answers is an outage, never a yes and never a no.
package volatile

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Open returns a client for a Redis URL: redis://, rediss:// or unix://. It
// does not connect.
//
// Its timeouts are short, because every request has Postgres to fall back on.
func Open(url string) (redis.UniversalClient, error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("volatile: %w", err)
	}
	opts.DialTimeout = 500 * time.Millisecond
	opts.ReadTimeout = 500 * time.Millisecond
	opts.WriteTimeout = 500 * time.Millisecond
	opts.MaxRetries = 1
	opts.ContextTimeoutEnabled = true
	return redis.NewClient(opts), nil
}

// Ping reports whether Redis answers.
func (l *Liveness) Ping(ctx context.Context) error { return l.redis.Ping(ctx).Err() }
