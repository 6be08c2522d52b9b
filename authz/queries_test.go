package authz_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// wire counts what goes to Postgres. It sees what is sent, so that nothing a
// library does on the side goes uncounted.
type wire struct {
	mu         sync.Mutex
	statements []string
	trips      int
}

// watch puts w between a pool and its server, on a single connection.
func (w *wire) watch(c *pgxpool.Config) {
	c.MaxConns = 1
	// A connection that lay idle for a second is pinged before it is used. That is
	// about the second, not about the endpoint.
	c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	c.ConnConfig.Tracer = w
	dial := c.ConnConfig.DialFunc
	c.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &wireConn{Conn: conn, wire: w}, err
	}
}

func (w *wire) add(sql string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.statements = append(w.statements, strings.Join(strings.Fields(sql), " "))
}

// TraceQueryStart notes a statement; begin and commit are statements too.
func (w *wire) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	w.add(data.SQL)
	return ctx
}
func (w *wire) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart, TraceBatchQuery: a batch is several statements in one trip.
func (w *wire) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (w *wire) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	w.add(data.SQL)
}
func (w *wire) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// during returns what f sends.
func (w *wire) during(f func()) (statements []string, trips int) {
	w.mu.Lock()
	w.statements, w.trips = nil, 0
	w.mu.Unlock()
	f()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.statements, w.trips
}

// wireConn is one connection. A trip begins when something is sent after
// something was received.
type wireConn struct {
	net.Conn
	wire    *wire
	mu      sync.Mutex
	sending bool
}

func (c *wireConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	if !c.sending {
		c.wire.mu.Lock()
		c.wire.trips++
		c.wire.mu.Unlock()
	}
	c.sending = true
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *wireConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.mu.Lock()
		c.sending = false
		c.mu.Unlock()
	}
	return n, err
}

// TestQueriesPerEndpoint holds each endpoint to what it may ask of Postgres once
// its statements are prepared: statements, BEGIN and COMMIT among them, and round
// trips, each of which is time that somebody waits. The person's session and what
// Clerk says of them are stand-ins here; what they ask is added, not judged.
func TestQueriesPerEndpoint(t *testing.T) {
	t.Parallel()
	w := &wire{}
	s := start(t, w.watch)
	askClerk := func() {
		if _, _, err := s.people.Sync(t.Context(), "user_alice"); err != nil {
			t.Fatal(err)
		}
	}
	askClerk() // prepares
	synced, syncTrips := w.during(askClerk)
	https, loopback := s.register(claudeRedirect), s.register("http://127.0.0.1/callback")

	// What happens to one connection from its beginning to its end, by endpoint.
	type step struct {
		endpoint          string
		statements, trips int
		do                func()
	}
	var (
		page   answer
		where  string
		posted url.Values
		code   string
		tk     tokens
	)
	life := func(c *oauthClient, name string, redeemStatements, redeemTrips int) []step {
		return []step{
			{"metadata", 0, 0, func() { s.get("/.well-known/oauth-authorization-server") }},
			{"jwks", 0, 0, func() { s.get("/oauth/jwks") }},
			{"register, known", 1, 1, func() { s.register(c.redirectURI) }},
			{"register, new", 1, 1, func() {
				s.postJSON("/oauth/register", fmt.Sprintf(`{"client_name":%q,"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"none"}`, name+c.redirectURI))
			}},
			{"authorize", 2, 2, func() { where = s.get("/oauth/authorize?" + c.request().Encode()).Header.Get("Location") }},
			{"consent page", 3 + len(synced), 3 + syncTrips, func() { page = s.get(where); posted = form(t, page) }},
			// BEGIN, DELETE, four statements in one batch, COMMIT, after three reads.
			{"consent", 3 + 7 + len(synced), 3 + 4 + syncTrips, func() {
				location, err := s.post(s.browser, "/oauth/consent", posted).Location()
				if err != nil {
					t.Fatal(err)
				}
				code = location.Query().Get("code")
			}},
			{"code", redeemStatements, redeemTrips, func() { tk = c.token(c.redemption(code)).tokens(t) }},
			{"refresh", 1, 1, func() { tk = c.refresh(tk.Refresh).tokens(t) }},
			{"refresh, forged", 0, 0, func() { c.refresh(tk.Refresh[:len(tk.Refresh)-2] + "AA") }},
			{"code, forged", 0, 0, func() { c.token(c.redemption("scl_ac_x")) }},
			{"revoke", 1, 1, func() {
				if a := s.post(http.DefaultClient, "/oauth/revoke", url.Values{"token": {tk.Refresh}, "client_id": {c.id}}); a.StatusCode != http.StatusOK {
					t.Errorf("revoke: %d", a.StatusCode)
				}
			}},
			{"revoke, unknown", 0, 0, func() { s.post(http.DefaultClient, "/oauth/revoke", url.Values{"token": {"x"}, "client_id": {c.id}}) }},
		}
	}
	for _, row := range []struct {
		name              string
		client            *oauthClient
		statements, trips int
	}{
		// BEGIN; SELECT FOR UPDATE; the policy's lock, UPDATE code, UPDATE connection,
		// INSERT; COMMIT.
		{"loopback", loopback, 7, 4},
		// And the lock and the statement that end the install before.
		{"https", https, 9, 4},
	} {
		for _, prepared := range []bool{false, true} { // the first life prepares the statements
			for _, step := range life(row.client, fmt.Sprint(row.name, prepared), row.statements, row.trips) {
				statements, trips := w.during(step.do)
				if prepared && (len(statements) > step.statements || trips > step.trips) {
					t.Errorf("%s, %s: %d statements in %d round trips, want at most %d in %d:\n%s", row.name, step.endpoint,
						len(statements), trips, step.statements, step.trips, strings.Join(statements, "\n"))
				}
				if prepared {
					t.Logf("%s, %s: %d statements in %d round trips", row.name, step.endpoint, len(statements), trips)
				}
			}
		}
	}
}

// TestClientIsReadOnceInAWhile: a refresh does not ask for its client each time,
// and a client that was deleted is unknown when clientFresh is over.
func TestClientIsReadOnceInAWhile(t *testing.T) {
	t.Parallel()
	w := &wire{}
	s := start(t, w.watch)
	c := s.register(claudeRedirect)
	tk := c.connect()
	tk = c.refresh(tk.Refresh).tokens(t)
	s.clock.advance(6 * time.Second)
	for n, want := range []int{2, 1, 1} {
		if statements, _ := w.during(func() { tk = c.refresh(tk.Refresh).tokens(t) }); len(statements) != want {
			t.Errorf("refresh %d: %d statements, want %d", n, len(statements), want)
		}
	}
	if _, err := s.store.Pool().Exec(t.Context(), `DELETE FROM connections`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Pool().Exec(t.Context(), `DELETE FROM oauth_clients`); err != nil {
		t.Fatal(err)
	}
	if got := c.refresh(tk.Refresh).json(t)["error"]; got != "invalid_grant" {
		t.Errorf("at once after the client was deleted: %v, want invalid_grant", got)
	}
	s.clock.advance(5 * time.Second)
	if a := c.refresh(tk.Refresh); a.StatusCode != http.StatusUnauthorized || a.json(t)["error"] != "invalid_client" {
		t.Errorf("five seconds later: %d %s, want 401 invalid_client", a.StatusCode, a.body)
	}
}

// TestSecretOfAClientIsReadEachTime: what was withdrawn does not work a moment
// longer.
func TestSecretOfAClientIsReadEachTime(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.postJSON("/oauth/register", `{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"client_secret_post"}`).json(t)
	c := &oauthClient{s: s, id: a["client_id"].(string), redirectURI: "https://a.example/cb", verifier: strings.Repeat("v", 43)}
	redemption := c.redemption(c.allow(nil).Get("code"))
	redemption.Set("client_secret", a["client_secret"].(string))
	tk := c.token(redemption).tokens(t)
	if _, err := s.store.Pool().Exec(t.Context(), `UPDATE oauth_clients SET secret_hash = '\x00'`); err != nil {
		t.Fatal(err)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "client_id": {c.id}, "client_secret": {a["client_secret"].(string)}, "refresh_token": {tk.Refresh}}
	if got := c.token(refresh).json(t)["error"]; got != "invalid_client" {
		t.Errorf("error is %v, want invalid_client", got)
	}
}
