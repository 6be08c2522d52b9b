package volatile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"scaling.cloud/mcp/store"
)

// Liveness answers whether a connection lives, once per MCP request, and spreads
// the news when one ends. It is an allow-list: Redis holds "conn:<id>" as
//
//	a:<epoch>  alive, put there by a lease and for a minute at most
//	r:<epoch>  revoked, a tombstone
//	l:<nonce>  somebody holds the lease and is asking Postgres
//
// and a key that is not there means "ask Postgres". So neither a flush nor an
// empty restart brings a revoked connection back. A Redis restored from an old
// snapshot could, for the rest of an old key's minute: that is what a replica's
// own tombstones are for, fed by Postgres (see Run).
//
// It is safe for concurrent use.
type Liveness struct {
	redis  redis.UniversalClient
	store  *store.Store
	log    *slog.Logger
	now    func() time.Time
	tokens time.Duration // how long a token may outlive its revocation

	outage outage

	tombstones sync.Map    // uuid.UUID → tombstone
	listening  atomic.Bool // Postgres tells us of every revocation
}

type tombstone struct {
	epoch int
	until time.Time
}

// NewLiveness returns a Liveness. accessTokenTTL is how long an access token
// lives at most; tombstones outlast it.
func NewLiveness(r redis.UniversalClient, s *store.Store, accessTokenTTL time.Duration, log *slog.Logger, now func() time.Time) *Liveness {
	return &Liveness{redis: r, store: s, log: log, now: now, tokens: accessTokenTTL + 5*time.Minute}
}

const (
	leaseTTL = 5 * time.Second
	// postgresTimeout bounds a question to Postgres: one that hangs rather than
	// refuses is an outage, too.
	postgresTimeout = 3 * time.Second
)

// swap replaces a lease by what its holder found, unless the lease is gone: then
// a flush or a tombstone came in between, and what was found may be stale.
var swap = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return false`)

func key(id uuid.UUID) string { return "conn:" + id.String() }

// Check returns nil if the connection lives and its epoch is epoch. It returns
// store.ErrNotFound if the connection has ended or the epoch is an old one; any
// other error means that nobody could tell.
func (l *Liveness) Check(ctx context.Context, id uuid.UUID, epoch int) error {
	now := l.now()
	if t, ok := l.tombstones.Load(id); ok && t.(tombstone).epoch > epoch {
		return store.ErrNotFound
	}
	if !l.listening.Load() || l.outage.lasts(now) {
		_, err := l.ask(ctx, id, epoch, now)
		return err
	}
	brief, cancel := context.WithTimeout(ctx, redisTimeout)
	value, err := l.redis.Get(brief, key(id)).Result()
	cancel()
	if err != nil && !errors.Is(err, redis.Nil) {
		l.broken(ctx, err)
		_, err := l.ask(ctx, id, epoch, now)
		return err
	}
	switch state, known := parse(value); {
	case state == 'r', state == 'a' && known > epoch:
		return store.ErrNotFound
	case state == 'a' && known == epoch:
		return nil
	case errors.Is(err, redis.Nil):
		return l.fill(ctx, id, epoch, now)
	}
	// Another's lease, or an epoch older than the token's.
	_, err = l.ask(ctx, id, epoch, now)
	return err
}

// parse splits "a:7" into 'a' and 7. Anything else has state 0.
func parse(value string) (state byte, epoch int) {
	kind, number, ok := strings.Cut(value, ":")
	if !ok || (kind != "a" && kind != "r") {
		return 0, 0
	}
	epoch, err := strconv.Atoi(number)
	if err != nil {
		return 0, 0
	}
	return kind[0], epoch
}

// ask answers from Postgres.
func (l *Liveness) ask(ctx context.Context, id uuid.UUID, epoch int, now time.Time) (*store.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, postgresTimeout)
	defer cancel()
	state, err := l.store.ConnectionState(ctx, id)
	if err != nil {
		return nil, err
	}
	if !state.Live || state.Epoch != epoch || !now.Before(state.ExpiresAt) {
		return nil, store.ErrNotFound
	}
	return state, nil
}

// fill answers from Postgres under a lease, so that the next check need not.
func (l *Liveness) fill(ctx context.Context, id uuid.UUID, epoch int, now time.Time) error {
	lease := "l:" + rand.Text()
	brief, cancel := context.WithTimeout(ctx, redisTimeout)
	leased, err := l.redis.SetNX(brief, key(id), lease, leaseTTL).Result()
	cancel()
	if err != nil {
		l.broken(ctx, err)
	}
	state, err := l.ask(ctx, id, epoch, now)
	if err != nil || !leased {
		return err
	}
	// Counted from before Postgres was asked: nobody believes it for longer.
	answered := l.now()
	ttl := min(now.Add(store.LivenessTTL).Sub(answered), state.ExpiresAt.Sub(answered))
	if ttl < time.Millisecond {
		return nil
	}
	brief, cancel = context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	if err := swap.Run(brief, l.redis, []string{key(id)}, lease, "a:"+strconv.Itoa(epoch), ttl.Milliseconds()).Err(); err != nil && !errors.Is(err, redis.Nil) {
		l.broken(ctx, err)
	}
	return nil
}

// broken notes that an exchange with Redis failed.
func (l *Liveness) broken(ctx context.Context, err error) {
	if l.outage.begin(ctx, err, l.now()) {
		l.log.WarnContext(ctx, "redis does not answer, asking postgres", "error", err)
	}
}

// Publish makes revocations known that Postgres has committed. It reports
// whether they are confirmed: every replica refuses the connections from now on.
// If not, they end within store.LivenessTTL, and Run keeps trying.
func (l *Liveness) Publish(ctx context.Context, revoked ...*store.Revocation) (confirmed bool) {
	// The person's browser may hang up; the revocation is still to be told.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	for _, r := range revoked {
		l.remember(r)
	}
	return l.tell(ctx, revoked)
}

// publishTimeout bounds what a person waits for when they revoke.
const publishTimeout = 2 * time.Second

func (l *Liveness) remember(r *store.Revocation) {
	l.tombstones.Store(r.ConnectionID, tombstone{r.Epoch, l.now().Add(l.tokens)})
}

// tell puts up the tombstones in Redis and notes in the outbox which of them
// stand. It reports whether all do.
func (l *Liveness) tell(ctx context.Context, revoked []*store.Revocation) (all bool) {
	buried, err := l.bury(ctx, revoked)
	if err != nil {
		l.log.WarnContext(ctx, "revocations are not confirmed yet", "missing", len(revoked)-len(buried), "error", err)
	}
	if err := l.store.ConfirmRevocations(ctx, buried, l.now()); err != nil {
		l.log.WarnContext(ctx, "revocation outbox", "error", err)
	}
	return len(buried) == len(revoked)
}

// bury puts up tombstones in Redis, in one exchange. Where one is refused (a full
// Redis takes no writes), the key is deleted, so that Postgres is asked. It
// returns those that stand, and why others do not.
func (l *Liveness) bury(ctx context.Context, revoked []*store.Revocation) (buried []*store.Revocation, err error) {
	set := make([]*redis.StatusCmd, len(revoked))
	_, _ = l.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, r := range revoked {
			set[i] = p.Set(ctx, key(r.ConnectionID), "r:"+strconv.Itoa(r.Epoch), l.tokens)
		}
		return nil
	})
	for i, r := range revoked {
		failed := set[i].Err()
		if _, refused := errors.AsType[redis.Error](failed); refused {
			failed = l.redis.Del(ctx, key(r.ConnectionID)).Err()
		}
		if failed != nil {
			err = fmt.Errorf("volatile: tombstone: %w", failed)
			continue
		}
		buried = append(buried, r)
	}
	return buried, err
}
