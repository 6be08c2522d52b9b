// Package volatile is what we keep in Redis: state that may vanish at any
// moment. It holds one thing today, whether a connection lives, and its rule
// of failure: what Redis does not know, or does not answer, is asked of
// Postgres; what neither answers is an outage, never a yes and never a no.
package volatile

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
)

// timeout bounds every exchange with Redis. It is short, because every request
// has Postgres to fall back on.
const timeout = 500 * time.Millisecond

// Open returns a client for a Redis URL (redis://, rediss:// or unix://): of one
// server, of a cluster where the URL names more nodes with ?addr=host:port, or
// of a primary that Sentinel knows where it has ?master_name=name. It does not
// connect.
func Open(redisURL string) (redis.UniversalClient, error) {
	u, err := url.Parse(redisURL)
	if err != nil {
		return nil, errors.New("volatile: not a URL") // url's own error would repeat the password
	}
	switch query := u.Query(); {
	case query.Has("master_name"):
		opts, err := redis.ParseFailoverURL(redisURL)
		if err != nil {
			return nil, fmt.Errorf("volatile: %w", err)
		}
		opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = timeout, timeout, timeout
		opts.MaxRetries, opts.ContextTimeoutEnabled = 1, true
		return redis.NewFailoverClient(opts), nil
	case query.Has("addr"):
		opts, err := redis.ParseClusterURL(redisURL)
		if err != nil {
			return nil, fmt.Errorf("volatile: %w", err)
		}
		opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = timeout, timeout, timeout
		opts.MaxRetries, opts.ContextTimeoutEnabled = 1, true
		return redis.NewClusterClient(opts), nil
	default:
		opts, err := redis.ParseURL(redisURL)
		if err != nil {
			return nil, fmt.Errorf("volatile: %w", err)
		}
		opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = timeout, timeout, timeout
		opts.MaxRetries, opts.ContextTimeoutEnabled = 1, true
		return redis.NewClient(opts), nil
	}
}
