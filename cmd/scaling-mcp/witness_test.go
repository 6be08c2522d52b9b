package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"scaling.cloud/mcp/store/storetest"
)

// witness is a running dev command, and stands between it and everybody who comes
// to its public URL. It keeps what passes: what a client really sends, whatever it
// says of itself.
type witness struct {
	*system
	databaseURL string

	mu      sync.Mutex
	seen    []exchange
	missing int           // refreshes that are waited for
	all     chan struct{} // closed once all are there; nil: none is waited for
}

// exchange is a request and its answer.
type exchange struct {
	method, path string
	query        url.Values
	form         url.Values // of the token endpoint
	basic        bool       // a client named itself in the Authorization header
	status       int
	challenge    string // WWW-Authenticate
	answer       []byte // of the token and the registration endpoint
}

// tokens are what an exchange with the token or the registration endpoint
// answered with.
type tokens struct {
	AccessToken       string `json:"access_token"`
	RefreshToken      string `json:"refresh_token"`
	ClientSecret      string `json:"client_secret"`
	RegistrationToken string `json:"registration_access_token"`
	Error             string `json:"error"`
}

func startWitness(t *testing.T) *witness {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{databaseURL: storetest.OpenURL(t)}
	w.system = startDev(t, "--database-url", w.databaseURL, "--redis-url", storetest.Redis(t), "--public-url", "http://localhost:"+port)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: w.address})
			r.Out.Host = r.In.Host
		},
		ModifyResponse: w.keep,
		ErrorLog:       log.New(io.Discard, "", 0), // of clients that hang up
	}
	server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/token" {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
			if form, err := url.ParseQuery(string(body)); err == nil && form.Get("grant_type") == "refresh_token" {
				w.hold(r.Context())
			}
		}
		proxy.ServeHTTP(rw, r)
	})
	server.Start()
	t.Cleanup(server.Close)
	return w
}

// keep notes an exchange.
func (w *witness) keep(response *http.Response) error {
	r := response.Request
	e := exchange{
		method: r.Method, path: r.URL.Path, query: r.URL.Query(), status: response.StatusCode,
		basic:     strings.HasPrefix(r.Header.Get("Authorization"), "Basic "),
		challenge: response.Header.Get("WWW-Authenticate"),
	}
	if e.path == "/oauth/token" || e.path == "/oauth/register" {
		var err error
		if e.answer, err = io.ReadAll(response.Body); err != nil {
			return err
		}
		response.Body = io.NopCloser(bytes.NewReader(e.answer))
	}
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return err
		}
		sent, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		if e.form, err = url.ParseQuery(string(sent)); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, e)
	return nil
}

// tokens reads what was answered.
func (e exchange) tokens(t testing.TB) (answered tokens) {
	t.Helper()
	if err := json.Unmarshal(e.answer, &answered); err != nil {
		t.Errorf("%s %s answered %d %q: %v", e.method, e.path, e.status, e.answer, err)
	}
	return answered
}

// since returns the exchanges after the first n.
func (w *witness) since(n int) []exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]exchange(nil), w.seen[n:]...)
}

// now is how many exchanges there have been.
func (w *witness) now() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

// gather keeps refreshes waiting until there are n, and lets them go at once. From
// scatter on none waits.
func (w *witness) gather(n int) (scatter func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missing, w.all = n, make(chan struct{})
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = nil
	}
}

// hold keeps a refresh waiting for the others. Where one of them does not come, it
// goes on: there are then too few, which the test tells.
func (w *witness) hold(ctx context.Context) {
	w.mu.Lock()
	all := w.all
	if all == nil {
		w.mu.Unlock()
		return
	}
	if w.missing--; w.missing == 0 {
		close(all)
	}
	w.mu.Unlock()
	bound := time.NewTimer(30 * time.Second)
	defer bound.Stop()
	select {
	case <-all:
	case <-ctx.Done():
	case <-bound.C:
	}
}
