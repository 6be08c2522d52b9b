// Package volatile is what we keep in Redis: state that may vanish at any
// moment. It holds two things, each with its rule of failure. Whether a
// connection lives (Liveness): what Redis does not know, or does not answer, is
// asked of Postgres; what neither answers is an outage, never a yes and never a
// no. And how much of what was used of a rate limit (Limiter): without Redis
// every replica counts for itself.
package volatile

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// timeout bounds every exchange with Redis. It is short, and nothing is tried
// often, because every request has Postgres to fall back on.
const timeout = 500 * time.Millisecond

// Open returns a client for a Redis URL (redis://, rediss:// or unix://): of one
// server, of a cluster where the URL names more of its nodes with
// ?addr=host:port, or of the primary that Sentinel knows as ?master_name=name. It
// does not connect.
func Open(redisURL string) (redis.UniversalClient, error) {
	u, err := url.Parse(redisURL)
	if err != nil {
		return nil, errors.New("volatile: not a URL") // url's own error would repeat the password
	}
	query := u.Query()
	nodes, master := query["addr"], query.Get("master_name")
	query.Del("addr")
	query.Del("master_name")
	u.RawQuery = query.Encode()
	single, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, fmt.Errorf("volatile: %w", err)
	}
	if len(nodes) == 0 && master == "" {
		single.DialTimeout, single.ReadTimeout, single.WriteTimeout = timeout, timeout, timeout
		single.MaxRetries, single.DialerRetries, single.ContextTimeoutEnabled = 1, 1, true
		single.MaintNotificationsConfig = noNotices()
		return redis.NewClient(single), nil
	}
	return redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: append([]string{single.Addr}, nodes...), MasterName: master,
		Username: single.Username, Password: single.Password, DB: single.DB, TLSConfig: single.TLSConfig,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
		MaxRetries: 1, DialerRetries: 1, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: noNotices(),
	}), nil
}

// noNotices turns off go-redis's extension for hosted Redis, which costs every
// connection a round trip.
func noNotices() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}
