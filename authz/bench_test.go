package authz_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRefresh is a refresh through the whole token endpoint: client
// authentication, rotation in Postgres, a signature. Sixteen connections refresh
// side by side, each waiting for its answer. Postgres waits for its disk only
// where SCALING_TEST_DATABASE_URL names a server that does.
func BenchmarkRefresh(b *testing.B) {
	const clients = 16
	s := start(b)
	c := s.register("http://127.0.0.1/callback")
	chains := make([]string, clients)
	for i := range chains {
		chains[i] = c.connect().Refresh
	}
	handler := s.handler
	before := cpu()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for range b.N / clients {
				form := url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "refresh_token": {chains[i]}}
				r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(form.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				chains[i] = answer{w.Result(), w.Body.String()}.tokens(b).Refresh
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// cpu returns the processor time that this process has used.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
