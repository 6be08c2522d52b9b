package notice_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/mail/mailtest"
	"scaling.cloud/mcp/notice"
	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// world is a database with bob, a member of acme, and the connections that he
// makes.
type world struct {
	*testing.T
	store *store.Store
	pool  *pgxpool.Pool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := storetest.Open(t)
	w := &world{t, s, s.Pool()}
	w.save(store.User{ID: "bob", Name: "Bob Baker", Email: "bob@acme.example", EmailVerified: true})
	if _, err := s.RegisterClient(t.Context(), store.Client{
		ID: "client", Kind: store.ClientRegistered, AuthMethod: store.AuthMethodNone, Name: "Test client", CreatedAt: time.Now(),
		RedirectURIs: []string{"https://client.example/cb"}, GrantTypes: []string{store.GrantCode},
	}, hash("client")); err != nil {
		t.Fatal(err)
	}
	return w
}

func hash(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

func (w *world) save(u store.User) {
	w.Helper()
	acme := []store.Membership{{Organization: store.Organization{ID: "acme", Slug: "acme", Name: "Acme"}, Role: store.RoleMember}}
	if _, err := w.store.SavePerson(w.Context(), u, acme, time.Now(), ""); err != nil {
		w.Fatal(err)
	}
}

// connect makes a connection of bob's at an instant.
func (w *world) connect(at time.Time) uuid.UUID {
	w.Helper()
	id := uuid.New()
	handle := hash("handle" + id.String())
	ctx := w.Context()
	if err := w.store.CreateAuthorizationRequest(ctx, handle, hash("browser"), store.AuthorizationRequest{ClientID: "client", Form: "x=y"}, at); err != nil {
		w.Fatal(err)
	}
	if _, err := w.store.ShowAuthorizationRequest(ctx, handle, hash("browser"), "bob", at); err != nil {
		w.Fatal(err)
	}
	if err := w.store.CreateGrant(ctx, store.Grant{
		Decision: store.Decision{HandleHash: handle, BrowserHash: hash("browser"), UserID: "bob"},
		Connection: store.Connection{
			ID: id, OrgID: "acme", UserID: "bob", ClientID: "client", ClientName: "Test client", ClientIdentity: "name:client",
			RedirectURI: "https://client.example/cb", Resource: "https://mcp.example/mcp", Scopes: []string{store.ScopeIncidentsRead}, ExpiresAt: at.Add(time.Hour * 1000),
		},
		CodeHash: hash(id.String()), CodeChallenge: "challenge", CodeExpiresAt: at.Add(time.Minute),
	}, at); err != nil {
		w.Fatal(err)
	}
	if _, err := w.store.RedeemCode(ctx, store.CodeRedemption{
		CodeHash: hash(id.String()), ConnectionID: id, ClientID: "client", CodeChallenge: "challenge",
		RefreshHash: hash("refresh" + id.String()), RefreshExpiresAt: at.Add(time.Hour), Supersedes: func(string) bool { return false },
	}, at); err != nil {
		w.Fatal(err)
	}
	return id
}

// start starts a replica that sends through sender and ends with the test.
func (w *world) start(sender mail.Sender) {
	w.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	jobs := queue.New(w.pool, log)
	s := notice.New(notice.Config{Store: w.store, Queue: jobs, Mail: sender, PublicURL: "https://mcp.example", Log: log, Now: time.Now})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	done := make(chan error, 2)
	go func() { done <- jobs.Run(ctx) }()
	go func() { done <- s.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; !errors.Is(err, context.Canceled) {
				w.Errorf("running: %v", err)
			}
		}
	})
}

func smtp(t *testing.T) (*mailtest.Server, mail.Sender) {
	t.Helper()
	server := mailtest.Start(t)
	sender, err := mail.NewSMTP("smtp://"+server.Address, "Scaling <notices@scaling.example>")
	if err != nil {
		t.Fatal(err)
	}
	return server, sender
}

func (w *world) accepted(s *mailtest.Server) *mailtest.Received {
	w.Helper()
	select {
	case m := <-s.Accepted():
		return m
	case <-time.After(patience):
		w.Fatal("no mail came")
	}
	panic("unreachable")
}

// becomes waits until what became of the notices of a connection is as wanted.
func (w *world) becomes(id uuid.UUID, want string) {
	w.Helper()
	deadline := time.Now().Add(patience)
	for {
		var got string
		err := w.pool.QueryRow(w.Context(), `
			SELECT string_agg(concat_ws(' ', kind, COALESCE(outcome, 'waits')), ', ' ORDER BY kind) FROM notices WHERE connection_id = $1`, id).Scan(&got)
		if err != nil {
			w.Fatal(err)
		}
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("got %q, want %q", got, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestANoticeIsTriedAgainUntilTheMailServerTakesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, sender := smtp(t)
	server.Refuse(1)
	id := w.connect(time.Now()) // while no replica runs
	w.start(sender)
	m := w.accepted(server)
	if m.To != "bob@acme.example" || m.Header.Get("Subject") != "A client was connected in your name" {
		t.Errorf("got a mail to %s, %q", m.To, m.Header.Get("Subject"))
	}
	w.becomes(id, "connected sent")

	if _, err := w.store.RevokeConnections(t.Context(), store.Selection{IDs: []uuid.UUID{id}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if m := w.accepted(server); m.Header.Get("Subject") != "A connection of yours has ended" {
		t.Errorf("got %q", m.Header.Get("Subject"))
	}
	w.becomes(id, "connected sent, revoked sent")
	if len(server.Accepted()) > 0 {
		t.Error("a notice was sent twice")
	}
}

// TestANoticeThatNeverGetsThroughFails, and is not tried for ever.
func TestANoticeThatNeverGetsThroughFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, sender := smtp(t)
	server.Refuse(1000)
	id := w.connect(time.Now())
	w.start(sender)
	refused := func() {
		t.Helper()
		select {
		case <-server.Refused():
		case <-time.After(patience):
			t.Fatal("it was not tried")
		}
	}
	refused()
	// Of its ten attempts it has one left, and that now.
	for deadline := time.Now().Add(patience); ; {
		tag, err := w.pool.Exec(t.Context(), `UPDATE river_job SET attempt = 9, scheduled_at = now() WHERE kind = 'notice' AND state IN ('available', 'retryable')`)
		if err != nil {
			t.Fatal(err)
		}
		if tag.RowsAffected() == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it waits for no other attempt")
		}
		time.Sleep(20 * time.Millisecond)
	}
	refused()
	w.becomes(id, "connected failed")
	var left int
	if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'notice' AND state <> 'completed'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d jobs are left, %v", left, err)
	}
}

// TestReplicasSendANoticeOnce: they take turns.
func TestReplicasSendANoticeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, sender := smtp(t)
	w.start(sender)
	w.start(sender)
	var ids []uuid.UUID
	for range 10 {
		ids = append(ids, w.connect(time.Now()))
	}
	seen := map[string]bool{}
	for _, id := range ids {
		w.becomes(id, "connected sent")
		seen[w.accepted(server).Header.Get("Message-Id")] = true
	}
	if len(seen) != 10 || len(server.Accepted()) > 0 {
		t.Errorf("got %d different mails and %d more, want 10", len(seen), len(server.Accepted()))
	}
}

func TestOldNewsAndTheUnreachableAreNotMailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, sender := smtp(t)
	old := w.connect(time.Now().Add(-7 * time.Hour))
	w.start(sender)
	w.becomes(old, "connected withdrawn")
	w.save(store.User{ID: "bob", Name: "Bob Baker", Email: "bob@other.example"})
	w.becomes(w.connect(time.Now()), "connected withdrawn")
	w.save(store.User{ID: "bob", Name: "Bob Baker", Email: "bob@acme.example", EmailVerified: true})
	gone := w.connect(time.Now())
	w.becomes(gone, "connected sent")
	w.accepted(server)
	if _, err := w.store.ForgetUser(t.Context(), "bob", time.Now(), ""); err != nil {
		t.Fatal(err)
	}
	w.becomes(gone, "connected sent, revoked withdrawn")
	if len(server.Accepted()) > 0 {
		t.Error("somebody was mailed who must not be")
	}
}
