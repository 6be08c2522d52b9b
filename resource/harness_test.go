package resource_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/resource"
	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/resource/paging"
	"scaling.cloud/mcp/resource/rota"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/wiretest"
)

// publicURL is the origin that the servers under test believe to have, which is
// not where they listen: nothing may depend on the Host header.
const publicURL = "https://mcp.example"

// now is the instant at which every test of this package happens.
var now = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// keyring is the signing key of the issuer under test.
type keyring struct{ private *ecdsa.PrivateKey }

func (k keyring) VerificationKey(kid string) (*ecdsa.PublicKey, bool) {
	return &k.private.PublicKey, kid == "test"
}

// liveness says what the server learns about a connection.
type liveness func(connection uuid.UUID, epoch int) error

func (f liveness) Check(_ context.Context, connection uuid.UUID, epoch int) error {
	return f(connection, epoch)
}

func alive(uuid.UUID, int) error { return nil }

// fixture is a resource server that listens, and the issuer of its tokens.
type fixture struct {
	url     string
	mux     *http.ServeMux
	handler http.Handler // watched
	server  *resource.Server
	keys    keyring
	log     *lockedBuffer

	mu    sync.Mutex
	used  []uuid.UUID        // connections that Usage was told of
	notes []slog.Attr        // that Annotate was given
	calls []store.AuditEvent // that Audit was given
}

// noted returns the last value that Annotate was given for key.
func (f *fixture) noted(key string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	value := ""
	for _, a := range f.notes {
		if a.Key == key {
			value = a.Value.String()
		}
	}
	return value
}

// newFixture starts a resource server on st, which may be nil where no tool is
// called. change, if any, alters its configuration.
func newFixture(t testing.TB, st *store.Store, change func(*resource.Config)) *fixture {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{keys: keyring{private}, log: &lockedBuffer{}}
	log := slog.New(slog.NewTextHandler(f.log, nil))
	config := resource.Config{
		PublicURL: publicURL,
		Version:   "test",
		Tokens:    accesstoken.NewVerifier(publicURL, []string{publicURL, publicURL + "/mcp"}, f.keys),
		Liveness:  liveness(alive),
		Log:       log,
		Now:       func() time.Time { return now },
		ClientName: func(context.Context, uuid.UUID) (string, error) {
			return "Claude", nil
		},
		Usage: func(connection uuid.UUID, _ time.Time) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.used = append(f.used, connection)
		},
		Audit: func(_ context.Context, e store.AuditEvent) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.calls = append(f.calls, e)
			return nil
		},
		Annotate: func(_ context.Context, attrs ...slog.Attr) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.notes = append(f.notes, attrs...)
		},
	}
	if st != nil {
		pages := paging.New(paging.Config{Store: st, Queue: queue.New(st.Pool(), log), Mail: mail.Log{Logger: log}, PublicURL: publicURL, Log: log, Now: config.Now})
		config.Incidents = incident.New(st, incident.Config{Now: config.Now, PublicURL: publicURL, Paging: pages})
		config.Rota = rota.New(st)
	}
	if change != nil {
		change(&config)
	}
	f.server = resource.New(config)
	mux := http.NewServeMux()
	f.server.Mount(mux)
	mux.Handle("GET /{$}", f.server.RootGET(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "landing")
	})))
	f.mux, f.handler = mux, wiretest.Watch(t, mux)
	listener := httptest.NewServer(f.handler)
	t.Cleanup(listener.Close)
	f.url = listener.URL
	return f
}

// claims are those of Alice's connection to Acme, with the given scopes.
func claims(scopes ...string) accesstoken.Claims {
	return accesstoken.Claims{
		Issuer: publicURL, Subject: "user_alice", Audience: publicURL + "/mcp", ClientID: "client_claude",
		Scopes: scopes, OrgID: "org_acme", ConnectionID: uuid.MustParse("01940000-0000-7000-8000-000000000001"),
		Epoch: 1, ID: "jti", IssuedAt: now.Add(-time.Minute), ExpiresAt: now.Add(time.Hour),
	}
}

// sign returns the access token of claims.
func (f *fixture) sign(t testing.TB, c accesstoken.Claims) string {
	t.Helper()
	token, err := accesstoken.Sign(c, jose.JSONWebKey{Key: f.keys.private, KeyID: "test", Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// everything is the scopes of a connection that may use every tool.
var everything = store.ResourceScopes()

// bearer returns the Authorization header of a connection with scopes.
func (f *fixture) bearer(t testing.TB, scopes ...string) http.Header {
	return http.Header{"Authorization": {"Bearer " + f.sign(t, claims(scopes...))}}
}

// answer is an HTTP response, read to its end.
type answer struct {
	*http.Response
	body string
}

// do sends a request with the headers that every MCP client sends, overridden
// by those given.
func (f *fixture) do(t testing.TB, method, path string, header http.Header, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.url+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(got)}
}

// with returns header with one more field.
func with(header http.Header, name, value string) http.Header {
	header = header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set(name, value)
	return header
}

// lockedBuffer is a log that is read while it may still be written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// record serves a POST to /mcp without a network, so that a header may hold
// what no HTTP client would send.
func (f *fixture) record(header http.Header, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/mcp", bytes.NewBufferString(body))
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// forget drops what Annotate was given.
func (f *fixture) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = nil
}
