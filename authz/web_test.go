package authz_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// web is the rest of the internet, as far as documents of clients are on it: one
// server that answers for every host.
type web struct {
	t         testing.TB
	transport *http.Transport
	mu        sync.Mutex
	pages     map[string]http.HandlerFunc
	asked     map[string]int
}

func newWeb(t testing.TB) *web {
	t.Helper()
	w := &web{t: t, pages: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	server := httptest.NewTLSServer(w)
	t.Cleanup(server.Close)
	w.transport = server.Client().Transport.(*http.Transport).Clone()
	w.transport.TLSClientConfig.ServerName = "example.com" // what httptest's certificate is for
	w.transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	return w
}

func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	url := "https://" + r.Host + r.URL.RequestURI()
	w.mu.Lock()
	w.asked[url]++
	page := w.pages[url]
	w.mu.Unlock()
	if page == nil {
		http.NotFound(rw, r)
		return
	}
	page(rw, r)
}

// publish puts a page at url, in place of the one before.
func (w *web) publish(url string, page http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages[url] = page
}

// json puts a JSON document at url, with headers in pairs.
func (w *web) json(url, body string, headers ...string) {
	w.publish(url, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			rw.Header().Set(headers[i], headers[i+1])
		}
		_, _ = rw.Write([]byte(body))
	})
}

// status makes url answer with a status and nothing else.
func (w *web) status(url string, status int) {
	w.publish(url, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) })
}

// times returns how often url was asked for.
func (w *web) times(url string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[url]
}
