package authz_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"scaling.cloud/mcp/store/storetest"
)

// The benchmarks drive a handler as sixteen clients side by side, each waiting
// for its answer. What they say of a database that does not wait for its disk
// says little, so each result is named after the setting:
//
//	SCALING_TEST_DURABLE=1 go test ./authz -run XXX -bench . -benchtime 4s

// benchClients is how many clients are at it at once.
const benchClients = 16

// benchFactor is how many times wider than in production the rate limits are: all
// clients are in one network. They are counted all the same, in Redis.
const benchFactor = 5000

// bench runs request b.N times, client by client: n counts a client's own.
func bench(b *testing.B, s *server, prepare func(n int), request func(client, n int)) {
	b.Helper()
	var fsync, commit string
	if err := s.store.Pool().QueryRow(b.Context(), `SELECT current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&fsync, &commit); err != nil {
		b.Fatal(err)
	}
	b.Run(fmt.Sprintf("fsync=%s,synchronous_commit=%s", fsync, commit), func(b *testing.B) {
		each := (b.N + benchClients - 1) / benchClients
		prepare(each)
		before := cpu()
		b.ResetTimer()
		var wg sync.WaitGroup
		for client := range benchClients {
			wg.Go(func() {
				for n := range each {
					request(client, n)
				}
			})
		}
		wg.Wait()
		b.StopTimer()
		b.ReportMetric(float64((cpu()-before).Microseconds())/float64(each*benchClients), "cpu-µs/op")
		b.ReportMetric(float64(each*benchClients)/b.Elapsed().Seconds(), "requests/s")
	})
}

// serve calls the handler with no network in between.
func (s *server) call(b *testing.B, path, contentType, body string) answer {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	response := w.Result()
	response.Request = r
	return answer{response, w.Body.String()}
}

const formEncoded = "application/x-www-form-urlencoded"

// BenchmarkRefresh is a refresh through the whole token endpoint: client
// authentication, rotation in Postgres, a signature.
func BenchmarkRefresh(b *testing.B) {
	s := startLimited(b, benchFactor, storetest.Redis(b))
	c := s.register("http://127.0.0.1/callback")
	chains := make([]string, benchClients)
	for i := range chains {
		chains[i] = c.connect().Refresh
	}
	bench(b, s, func(int) {}, func(client, _ int) {
		form := url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {chains[client]}}
		successor := s.call(b, "/oauth/token", formEncoded, form.Encode()).tokens(b).Refresh
		if successor == chains[client] {
			b.Error("nothing was rotated")
		}
		chains[client] = successor
	})
}

// BenchmarkCode is the redemption of a code; the consents are given before the
// clock runs. A new connection of a loopback client ends no older one.
func BenchmarkCode(b *testing.B) {
	s := startLimited(b, benchFactor, storetest.Redis(b))
	c := s.register("http://127.0.0.1/callback")
	var codes [benchClients][]string
	prepare := func(n int) {
		for client := range codes {
			codes[client] = nil
			for range n {
				codes[client] = append(codes[client], c.allow(nil).Get("code"))
			}
		}
	}
	bench(b, s, prepare, func(client, n int) {
		s.call(b, "/oauth/token", formEncoded, c.redemption(codes[client][n]).Encode()).tokens(b)
	})
}

// BenchmarkRegister is dynamic registration: of clients that nobody has seen, and
// of one that registers again and again, as hosted clients do.
func BenchmarkRegister(b *testing.B) {
	for _, row := range []struct {
		name string
		body func(client, n int) string
	}{
		{"new", func(client, n int) string {
			return fmt.Sprintf(`{"client_name":"Client %d of %d at %d","token_endpoint_auth_method":"none","redirect_uris":["http://127.0.0.1/callback"]}`, n, client, time.Now().UnixNano())
		}},
		{"identical", func(client, n int) string {
			return fmt.Sprintf(`{"client_name":"Claude Code","token_endpoint_auth_method":"none","redirect_uris":["http://localhost:%d/callback"]}`, 1024+client)
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			s := startLimited(b, benchFactor, storetest.Redis(b))
			bench(b, s, func(int) {}, func(client, n int) {
				if a := s.call(b, "/oauth/register", "application/json", row.body(client, n)); a.StatusCode != http.StatusCreated {
					b.Errorf("%d %s", a.StatusCode, a.body)
				}
			})
		})
	}
}

// cpu returns the processor time that this process has used.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
