package resource

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/redis/go-redis/v9"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/store/volatile"
)

type benchKey struct{ private *ecdsa.PrivateKey }

func (k benchKey) VerificationKey(string) (*ecdsa.PublicKey, bool) {
	return &k.private.PublicKey, true
}

// newLiveness returns the real thing on a real Redis, which knows connection to
// be alive in epoch 1: a check is one GET.
func newLiveness(b testing.TB, st *store.Store, connection uuid.UUID, hooks ...redis.Hook) *volatile.Liveness {
	b.Helper()
	client, err := volatile.Open(storetest.Redis(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close() })
	for _, hook := range hooks {
		client.AddHook(hook)
	}
	if err := client.Set(b.Context(), "conn:"+connection.String(), "a:1", time.Hour).Err(); err != nil {
		b.Fatal(err)
	}
	liveness := volatile.NewLiveness(client, st, time.Hour, slog.New(slog.DiscardHandler), time.Now)
	ctx, cancel := context.WithCancel(b.Context())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = liveness.Run(ctx, func() { close(ready) })
	}()
	<-ready
	b.Cleanup(func() { cancel(); <-done })
	return liveness
}

// newBench returns a server, and a token and the claims of a connection with
// scopes.
func newBench(b testing.TB, st *store.Store, incidents *incident.Service, scopes ...string) (*Server, string, *accesstoken.Claims) {
	b.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	const issuer = "https://mcp.example"
	claims := accesstoken.Claims{
		Issuer: issuer, Subject: "user_alice", Audience: issuer + "/mcp", ClientID: "client", Scopes: scopes,
		OrgID: "org_acme", ConnectionID: uuid.New(), Epoch: 1, ID: "jti", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	}
	token, err := accesstoken.Sign(claims, jose.JSONWebKey{Key: private, KeyID: "bench", Algorithm: "ES256"})
	if err != nil {
		b.Fatal(err)
	}
	return New(Config{
		PublicURL: issuer,
		Tokens:    accesstoken.NewVerifier(issuer, []string{issuer, issuer + "/mcp"}, benchKey{private}),
		Liveness:  newLiveness(b, st, claims.ConnectionID),
		Incidents: incidents,
		Log:       slog.New(slog.DiscardHandler),
		Now:       time.Now,
	}), token, &claims
}

const benchCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_incidents","arguments":{"limit":20}}}`

// serve runs handler once per iteration and reports the processor time of this
// process, which is what a replica runs out of; waiting for the database is in
// ns/op only.
func serve(b *testing.B, handler http.Handler, token string) {
	b.Helper()
	header := http.Header{
		"Authorization":        {"Bearer " + token},
		"Content-Type":         {"application/json"},
		"Accept":               {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {"2025-11-25"},
	}
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/mcp", bytes.NewReader([]byte(benchCall)))
		r.Header = header
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
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

// BenchmarkGate is everything that stands before the SDK: origin, token,
// liveness by a GET to a real Redis, body, scopes. A connection that may use every tool is spared the
// reading of its body.
func BenchmarkGate(b *testing.B) {
	for _, row := range []struct {
		name   string
		scopes []string
	}{
		{"all-scopes", store.ResourceScopes()},
		{"read-only", []string{store.ScopeIncidentsRead}},
	} {
		b.Run(row.name, func(b *testing.B) {
			s, token, _ := newBench(b, storetest.Open(b), nil, row.scopes...)
			s.sdk = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			serve(b, http.HandlerFunc(s.serveMCP), token)
		})
	}
}

// BenchmarkListIncidents is a page of 20 incidents through the whole server,
// and the same tool in the SDK's stateless handler with nothing in front. The
// difference is the price of the gate.
func BenchmarkListIncidents(b *testing.B) {
	st := storetest.Open(b)
	incidents := incident.New(st, incident.Config{Now: time.Now, PublicURL: "https://mcp.example"})
	seedBench(b, st, incidents)
	s, token, claims := newBench(b, st, incidents, store.ResourceScopes()...)

	server := mcp.NewServer(&mcp.Implementation{Name: "bare", Version: "1"}, nil)
	t := s.catalog.byName["list_incidents"].Tool
	mcp.AddTool(server, &t, func(ctx context.Context, _ *mcp.CallToolRequest, in listIncidentsInput) (*mcp.CallToolResult, any, error) {
		out, err := s.listIncidents(ctx, &call{exchange: &exchange{claims: claims}}, in)
		if err != nil {
			return nil, nil, err
		}
		return success(out, untrustedInList()), nil, nil
	})
	bare := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})

	b.Run("bare", func(b *testing.B) { serve(b, bare, token) })
	b.Run("gate", func(b *testing.B) { serve(b, http.HandlerFunc(s.serveMCP), token) })
}

func seedBench(b *testing.B, st *store.Store, incidents *incident.Service) {
	b.Helper()
	acme := store.Organization{ID: "org_acme", Slug: "acme", Name: "Acme"}
	alice := store.User{ID: "user_alice", Name: "Alice", Email: "alice@acme.example"}
	if _, err := st.SavePerson(b.Context(), alice, []store.Membership{{Organization: acme, Role: store.RoleMember}}, time.Now(), ""); err != nil {
		b.Fatal(err)
	}
	actor := incident.Actor{UserID: "user_alice", ClientName: "Claude", OrgID: acme.ID}
	for n := range 30 {
		_, err := incidents.Create(b.Context(), actor, incident.Create{
			Title: fmt.Sprintf("Payments fail for one card in %d", n), Severity: "high", OwnerID: "user_alice"}, "")
		if err != nil {
			b.Fatal(err)
		}
	}
}
