package volatile

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	redisPause = time.Second
	// redisTimeout bounds one exchange with Redis on the path of a request.
	redisTimeout = 250 * time.Millisecond
)

// outage is the time for which Redis is left alone after it failed: a request
// should not wait for a timeout that the last one waited for. The zero outage is
// over.
type outage struct{ until atomic.Int64 } // Unix time in nanoseconds

func (o *outage) lasts(now time.Time) bool { return now.UnixNano() < o.until.Load() }

// begin leaves Redis alone for a moment, if it was Redis that failed, and reports
// whether it was: not if it answered with a refusal (a full one takes no writes,
// and still knows what it knows), and not if the caller, whose context is ctx,
// gave up.
func (o *outage) begin(ctx context.Context, err error, now time.Time) bool {
	if _, refused := errors.AsType[redis.Error](err); refused || ctx.Err() != nil {
		return false
	}
	o.until.Store(now.Add(redisPause).UnixNano())
	return true
}
