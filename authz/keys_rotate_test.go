package authz_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

func (s *server) openKeys(master authz.MasterKey, previous *authz.MasterKey) *authz.Keys {
	s.t.Helper()
	keys, err := authz.OpenKeys(s.t.Context(), s.store, master, previous, s.clock.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return keys
}

func (s *server) rotate(force bool) {
	s.t.Helper()
	if err := s.keys.Rotate(s.t.Context(), force, s.clock.Now()); err != nil {
		s.t.Fatal(err)
	}
}

// read makes servers notice what has become of the keys.
func read(t *testing.T, servers ...*server) {
	t.Helper()
	for _, s := range servers {
		if err := s.keys.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// jwks returns the ids of the keys that a server publishes.
func (s *server) jwks() map[string]bool {
	s.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(s.get("/oauth/jwks").body), &set); err != nil {
		s.t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, key := range set.Keys {
		if !key.IsPublic() {
			s.t.Errorf("the JWKS has the private half of %s", key.KeyID)
		}
		ids[key.KeyID] = true
	}
	return ids
}

func kid(t *testing.T, token string) string {
	t.Helper()
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	return signed.Signatures[0].Header.KeyID
}

func TestRotationIsSeenByNobodyWhoHasATokenOrTheJWKS(t *testing.T) {
	t.Parallel()
	first := start(t)
	second := first.replica(first.openKeys(masterKey(t, "a master key for tests, 32 bytes"), nil))
	c, g := first.register("http://127.0.0.1/callback"), first.gateway()
	published := second.jwks() // as a verifier keeps it
	before := c.connect()

	err := first.keys.Rotate(t.Context(), false, first.clock.Now())
	if young, ok := errors.AsType[*store.TooYoungError](err); !ok || young.Wait != 5*time.Minute+authz.KeysEvery {
		t.Fatalf("a rotation to a key that was just made: %v, want that it waits for every cache of the JWKS", err)
	}
	first.clock.advance(5*time.Minute + authz.KeysEvery)
	first.rotate(false)
	read(t, first) // not second: it has the old snapshot
	after := c.connect()
	late := second.withClient(c).refresh(before.Refresh).tokens(t)

	if kid(t, before.Access) == kid(t, after.Access) {
		t.Fatal("the server that rotated signs with the old key")
	}
	if kid(t, late.Access) != kid(t, before.Access) {
		t.Fatal("the server that has not noticed signs with the new key")
	}
	for name, token := range map[string]string{"before": before.Access, "after": after.Access, "by the other server": late.Access} {
		if !published[kid(t, token)] {
			t.Errorf("%s: the key was not in the JWKS before it signed", name)
		}
		if !first.verifies(token) || !second.verifies(token) {
			t.Errorf("%s: a server refuses the token", name)
		}
		if !g.active(token) {
			t.Errorf("%s: the token is not active", name)
		}
	}
	read(t, second)
	for name, s := range map[string]*server{"first": first, "second": second} {
		ids := s.jwks()
		if len(ids) != 3 || !ids[kid(t, before.Access)] || !ids[kid(t, after.Access)] {
			t.Errorf("%s: the JWKS has %v, want the retired, the active and the next key", name, ids)
		}
	}
	if again := second.withClient(c).refresh(late.Refresh).tokens(t); kid(t, again.Access) != kid(t, after.Access) {
		t.Error("a server that has noticed signs with the old key")
	}
}

func (s *server) withClient(c *oauthClient) *oauthClient {
	other := *c
	other.s = s
	return &other
}

func TestKeyThatIsTakenOutKillsItsTokensOnEveryServer(t *testing.T) {
	t.Parallel()
	first := start(t)
	second := first.replica(first.openKeys(masterKey(t, "a master key for tests, 32 bytes"), nil))
	c, g := first.register("http://127.0.0.1/callback"), first.gateway()
	before := c.connect()
	if !g.active(before.Access) { // and remembered
		t.Fatal("a live token is not active")
	}
	stolen := first.keys.SigningKey()
	first.rotate(true)
	// A second time at once: the next key may have been stolen with the first one.
	first.rotate(true)
	read(t, first)
	after := c.connect()
	if !second.verifies(after.Access) {
		t.Error("a server that never heard of the key refuses it, and does not look for it")
	}
	if err := first.store.DeleteRetiredSigningKey(t.Context(), stolen.KeyID); err != nil {
		t.Fatal(err)
	}
	read(t, first, second)
	claims := *first.claims(after.Access)
	forged, err := accesstoken.Sign(claims, stolen)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*server{"first": first, "second": second} {
		at := gateway{s, g.id, g.secret}
		for what, token := range map[string]string{"issued before": before.Access, "forged": forged} {
			if s.verifies(token) || at.active(token) {
				t.Errorf("%s: a token of the stolen key, %s, is good", name, what)
			}
		}
		if !s.verifies(after.Access) || !at.active(after.Access) {
			t.Errorf("%s: a token of the new key is refused", name)
		}
		if s.jwks()[stolen.KeyID] {
			t.Errorf("%s: the stolen key is published", name)
		}
	}
	if tk := c.refresh(before.Refresh).tokens(t); !first.verifies(tk.Access) {
		t.Error("the client whose access token died cannot go on with its refresh token")
	}
}

func TestReplicaFollowsByItself(t *testing.T) {
	t.Parallel()
	first := start(t)
	second := first.replica(first.openKeys(masterKey(t, "a master key for tests, 32 bytes"), nil))
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := second.keys.Run(ctx, 10*time.Millisecond, slog.New(slog.DiscardHandler)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer stop()
	first.rotate(true)
	read(t, first)
	deadline := time.Now().Add(30 * time.Second)
	for second.keys.SigningKey().KeyID != first.keys.SigningKey().KeyID {
		if time.Now().After(deadline) {
			t.Fatal("the replica never noticed that the keys were rotated")
		}
		first.get("/oauth/jwks")
	}
}

// reads counts what a pool asks of the signing keys.
type reads struct {
	mu    sync.Mutex
	count int
}

func (r *reads) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	return ctx
}

func (*reads) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *reads) taken() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.count = 0 }()
	return r.count
}

func TestFloodOfMadeUpKeyIDsIsNoFloodOfQueries(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(storetest.OpenURL(t))
	if err != nil {
		t.Fatal(err)
	}
	counted := &reads{}
	config.ConnConfig.Tracer = counted
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	keys, err := authz.OpenKeys(t.Context(), store.New(pool), masterKey(t, "a master key for tests, 32 bytes"), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	counted.taken()
	begun := time.Now()
	var flood sync.WaitGroup
	for range 64 {
		flood.Go(func() {
			for range 64 {
				if _, ok := keys.VerificationKey(uuid.NewString()); ok {
					t.Error("a made-up key id is known")
				}
			}
		})
	}
	flood.Wait()
	if got, most := counted.taken(), 1+int(time.Since(begun)/time.Second)+1; got == 0 || got > most {
		t.Errorf("4096 made-up key ids in %s made %d queries, want from 1 to %d", time.Since(begun), got, most)
	}
	if _, ok := keys.VerificationKey(keys.SigningKey().KeyID); !ok || counted.taken() != 0 {
		t.Error("a known key is asked of the database")
	}
}

func TestNewMasterKeyLogsNobodyOut(t *testing.T) {
	t.Parallel()
	old, next := masterKey(t, "a master key for tests, 32 bytes"), masterKey(t, "another master key, of 32 bytes.")
	s := start(t)
	c := s.register(claudeRedirect)
	tk := c.connect()

	// Three replicas start with both keys at once, while one with the old key runs.
	opened := make([]*authz.Keys, 3)
	var starting sync.WaitGroup
	for i := range opened {
		starting.Go(func() {
			var err error
			if opened[i], err = authz.OpenKeys(t.Context(), s.store, next, &old, s.clock.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	// The previous key can go, and the old one alone opens nothing any more.
	alone := s.replica(s.openKeys(next, nil))
	if _, err := authz.OpenKeys(t.Context(), s.store, old, nil, s.clock.Now()); !errors.Is(err, authz.ErrMasterKey) {
		t.Errorf("the old master key: error is %v, want ErrMasterKey", err)
	}
	for name, server := range map[string]*server{"both keys": s.replica(opened[0]), "the new key alone": alone, "the old key, still running": s} {
		if !server.verifies(tk.Access) {
			t.Errorf("%s: an access token from before is refused", name)
		}
		refreshed := server.withClient(c).refresh(tk.Refresh).tokens(t)
		if !alone.verifies(refreshed.Access) {
			t.Errorf("%s: its new access token is refused", name)
		}
		tk.Refresh = refreshed.Refresh
	}

	// The replica with the old key cannot open what others seal; it says so, and
	// goes on: it learns of new keys and signs with what it has.
	if err := s.keys.Read(t.Context()); !errors.Is(err, authz.ErrMasterKey) {
		t.Errorf("reading with the old master key: error is %v, want ErrMasterKey", err)
	}
	for range 2 { // to a key that the replica with the old one has never seen
		alone.rotate(true)
	}
	read(t, alone)
	if err := s.keys.Read(t.Context()); !errors.Is(err, authz.ErrMasterKey) {
		t.Errorf("reading with the old master key: error is %v, want ErrMasterKey", err)
	}
	ours, theirs := s.withClient(c).refresh(tk.Refresh).tokens(t), alone.withClient(c)
	if !alone.verifies(ours.Access) {
		t.Error("a token of the replica with the old key is refused by the others")
	}
	if fresh := theirs.refresh(ours.Refresh).tokens(t); !s.verifies(fresh.Access) {
		t.Error("a token of the others is refused by the replica with the old key")
	}
}

func TestReplicaOutlivesADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	s := start(t)
	tk := s.register(claudeRedirect).connect()
	s.store.Pool().Close()
	if err := s.keys.Read(t.Context()); err == nil {
		t.Fatal("reading from nowhere is no error")
	}
	if !s.verifies(tk.Access) {
		t.Error("a good token is refused once the keys cannot be read")
	}
	if a := s.get("/oauth/jwks"); a.StatusCode != http.StatusOK || len(s.jwks()) != 2 {
		t.Errorf("the JWKS is %d %s", a.StatusCode, a.body)
	}
}
