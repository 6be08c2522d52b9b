package volatile_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/store/volatile"
)

func newLimiter(t testing.TB, redisURL string, now func() time.Time) (*volatile.Limiter, redis.UniversalClient) {
	t.Helper()
	r, err := volatile.Open(redisURL)
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return volatile.NewLimiter(r, slog.New(slog.DiscardHandler), now), r
}

// nowhere is a Redis that does not answer.
const nowhere = "redis://127.0.0.1:1"

// slow is a limit that earns nothing back during a test.
func slow(subject string, burst int) volatile.Draw {
	return volatile.Draw{Bucket: "test", Subject: subject, Limit: volatile.Limit{Burst: burst, Every: time.Hour}}
}

func allowed(t testing.TB, l *volatile.Limiter, d volatile.Draw) bool {
	t.Helper()
	return l.Draw(t.Context(), d)[0] == 0
}

// warned counts what a log is told.
type warned struct {
	slog.Handler
	times *atomic.Int64
}

func (warned) Enabled(context.Context, slog.Level) bool { return true }

func (w warned) Handle(context.Context, slog.Record) error {
	w.times.Add(1)
	return nil
}

// TestExactlyTheBurstIsAllowedUnderRace: 32 callers on two replicas, and one
// replica without Redis. Where this machine is so busy that Redis does not answer
// in time the two count by themselves, as they should, and are asked once more.
func TestExactlyTheBurstIsAllowedUnderRace(t *testing.T) {
	t.Parallel()
	var outages atomic.Int64
	limiter := func(redisURL string) *volatile.Limiter {
		r, err := volatile.Open(redisURL)
		must(t, err)
		t.Cleanup(func() { _ = r.Close() })
		return volatile.NewLimiter(r, slog.New(warned{slog.DiscardHandler, &outages}), time.Now)
	}
	const burst = 20
	race := func(subject string, replicas ...*volatile.Limiter) int64 {
		var yes atomic.Int64
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				for range 4 {
					if allowed(t, replicas[i%len(replicas)], slow(subject, burst)) {
						yes.Add(1)
					}
				}
			})
		}
		wg.Wait()
		return yes.Load()
	}
	if got := race("race", limiter(nowhere)); got != burst {
		t.Errorf("one without Redis: %d of 128 were allowed, want %d", got, burst)
	}
	redisURL := storetest.Redis(t)
	for n := range 20 {
		outages.Store(0)
		got := race(fmt.Sprint("race ", n), limiter(redisURL), limiter(redisURL))
		if outages.Load() > 0 {
			continue
		}
		if got != burst {
			t.Errorf("two replicas: %d of 128 were allowed, want %d", got, burst)
		}
		return
	}
	t.Error("Redis did not answer in time, twenty times")
}

// TestLimiterCountsAlike wherever it counts.
func TestLimiterCountsAlike(t *testing.T) {
	t.Parallel()
	mini := miniredis.RunT(t) // what dev has
	for name, redisURL := range map[string]string{
		"redis-server": storetest.Redis(t), "miniredis": "redis://" + mini.Addr(), "no Redis": nowhere,
	} {
		l, _ := newLimiter(t, redisURL, time.Now)
		ask := func(d volatile.Draw, want bool, what string) {
			t.Helper()
			wait := l.Draw(t.Context(), d)[0]
			if got := wait == 0; got != want {
				t.Errorf("%s: %s: allowed is %v, want %v", name, what, got, want)
			}
			if !want && (wait <= d.Limit.Every-time.Minute || wait > d.Limit.Every) {
				t.Errorf("%s: %s: to wait %v, want nearly %v", name, what, wait, d.Limit.Every)
			}
		}
		ask(slow("a", 2), true, "first")
		ask(slow("a", 2), true, "second")
		ask(slow("a", 2), false, "third")
		ask(slow("b", 2), true, "another subject")
		other := slow("a", 2)
		other.Bucket = "other"
		ask(other, true, "another bucket")

		later := slow("c", 2)
		later.Later = true
		for i := range 5 {
			ask(later, true, fmt.Sprintf("asked %d times, and nothing happened", i+1))
		}
		l.Spend(later)
		ask(later, true, "one spent")
		l.Spend(later)
		ask(later, false, "two spent")
		ask(slow("c", 2), false, "two spent, and one wanted now")
		for range 5 { // more than there was room for, as in a race
			l.Spend(later)
		}
		ask(later, false, "seven spent")

		waits := l.Draw(t.Context(), slow("a", 2), slow("d", 2), later)
		if waits[0] == 0 || waits[1] != 0 || waits[2] == 0 {
			t.Errorf("%s: three at once have to wait %v, want only the second not to", name, waits)
		}
	}
}

func TestLimiterEarnsBack(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	var passed atomic.Int64
	alone, _ := newLimiter(t, nowhere, func() time.Time { return begun.Add(time.Duration(passed.Load())) })
	d := volatile.Draw{Bucket: "test", Subject: "a", Limit: volatile.Limit{Burst: 3, Every: 10 * time.Second}}
	for _, step := range []struct {
		after time.Duration
		want  int // allowed then, of ten
	}{{0, 3}, {9 * time.Second, 0}, {time.Second, 1}, {25 * time.Second, 2}, {5 * time.Second, 1}, {time.Hour, 3}} {
		passed.Add(int64(step.after))
		got := 0
		for range 10 {
			if allowed(t, alone, d) {
				got++
			}
		}
		if got != step.want {
			t.Errorf("%v later: %d allowed, want %d", step.after, got, step.want)
		}
	}

	// Redis has a clock of its own.
	shared, _ := newLimiter(t, storetest.Redis(t), time.Now)
	d.Limit = volatile.Limit{Burst: 1, Every: 200 * time.Millisecond}
	began := time.Now()
	if !allowed(t, shared, d) || allowed(t, shared, d) {
		t.Fatal("a burst of one is not one")
	}
	waitFor(t, func() bool { return allowed(t, shared, d) })
	if took := time.Since(began); took < d.Limit.Every-10*time.Millisecond {
		t.Errorf("earned back after %v, want %v", took, d.Limit.Every)
	}
}

// TestLimitsHoldWithoutRedisAndRedisIsUsedAgain: what is limited stays limited.
func TestLimitsHoldWithoutRedisAndRedisIsUsedAgain(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t)
	begun := time.Now()
	var passed atomic.Int64
	l, r := newLimiter(t, server.URL, func() time.Time { return begun.Add(time.Duration(passed.Load())) })
	d := slow("a", 3)
	count := func() (yes int) {
		for range 10 {
			if allowed(t, l, d) {
				yes++
			}
		}
		return yes
	}
	if got := count(); got != 3 {
		t.Errorf("with Redis: %d allowed, want 3", got)
	}
	server.Stop()
	if got := count(); got != 3 {
		t.Errorf("without Redis: %d allowed, want 3", got)
	}
	if got := count(); got != 0 {
		t.Errorf("without Redis, the burst spent: %d allowed, want 0", got)
	}
	server.Start()
	passed.Add(int64(2 * time.Second))
	if got := count(); got != 3 { // it came back empty, and has the script no more
		t.Errorf("Redis is back: %d allowed, want 3", got)
	}
	if n, err := r.Exists(t.Context(), "rl:test:a").Result(); err != nil || n != 1 {
		t.Errorf("Redis is back: it has %d keys (%v), want it to count", n, err)
	}
}

// TestRedisThatHangsDelaysOneRequestBriefly counts and measures.
func TestRedisThatHangsDelaysOneRequestBriefly(t *testing.T) {
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
	l, _ := newLimiter(t, "redis://"+listener.Addr().String(), func() time.Time { return begun })
	if !allowed(t, l, slow("a", 3)) {
		t.Error("refused because Redis hangs")
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v, want about 250 ms", took)
	}
	first := tried.Load()
	if first == 0 {
		t.Fatal("Redis was not tried at all")
	}
	for range 20 {
		allowed(t, l, slow("a", 3))
	}
	if got := tried.Load() - first; got != 0 {
		t.Errorf("20 requests in the same instant tried Redis %d times", got)
	}
}

// TestWhatIsOddInRedisLocksNobodyOut: a clock that was set back, a full server,
// keys that are not ours.
func TestWhatIsOddInRedisLocksNobodyOut(t *testing.T) {
	t.Parallel()
	l, r := newLimiter(t, storetest.Redis(t), time.Now)
	ctx := t.Context()
	d := volatile.Draw{Bucket: "test", Subject: "a", Limit: volatile.Limit{Burst: 2, Every: time.Minute}}

	must(t, r.Set(ctx, "rl:test:a", time.Now().Add(240*time.Hour).UnixMicro(), 0).Err())
	if wait := l.Draw(ctx, d)[0]; wait == 0 || wait > time.Minute {
		t.Errorf("an instant in ten days: to wait %v, want at most a minute", wait)
	}
	if ttl, err := r.PTTL(ctx, "rl:test:a").Result(); err != nil || ttl <= 0 || ttl > 2*time.Minute {
		t.Errorf("the key stays for %v (%v), want at most what a burst takes to earn", ttl, err)
	}
	for _, garbage := range []string{"", "garbage", "-1"} {
		must(t, r.Set(ctx, "rl:test:a", garbage, 0).Err())
		if !allowed(t, l, d) || !allowed(t, l, d) || allowed(t, l, d) {
			t.Errorf("%q: not a fresh burst of 2", garbage)
		}
	}
	must(t, r.Del(ctx, "rl:test:a").Err())
	must(t, r.LPush(ctx, "rl:test:a", "x").Err())
	if !allowed(t, l, d) || !allowed(t, l, d) || allowed(t, l, d) {
		t.Error("a list: not a burst of 2")
	}
	must(t, r.ScriptFlush(ctx).Err())
	d.Subject = "b"
	if !allowed(t, l, d) || !allowed(t, l, d) || allowed(t, l, d) {
		t.Error("without the script: not a burst of 2")
	}
	must(t, r.ConfigSet(ctx, "maxmemory", "1").Err())
	d.Subject = "c"
	if !allowed(t, l, d) || !allowed(t, l, d) || allowed(t, l, d) {
		t.Error("a Redis that is full: not a burst of 2")
	}
}
