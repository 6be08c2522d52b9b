package main

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store/storetest"
)

// traffic calls the MCP endpoint of several servers with one token, without a
// pause, until it is stopped.
type traffic struct {
	t       *testing.T
	token   string
	revoked atomic.Bool // the person has been told
	served  atomic.Int64
	refused atomic.Int64 // 401
	stopped chan struct{}
	running sync.WaitGroup
}

// startTraffic calls each of the servers. A request that finds no server, or one
// that stops while it works, is nobody's answer and counts for nothing.
func startTraffic(t *testing.T, token string, servers ...*system) *traffic {
	f := &traffic{t: t, token: token, stopped: make(chan struct{})}
	for _, s := range servers {
		f.running.Go(func() {
			for {
				select {
				case <-f.stopped:
					return
				default:
					f.call(s)
				}
			}
		})
	}
	return f
}

func (f *traffic) call(s *system) {
	told := f.revoked.Load() // before the request begins
	r, err := mcpRequest(f.t.Context(), s.address, f.token)
	if err != nil {
		f.t.Error(err)
		return
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		f.served.Add(1)
		if told {
			f.t.Error("a request was served after the person was told that the connection is revoked")
		}
	case http.StatusUnauthorized:
		f.refused.Add(1)
	default:
		f.t.Errorf("status %d", response.StatusCode)
	}
}

// stop ends the traffic and returns what it met.
func (f *traffic) stop() (served, refused int64) {
	close(f.stopped)
	f.running.Wait()
	return f.served.Load(), f.refused.Load()
}

// TestRevocationHoldsOnEveryServer is the guarantee of design §8 with two servers
// on one Postgres and one Redis, under traffic: once the page says that a
// connection is revoked no server serves it, whatever becomes of Redis or of a
// server, and nobody else is refused.
func TestRevocationHoldsOnEveryServer(t *testing.T) {
	t.Parallel()
	redisServer := storetest.StartRedis(t)
	common := []string{"--database-url", storetest.OpenURL(t), "--redis-url", redisServer.URL, "--data", t.TempDir()}
	first := startDev(t, common...)
	second := startDev(t, append(common, "--public-url", first.url)...)
	options, err := redis.ParseURL(redisServer.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })

	alice := newPerson(t, "alice@acme.example")
	bystander := first.connect(newPerson(t, "bob@acme.example"), "Bystander", clerkdev.AcmeID).token().AccessToken
	for _, row := range []struct {
		name string
		then func()
	}{
		{"nothing happens", func() {}},
		{"FLUSHALL", func() {
			if err := client.FlushAll(t.Context()).Err(); err != nil {
				t.Error(err)
			}
		}},
		{"Redis restarts", func() { redisServer.Stop(); redisServer.Start() }},
		{"Redis is gone", func() { redisServer.Stop() }},
		{"a server restarts while Redis is gone", func() {
			redisServer.Stop()
			second.stop()
			second = startDev(t, append(common, "--public-url", first.url, "--listen", second.address)...)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if redisServer.Stopped() {
				redisServer.Start()
			}
			victim := first.connect(alice, "Victim of "+row.name, clerkdev.AcmeID).token().AccessToken
			for _, s := range []*system{first, second} {
				if got := s.status(t, victim).StatusCode; got != http.StatusOK {
					t.Fatalf("before: %d, want 200", got)
				}
			}
			on, off := startTraffic(t, bystander, first, second), startTraffic(t, victim, first, second)
			alice.open(first.url + "/settings/connections").revokeFirst()
			off.revoked.Store(true)
			row.then()
			for _, s := range []*system{first, second} {
				for range 20 {
					if got := s.status(t, victim).StatusCode; got != http.StatusUnauthorized {
						t.Errorf("after: %d, want 401", got)
					}
					if got := s.status(t, bystander).StatusCode; got != http.StatusOK {
						t.Errorf("somebody else: %d, want 200", got)
					}
				}
			}
			if served, refused := on.stop(); served == 0 || refused != 0 {
				t.Errorf("somebody else was served %d times and refused %d times", served, refused)
			}
			if _, refused := off.stop(); refused == 0 {
				t.Error("the revoked connection was never refused under traffic")
			}
		})
	}
}
