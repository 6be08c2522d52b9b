package resource

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// asked collects what is asked of Postgres and of Redis.
type asked struct {
	mu              sync.Mutex
	postgres, redis []string
}

func (a *asked) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.postgres = append(a.postgres, data.SQL)
	return ctx
}
func (a *asked) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (a *asked) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}
func (a *asked) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		a.mu.Lock()
		a.redis = append(a.redis, command.Name())
		a.mu.Unlock()
		return next(ctx, command)
	}
}
func (a *asked) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		a.mu.Lock()
		for _, command := range commands {
			a.redis = append(a.redis, command.Name())
		}
		a.mu.Unlock()
		return next(ctx, commands)
	}
}

// TestWarmRequestIsOneGET: a request of a client whose connection Redis knows
// asks Postgres nothing, and Redis one thing.
func TestWarmRequestIsOneGET(t *testing.T) {
	t.Parallel()
	a := &asked{}
	st := storetest.Open(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = a })
	s, token, claims := newBench(t, st, nil, store.ResourceScopes()...)
	s.Liveness = newLiveness(t, st, claims.ConnectionID, a)
	request := func() {
		r := httptest.NewRequest("POST", "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`))
		for name, value := range map[string]string{
			"Authorization": "Bearer " + token, "Content-Type": "application/json",
			"Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2025-11-25",
		} {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		s.serveMCP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	request() // opens the connection to Redis
	a.mu.Lock()
	a.postgres, a.redis = nil, nil
	a.mu.Unlock()
	request()
	a.mu.Lock()
	defer a.mu.Unlock()
	// What has been revoked is looked for in the background, now and then.
	inBackground := func(sql string) bool { return strings.Contains(sql, "revocation_outbox") }
	if postgres := slices.DeleteFunc(a.postgres, inBackground); len(postgres) != 0 || !slices.Equal(a.redis, []string{"get"}) {
		t.Errorf("Postgres was asked %q and Redis %q, want nothing and one get", a.postgres, a.redis)
	}
}
