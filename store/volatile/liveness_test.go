package volatile_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/store/volatile"
)

// queries counts the statements that reach Postgres.
type queries struct{ n atomic.Int64 }

func (q *queries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if data.SQL != "" {
		q.n.Add(1)
	}
	return ctx
}
func (q *queries) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// replica is one server's view of connections.
type replica struct {
	*volatile.Liveness
	store *store.Store
	redis redis.UniversalClient
	asked *queries // of Postgres
	stop  func()
}

func newReplica(t testing.TB, databaseURL, redisURL string) *replica {
	t.Helper()
	return newReplicaAt(t, databaseURL, redisURL, time.Now)
}

// newReplicaAt returns a replica with a clock of its own.
func newReplicaAt(t testing.TB, databaseURL, redisURL string, now func() time.Time) *replica {
	t.Helper()
	config, err := pgxpool.ParseConfig(databaseURL)
	must(t, err)
	r := &replica{asked: &queries{}}
	config.ConnConfig.Tracer = r.asked
	config.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	must(t, err)
	r.store = store.New(pool)
	r.redis, err = volatile.Open(redisURL)
	must(t, err)
	r.Liveness = volatile.NewLiveness(r.redis, r.store, time.Hour, slog.New(slog.DiscardHandler), now)

	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx, func() { close(ready) })
	}()
	<-ready
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		pool.Close()
		_ = r.redis.Close()
	})
	t.Cleanup(r.stop)
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// connect stores a live connection, in epoch 0.
func (r *replica) connect(t testing.TB, lifetime time.Duration) uuid.UUID {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	hash := func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
	_, err := r.store.SavePerson(ctx, store.User{ID: "user_bob", Name: "bob"},
		[]store.Membership{{Organization: store.Organization{ID: "org_acme"}, Role: store.RoleMember}}, now, "")
	must(t, err)
	_, err = r.store.RegisterClient(ctx, store.Client{
		ID: "claude", Kind: store.ClientRegistered, AuthMethod: store.AuthMethodNone, RedirectURIs: []string{"https://a.example"}, GrantTypes: []string{store.GrantCode}, CreatedAt: now,
	}, hash("claude"))
	must(t, err)
	c := store.Connection{
		ID: uuid.New(), OrgID: "org_acme", UserID: "user_bob", ClientID: "claude", Scopes: []string{store.ScopeIncidentsRead},
		RedirectURI: "https://a.example", ExpiresAt: now.Add(lifetime),
	}
	id := c.ID.String()
	must(t, r.store.CreateAuthorizationRequest(ctx, hash(id), hash(id), store.AuthorizationRequest{ClientID: "claude"}, now))
	_, err = r.store.ShowAuthorizationRequest(ctx, hash(id), hash(id), "user_bob", now)
	must(t, err)
	must(t, r.store.CreateGrant(ctx, store.Grant{Decision: store.Decision{HandleHash: hash(id), BrowserHash: hash(id), UserID: "user_bob"}, Connection: c, CodeHash: hash(id), CodeChallenge: "c", CodeExpiresAt: now.Add(time.Minute)}, now))
	_, err = r.store.RedeemCode(ctx, store.CodeRedemption{
		CodeHash: hash(id), ConnectionID: c.ID, ClientID: "claude", CodeChallenge: "c", RefreshHash: hash(id), RefreshExpiresAt: now,
		Supersedes: func(string) bool { return false },
	}, now)
	must(t, err)
	return c.ID
}

func (r *replica) revoke(t testing.TB, id uuid.UUID) (confirmed bool) {
	t.Helper()
	revoked, err := r.store.RevokeOwnConnection(t.Context(), id, "user_bob", time.Now())
	must(t, err)
	return r.Publish(t.Context(), revoked)
}

// check fails the test unless the liveness of id in epoch 0 is want.
func (r *replica) check(t testing.TB, what string, id uuid.UUID, want error) {
	t.Helper()
	if err := r.Check(t.Context(), id, 0); !errors.Is(err, want) {
		t.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

func TestLiveConnectionCostsPostgresOneQuestionAMinute(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), storetest.Redis(t))
	id := r.connect(t, time.Hour)
	before := r.asked.n.Load()
	for range 100 {
		r.check(t, "alive", id, nil)
	}
	// The outbox worker asks too, once a second.
	if asked := r.asked.n.Load() - before; asked > 5 {
		t.Errorf("Postgres was asked %d times for 100 checks", asked)
	}
	ttl, err := r.redis.PTTL(t.Context(), "conn:"+id.String()).Result()
	must(t, err)
	if ttl <= 0 || ttl > store.LivenessTTL {
		t.Errorf("Redis keeps the answer for %v, want at most %v", ttl, store.LivenessTTL)
	}
}

func TestAnswerIsNotKeptPastExpiry(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), storetest.Redis(t))
	id := r.connect(t, 10*time.Second)
	r.check(t, "alive", id, nil)
	ttl, err := r.redis.PTTL(t.Context(), "conn:"+id.String()).Result()
	must(t, err)
	if ttl <= 0 || ttl > 10*time.Second {
		t.Errorf("Redis keeps the answer for %v, and the connection lives for 10s", ttl)
	}
	expired := r.connect(t, -time.Second)
	r.check(t, "expired", expired, store.ErrNotFound)
	r.check(t, "unknown", uuid.New(), store.ErrNotFound)
}

// TestRevokedIsRevokedEverywhere is the guarantee of design §8: after the answer,
// the next request on any replica is refused, whatever happens to Redis.
func TestRevokedIsRevokedEverywhere(t *testing.T) {
	t.Parallel()
	databaseURL, redisURL := storetest.OpenURL(t), storetest.Redis(t)
	here, there := newReplica(t, databaseURL, redisURL), newReplica(t, databaseURL, redisURL)
	id := here.connect(t, time.Hour)
	other := here.connect(t, time.Hour)
	here.check(t, "before, here", id, nil)
	there.check(t, "before, there", id, nil)
	if !here.revoke(t, id) {
		t.Error("the revocation was not confirmed")
	}
	all := func(when string) {
		here.check(t, when+", here", id, store.ErrNotFound)
		there.check(t, when+", there", id, store.ErrNotFound)
		there.check(t, when+", somebody else", other, nil)
	}
	all("after")
	must(t, here.redis.FlushAll(t.Context()).Err())
	all("after FLUSHALL")
	fresh := newReplica(t, databaseURL, redisURL)
	must(t, here.redis.FlushAll(t.Context()).Err())
	fresh.check(t, "on a replica that has just started", id, store.ErrNotFound)
	// A Redis that was restored from an old snapshot, or failed over to a
	// replica that lagged.
	must(t, here.redis.Set(t.Context(), "conn:"+id.String(), "a:0", time.Minute).Err())
	all("after Redis went back in time")
	fresh.check(t, "after Redis went back in time, on the new replica", id, store.ErrNotFound)
	queued, err := here.store.UnappliedRevocations(t.Context(), 10)
	if err != nil || len(queued) != 0 {
		t.Errorf("%d revocations are still queued, %v", len(queued), err)
	}
}

func TestRedisGoneCostsLatencyOnly(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), "redis://127.0.0.1:1")
	id := r.connect(t, time.Hour)
	for range 10 {
		r.check(t, "alive", id, nil)
	}
	if r.revoke(t, id) {
		t.Error("a revocation was confirmed by a Redis that is not there")
	}
	r.check(t, "revoked", id, store.ErrNotFound)
}

func TestUnknownIsNeitherAliveNorRevoked(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), "redis://127.0.0.1:1")
	id := r.connect(t, time.Hour)
	r.stop() // takes the database with it
	if err := r.Check(t.Context(), id, 0); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("with nobody to ask: error is %v, want an outage", err)
	}
}

// TestStaleAnswerNeverBuriesATombstone: a replica has asked Postgres and stalls;
// meanwhile the connection is revoked, and Redis even forgets the tombstone.
func TestStaleAnswerNeverBuriesATombstone(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), storetest.Redis(t))
	ctx := t.Context()
	for name, meanwhile := range map[string]func(key string){
		"tombstone": func(string) {},
		"tombstone and flush": func(string) {
			must(t, r.redis.FlushAll(ctx).Err())
		},
		"tombstone, flush, and another's lease": func(key string) {
			must(t, r.redis.FlushAll(ctx).Err())
			must(t, r.redis.Set(ctx, key, "l:other", time.Minute).Err())
		},
	} {
		id := r.connect(t, time.Hour)
		key := "conn:" + id.String()
		// The lease is taken by a reader who is between Postgres and the swap.
		must(t, r.redis.SetNX(ctx, key, "l:mine", time.Minute).Err())
		if !r.revoke(t, id) {
			t.Errorf("%s: not confirmed", name)
		}
		meanwhile(key)
		swapped, err := volatile.Swap(ctx, r.redis, id, "l:mine", "a:0", time.Minute)
		must(t, err)
		if swapped {
			t.Errorf("%s: a stale answer was stored", name)
		}
		r.check(t, name, id, store.ErrNotFound)
	}
}

func TestOldEpochIsRefusedAndNewEpochIsAsked(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), storetest.Redis(t))
	ctx := t.Context()
	id := r.connect(t, time.Hour)
	key := "conn:" + id.String()
	for value, want := range map[string]error{
		"a:1":     store.ErrNotFound, // newer than the token
		"r:1":     store.ErrNotFound,
		"l:other": nil, // another's lease: Postgres answers
		"garbage": nil,
		"a:":      nil,
		"":        nil,
	} {
		must(t, r.redis.Set(ctx, key, value, time.Minute).Err())
		r.check(t, value, id, want)
		if got, err := r.redis.Get(ctx, key).Result(); err != nil || got != value {
			t.Errorf("%q was replaced by %q, %v", value, got, err)
		}
	}
	must(t, r.redis.Set(ctx, key, "a:0", time.Minute).Err())
	if err := r.Check(ctx, id, 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a token of an epoch that never was: error is %v, want ErrNotFound", err)
	}
}

func TestOutboxIsAppliedWhenRedisComesBack(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), storetest.Redis(t))
	ctx := t.Context()
	id := r.connect(t, time.Hour)
	r.check(t, "alive", id, nil)
	// Committed, and then the server that did it died before it told Redis.
	_, err := r.store.RevokeOwnConnection(ctx, id, "user_bob", time.Now())
	must(t, err)
	waitFor(t, func() bool {
		queued, err := r.store.UnappliedRevocations(ctx, 1)
		must(t, err)
		return len(queued) == 0
	})
	if got, err := r.redis.Get(ctx, "conn:"+id.String()).Result(); err != nil || got != "r:1" {
		t.Errorf("Redis has %q, %v, want the tombstone", got, err)
	}
}

// TestReplicaThatDoesNotListenAsksPostgres: Redis may be wrong about a revocation
// that nobody announced to us.
func TestReplicaThatDoesNotListenAsksPostgres(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), storetest.Redis(t))
	ctx := t.Context()
	id := r.connect(t, time.Hour)
	deaf := volatile.NewLiveness(r.redis, r.store, time.Hour, slog.New(slog.DiscardHandler), time.Now) // Run does not run
	r.revoke(t, id)
	must(t, r.redis.Set(ctx, "conn:"+id.String(), "a:0", time.Minute).Err())
	if err := deaf.Check(ctx, id, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("error is %v, want ErrNotFound: Redis was believed", err)
	}
}

// TestReplicaListensAgain: what was revoked while it did not is caught up with.
func TestReplicaListensAgain(t *testing.T) {
	t.Parallel()
	databaseURL, redisURL := storetest.OpenURL(t), storetest.Redis(t)
	here, there := newReplica(t, databaseURL, redisURL), newReplica(t, databaseURL, redisURL)
	ctx := t.Context()
	id := here.connect(t, time.Hour)
	there.check(t, "before", id, nil)
	_, err := here.store.Pool().Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()`)
	must(t, err)
	here.revoke(t, id)
	must(t, here.redis.Set(ctx, "conn:"+id.String(), "a:0", time.Minute).Err())
	// Deaf or listening, it must know.
	var listening int
	waitFor(t, func() bool {
		there.check(t, "after", id, store.ErrNotFound)
		must(t, here.store.Pool().QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`).Scan(&listening))
		return listening == 2
	})
	there.check(t, "listening again", id, store.ErrNotFound)
}

func TestRevocationIsToldThoughThePersonHungUp(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), storetest.Redis(t))
	id := r.connect(t, time.Hour)
	revoked, err := r.store.RevokeOwnConnection(t.Context(), id, "user_bob", time.Now())
	must(t, err)
	hungUp, cancel := context.WithCancel(t.Context())
	cancel()
	if !r.Publish(hungUp, revoked) {
		t.Error("not confirmed")
	}
}

func TestTombstoneOutlivesEveryToken(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), storetest.Redis(t))
	ctx := t.Context()
	id := r.connect(t, time.Hour)
	r.revoke(t, id)
	ttl, err := r.redis.PTTL(ctx, "conn:"+id.String()).Result()
	must(t, err)
	if ttl <= time.Hour {
		t.Errorf("the tombstone stands for %v, and an access token lives for an hour", ttl)
	}
	r.Forget() // what nobody needs
	must(t, r.redis.Set(ctx, "conn:"+id.String(), "a:0", time.Minute).Err())
	r.check(t, "after a turn of the sweep", id, store.ErrNotFound)
}

// TestRedisThatTakesNoWritesIsMadeToForget: a full Redis refuses the tombstone
// and would go on saying that the connection lives.
func TestRedisThatTakesNoWritesIsMadeToForget(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), storetest.Redis(t))
	ctx := t.Context()
	id := r.connect(t, time.Hour)
	r.check(t, "before", id, nil)
	must(t, r.redis.ConfigSet(ctx, "maxmemory", "1").Err())
	if !r.revoke(t, id) {
		t.Error("not confirmed, though Redis can delete")
	}
	if err := r.redis.Get(ctx, "conn:"+id.String()).Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("Redis still has the key: %v", err)
	}
	r.check(t, "after", id, store.ErrNotFound)
}

// TestRedisThatHangsIsNotWaitedForByEveryRequest counts who tries.
func TestRedisThatHangsIsNotWaitedForByEveryRequest(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	var tried atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tried.Add(1)
			defer conn.Close() // and never a word
		}
	}()
	begun := time.Now()
	r := newReplicaAt(t, storetest.OpenURL(t), "redis://"+listener.Addr().String(), func() time.Time { return begun })
	id := r.connect(t, time.Hour)
	r.check(t, "first", id, nil)
	first := tried.Load()
	if first == 0 {
		t.Fatal("Redis was not tried at all")
	}
	for range 20 {
		r.check(t, "while Redis is left alone", id, nil)
	}
	if got := tried.Load() - first; got != 0 {
		t.Errorf("20 requests in the same instant tried Redis %d times", got)
	}
}

// TestPostgresThatHangsIsAnOutage: nobody is told to sign in again, and nobody
// waits for ever.
func TestPostgresThatHangsIsAnOutage(t *testing.T) {
	t.Parallel()
	r := newReplica(t, storetest.OpenURL(t), "redis://127.0.0.1:1")
	ctx := t.Context()
	id := r.connect(t, time.Hour)
	held, err := r.store.Pool().Begin(ctx)
	must(t, err)
	defer held.Rollback(context.WithoutCancel(ctx))
	_, err = held.Exec(ctx, `LOCK TABLE connections IN ACCESS EXCLUSIVE MODE`)
	must(t, err)
	if err := r.Check(ctx, id, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want a deadline", err)
	}
}

// TestSilentListenerIsNotTrusted: the session on which revocations are announced
// dies without a word, as behind a NAT that forgot it.
func TestSilentListenerIsNotTrusted(t *testing.T) {
	t.Parallel()
	databaseURL, redisURL := storetest.OpenURL(t), storetest.Redis(t)
	path := newPath(t, databaseURL)
	here, there := newReplica(t, databaseURL, redisURL), newReplica(t, path.url, redisURL)
	ctx := t.Context()
	id := here.connect(t, time.Hour)
	there.check(t, "before", id, nil)
	path.silent.Store(true)
	if !here.revoke(t, id) {
		t.Error("not confirmed")
	}
	must(t, here.redis.Set(ctx, "conn:"+id.String(), "a:0", time.Hour).Err())
	waitFor(t, func() bool { return there.Check(ctx, id, 0) != nil })
}

// path is a way to Postgres that can fall silent: what is sent arrives nowhere.
type path struct {
	url    string
	silent atomic.Bool
}

func newPath(t testing.TB, databaseURL string) *path {
	t.Helper()
	config, err := pgx.ParseConfig(databaseURL)
	must(t, err)
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	p := &path{url: fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", config.User, listener.Addr(), config.Database)}
	carry := func(to, from net.Conn) {
		defer to.Close()
		defer from.Close()
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if p.silent.Load() {
				continue
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				client.Close()
				return
			}
			go carry(server, client)
			go carry(client, server)
		}
	}()
	return p
}

// waitFor polls until a background worker has done its part.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not happen within 20 seconds")
		case <-ticker.C:
		}
	}
}

// TestNoRequestIsServedAfterTheAnswer revokes under load, with a flush right
// behind the tombstone, and counts what was let through afterwards.
func TestNoRequestIsServedAfterTheAnswer(t *testing.T) {
	t.Parallel()
	databaseURL, redisURL := storetest.OpenURL(t), storetest.Redis(t)
	replicas := []*replica{newReplica(t, databaseURL, redisURL), newReplica(t, databaseURL, redisURL)}
	for round := range 10 {
		id := replicas[0].connect(t, time.Hour)
		var revoked atomic.Bool
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for i := range 8 {
			wg.Go(func() {
				r := replicas[i%2]
				for {
					select {
					case <-stop:
						return
					default:
					}
					after := revoked.Load() // before the request begins
					err := r.Check(t.Context(), id, 0)
					if after && err == nil {
						t.Errorf("round %d: served after the answer", round)
						return
					}
					if err != nil && !errors.Is(err, store.ErrNotFound) {
						t.Error(err)
						return
					}
				}
			})
		}
		if !replicas[0].revoke(t, id) {
			t.Error("not confirmed")
		}
		revoked.Store(true)
		if round%2 == 0 {
			must(t, replicas[0].redis.FlushAll(t.Context()).Err())
		}
		for range 50 {
			replicas[1].check(t, "after", id, store.ErrNotFound)
		}
		close(stop)
		wg.Wait()
	}
}
