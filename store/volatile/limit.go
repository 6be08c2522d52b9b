package volatile

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// Limit is how often something may happen: Burst times at once, and then once
// in every Every. Neither may be zero.
type Limit struct {
	Burst int
	Every time.Duration // whole microseconds
}

// Draw asks whether something may happen once more.
//
// Bucket names the limit. Subject is whom it is counted for: an id or a network
// in its one canonical form, never a secret, since it becomes part of a key.
type Draw struct {
	Bucket, Subject string
	Limit           Limit
	// Later asks whether there is room and takes none: the thing may turn out not
	// to happen. The caller says so by Spend if it did.
	Later bool
}

func (d Draw) key() string { return "rl:" + d.Bucket + ":" + d.Subject }

// Limiter counts what is limited, by the generic cell rate algorithm: of each
// bucket and subject it remembers one instant, at which all that was drawn will
// have been earned back. Redis holds it at "rl:<bucket>:<subject>", so that all
// replicas count together, by the clock of Redis. Where Redis does not answer,
// every replica counts for itself: a limit is then as many times wider as there
// are replicas, and nobody is refused for the outage.
//
// It is safe for concurrent use.
type Limiter struct {
	redis  redis.UniversalClient
	log    *slog.Logger
	now    func() time.Time
	outage outage
	own    *lru.Cache[string, *rate.Limiter] // what this replica counts by itself

	mu   sync.Mutex
	owed *simplelru.LRU[string, int] // spent, and not counted yet; guarded by mu
}

// ownSubjects is how many subjects a replica can tell apart while it counts by
// itself, some 10 MB of them. Who has more networks than that gets more.
const ownSubjects = 1 << 16

// NewLimiter returns a Limiter. now is the clock that counts while Redis does
// not answer.
func NewLimiter(r redis.UniversalClient, log *slog.Logger, now func() time.Time) *Limiter {
	own, err := lru.New[string, *rate.Limiter](ownSubjects)
	if err != nil {
		panic(err) // the size is positive
	}
	owed, err := simplelru.NewLRU[string, int](ownSubjects, nil)
	if err != nil {
		panic(err)
	}
	return &Limiter{redis: r, log: log, now: now, own: own, owed: owed}
}

// draw moves the instant of one key. Times are whole microseconds, which a
// number of Lua holds exactly. What is owed is taken in any case; one more only
// if ARGV[4] is 1 and there is room. It answers with the microseconds until there
// is room for one more, 0 if there is (and was, for the one it took).
//
// The instant is never further away than a whole burst: neither a debt nor a
// clock that was set back (a failover to another machine) locks anybody out for
// longer.
var draw = redis.NewScript(`
local every, window = tonumber(ARGV[1]), ARGV[1] * ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local before = tonumber(redis.call('GET', KEYS[1])) or 0
local earned = math.min(math.max(before, now) + ARGV[3] * every, now + window)
local wait = math.max(earned + every - window - now, 0)
if ARGV[4] == '1' and wait == 0 then
	earned = earned + every
end
if earned > now and earned ~= before then
	redis.call('SET', KEYS[1], string.format('%.0f', earned), 'PX', math.ceil((earned - now) / 1000))
end
return wait`)

// Draw makes all draws in one exchange with Redis and returns for each how long
// it is until there is room: 0 means yes, it may happen. Draws do not know of one
// another: one is taken though another has no room.
//
// There is no error. An exchange that fails, or takes longer than 250 ms, is
// answered by this replica alone, and so are all others in the second after it.
func (l *Limiter) Draw(ctx context.Context, draws ...Draw) []time.Duration {
	owed := make([]int, len(draws))
	for i, d := range draws {
		owed[i] = l.settle(d)
	}
	now := l.now()
	if !l.outage.lasts(now) {
		waits, err := l.ask(ctx, draws, owed)
		if err == nil {
			return waits
		}
		if l.outage.begin(ctx, err, now) {
			l.log.WarnContext(ctx, "redis does not answer, counting rate limits alone", "error", err)
		}
	}
	waits := make([]time.Duration, len(draws))
	for i, d := range draws {
		waits[i] = l.count(d, owed[i], now)
	}
	return waits
}

// ask makes all draws in Redis.
func (l *Limiter) ask(ctx context.Context, draws []Draw, owed []int) ([]time.Duration, error) {
	brief, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	run := func(p redis.Scripter, i int, sha bool) *redis.Cmd {
		d, take := draws[i], 1
		if d.Later {
			take = 0
		}
		keys, args := []string{d.key()}, []any{d.Limit.Every.Microseconds(), d.Limit.Burst, owed[i], take}
		if sha {
			return draw.EvalSha(brief, p, keys, args...)
		}
		return draw.Eval(brief, p, keys, args...)
	}
	answers := make([]*redis.Cmd, len(draws))
	_, _ = l.redis.Pipelined(brief, func(p redis.Pipeliner) error {
		for i := range draws {
			answers[i] = run(p, i, true)
		}
		return nil
	})
	waits := make([]time.Duration, len(draws))
	for i := range answers {
		wait, err := answers[i].Int64()
		if redis.HasErrorPrefix(err, "NOSCRIPT") { // the first time, and after a restart of Redis
			wait, err = run(l.redis, i, false).Int64()
		}
		if err != nil {
			return nil, err
		}
		waits[i] = time.Duration(wait) * time.Microsecond
	}
	return waits, nil
}

// count is the same in this process.
func (l *Limiter) count(d Draw, owed int, now time.Time) time.Duration {
	limiter, ok := l.own.Get(d.key())
	if !ok {
		limiter = rate.NewLimiter(rate.Every(d.Limit.Every), d.Limit.Burst)
		if another, ok, _ := l.own.PeekOrAdd(d.key(), limiter); ok {
			limiter = another
		}
	}
	for owed > 0 && limiter.AllowN(now, 1) {
		owed-- // what there is no room for is forgiven, as in Redis
	}
	if !d.Later && limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	if missing <= 0 && d.Later {
		return 0
	}
	// At least a microsecond: what AllowN refused has no room, however rounded.
	return max(time.Duration(math.Ceil(missing*float64(d.Limit.Every))), time.Microsecond)
}

// Spend says that what a Draw with Later asked about has happened. It costs no
// exchange with Redis: the next Draw of the same bucket and subject here carries
// it along. Until then other replicas, and calls at the same instant, may find
// room that is taken, one for each of them.
func (l *Limiter) Spend(d Draw) {
	l.mu.Lock()
	defer l.mu.Unlock()
	owed, _ := l.owed.Get(d.key())
	l.owed.Add(d.key(), owed+1)
}

// settle returns what is owed on a draw's key, which its caller now pays.
func (l *Limiter) settle(d Draw) (owed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if owed, _ = l.owed.Peek(d.key()); owed > 0 {
		l.owed.Remove(d.key())
	}
	return owed
}
