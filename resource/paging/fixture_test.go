package paging_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/resource/paging"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// patience is how long a test waits for what must happen. River looks for due
// jobs every five seconds.
const patience = 30 * time.Second

// world is one database with an organization of four people, of whom dan's
// address is not verified, and any number of replicas on it.
type world struct {
	testing.TB
	url   string
	store *store.Store
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, url: storetest.OpenURL(t)}
	w.store = store.New(w.pool())
	for _, id := range []string{"ann", "bea", "cem", "dan"} {
		w.save(id, store.RoleMember)
	}
	return w
}

func (w *world) pool() *pgxpool.Pool {
	w.Helper()
	config, err := pgxpool.ParseConfig(w.url)
	if err != nil {
		w.Fatal(err)
	}
	config.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(w.Context(), config)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(pool.Close)
	return pool
}

// save stores what Clerk says of a person: a member of acme, or of nothing
// where the role is empty.
func (w *world) save(id, role string) {
	w.Helper()
	var memberships []store.Membership
	if role != "" {
		memberships = []store.Membership{{Organization: store.Organization{ID: "acme", Slug: "acme", Name: "Acme"}, Role: role}}
	}
	u := store.User{ID: id, Name: "Name of " + id, Email: id + "@acme.example", EmailVerified: id != "dan"}
	if _, err := w.store.SavePerson(w.Context(), u, memberships, time.Now(), ""); err != nil {
		w.Fatal(err)
	}
}

// pass lets time go by, as the database sees it: whatever it holds lies so much
// further in the past, or less far ahead. What is due then is made available, as
// River's leader does every five seconds.
func (w *world) pass(d time.Duration) {
	w.Helper()
	w.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE incidents SET created_at = created_at - $1::interval, updated_at = updated_at - $1::interval,
			                     next_page_at = next_page_at - $1::interval`, d)
		return err
	})
	w.passForRiver(d)
	w.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE river_job SET state = 'available' WHERE state IN ('scheduled', 'retryable') AND scheduled_at <= now()`)
		return err
	})
}

// passForRiver lets time go by for jobs and not for what they are about: as it is
// where the database's clock is fast.
func (w *world) passForRiver(d time.Duration) {
	w.Helper()
	w.tx(func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			UPDATE river_job SET scheduled_at = scheduled_at - $1::interval, attempted_at = attempted_at - $1::interval
			WHERE finalized_at IS NULL`, d); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE river_leader SET expires_at = expires_at - $1::interval`, d)
		return err
	})
}

// elect has River elect a leader, which looks for stuck jobs at once; after that
// it does every half minute.
func (w *world) elect() {
	w.Helper()
	w.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM river_leader`)
		return err
	})
}

// replica is one process: its own connections, queue and services.
type replica struct {
	*paging.Service
	incidents *incident.Service
	pool      *pgxpool.Pool
	stop      func() // and wait
}

// replica makes a process that inserts jobs. It works them once it is started.
func (w *world) replica(sender mail.Sender) (r *replica, start func()) {
	w.Helper()
	pool := w.pool()
	s := store.New(pool)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	jobs := queue.New(pool, log)
	r = &replica{pool: pool}
	r.Service = paging.New(paging.Config{Store: s, Queue: jobs, Mail: sender, PublicURL: "https://mcp.example/", Log: log, Now: time.Now})
	r.incidents = incident.New(s, incident.Config{Now: time.Now, PublicURL: "https://mcp.example", Paging: r.Service})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	done := make(chan error, 1)
	r.stop = func() {}
	return r, func() {
		go func() { done <- jobs.Run(ctx) }()
		r.stop = sync.OnceFunc(func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				w.Errorf("running: %v", err)
			}
		})
		w.Cleanup(r.stop)
	}
}

func (w *world) started(sender mail.Sender) *replica {
	w.Helper()
	r, start := w.replica(sender)
	start()
	return r
}

// inbox is a Sender that a test reads from.
type inbox chan mail.Message

func (i inbox) Send(_ context.Context, m mail.Message) error {
	i <- m
	return nil
}

// next returns the next message.
func (w *world) next(i inbox) mail.Message {
	w.Helper()
	select {
	case m := <-i:
		return m
	case <-time.After(patience):
		w.Fatal("no mail came")
	}
	panic("unreachable")
}

// policy makes an escalation policy whose layers, each of a minute, are lists of
// people.
func (w *world) policy(layers ...[]string) string {
	w.Helper()
	p := store.EscalationPolicy{Name: uuid.NewString()}
	for _, people := range layers {
		p.Layers = append(p.Layers, &store.EscalationLayer{AckTimeoutMinutes: 1, UserIDs: people})
	}
	var id uuid.UUID
	w.tx(func(ctx context.Context, tx pgx.Tx) (err error) {
		id, err = w.store.CreateEscalationPolicyTx(ctx, tx, "acme", p, store.Change{UserID: "ann", At: time.Now()})
		return err
	})
	return id.String()
}

func (w *world) tx(f func(context.Context, pgx.Tx) error) {
	w.Helper()
	if err := pgx.BeginFunc(w.Context(), w.store.Pool(), func(tx pgx.Tx) error { return f(w.Context(), tx) }); err != nil {
		w.Fatal(err)
	}
}

// create creates an incident through a replica.
func (w *world) create(r *replica, policy string) *store.Incident {
	w.Helper()
	created, err := r.incidents.Create(w.Context(), incident.Actor{UserID: "ann", OrgID: "acme"},
		incident.Create{Title: "Checkout is down", Severity: "critical", EscalationPolicyID: policy}, "")
	if err != nil {
		w.Fatal(err)
	}
	return created.Incident
}

func (w *world) acknowledge(i *store.Incident) {
	w.Helper()
	w.tx(func(ctx context.Context, tx pgx.Tx) error {
		return w.store.AcknowledgeIncidentTx(ctx, tx, "acme", i.ID, store.Change{UserID: "ann", At: time.Now()})
	})
}

func (w *world) resolve(i *store.Incident) {
	w.Helper()
	w.tx(func(ctx context.Context, tx pgx.Tx) error {
		steps := store.IncidentStatuses()
		for n, to := range steps[1:] {
			if err := w.store.ChangeStatusTx(ctx, tx, "acme", i.ID, steps[n], to, nil, store.Change{UserID: "ann", At: time.Now()}); err != nil {
				return err
			}
		}
		return nil
	})
}

// timeline returns an incident's events of paging, in order.
func (w *world) timeline(i *store.Incident) []string {
	w.Helper()
	rows, err := w.store.Pool().Query(w.Context(), `
		SELECT concat_ws(' ', type, layer, person_id) FROM incident_events
		WHERE incident_id = $1 AND type ~ 'page|escalation' ORDER BY seq`, i.ID)
	if err != nil {
		w.Fatal(err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.Fatal(err)
	}
	return events
}

// becomes waits until the timeline is as wanted, in order.
func (w *world) becomes(i *store.Incident, want ...string) {
	w.Helper()
	w.until("the timeline", func() string { return cmp.Diff(want, w.timeline(i)) })
}

// settled waits until no job is due or running: timers may lie ahead.
func (w *world) settled() {
	w.Helper()
	w.until("the queue", func() string {
		var n int
		err := w.store.Pool().QueryRow(w.Context(), `
			SELECT count(*) FROM river_job WHERE state = 'running' OR finalized_at IS NULL AND scheduled_at <= now()`).Scan(&n)
		if err != nil {
			w.Fatal(err)
		}
		if n == 0 {
			return ""
		}
		return fmt.Sprintf("%d jobs are due or running", n)
	})
}

// until waits until wrong returns nothing, and fails with what it says in the
// end.
func (w *world) until(what string, wrong func() string) {
	w.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		problem := wrong()
		if problem == "" {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			w.Fatalf("%s, in the end: %s", what, problem)
		}
	}
}

func (w *world) escalation(i *store.Incident) store.Escalation {
	w.Helper()
	d, err := w.store.Incident(w.Context(), "acme", i.SequentialID)
	if err != nil {
		w.Fatal(err)
	}
	return d.Escalation
}
