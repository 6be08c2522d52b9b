package paging_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/mail/mailtest"
)

func smtp(t testing.TB) (*mailtest.Server, *mail.SMTP) {
	t.Helper()
	server := mailtest.Start(t)
	sender, err := mail.NewSMTP("smtp://"+server.Address, "Scaling <pages@scaling.example>")
	if err != nil {
		t.Fatal(err)
	}
	return server, sender
}

func (w *world) refused(s *mailtest.Server) {
	w.Helper()
	select {
	case <-s.Refused():
	case <-time.After(patience):
		w.Fatal("the mail server was not tried")
	}
}

func TestAPageIsTriedAgainUntilTheMailServerTakesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, sender := smtp(t)
	server.Refuse(3)
	r := w.started(sender)
	i := w.create(r, w.policy([]string{"bea"}))
	for _, pause := range []time.Duration{5, 10, 20} {
		w.refused(server)
		w.settled()
		if got := w.timeline(i); len(got) > 0 {
			t.Errorf("while the mail server refuses: got %q, want nothing", got)
		}
		w.pass(pause * time.Second)
	}
	w.becomes(i, "page_sent 1 bea")
	w.settled()
	got := <-server.Accepted()
	if got.To != "bea@acme.example" || len(server.Accepted()) != 0 {
		t.Errorf("accepted: got a mail to %s and %d more, want one to bea", got.To, len(server.Accepted()))
	}
}

func TestAPageThatNeverGetsThroughFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, sender := smtp(t)
	server.Refuse(1000)
	r := w.started(sender)
	i := w.create(r, w.policy([]string{"bea"}))
	w.refused(server)
	w.settled()
	w.attempted(9)
	w.pass(5 * time.Second)
	w.refused(server)
	w.becomes(i, "page_failed 1 bea")
	w.pass(10 * time.Minute)
	w.becomes(i, "page_failed 1 bea", "escalation_exhausted")
	w.settled()
	if len(server.Refused()) != 0 {
		t.Error("the page was tried again after it had failed")
	}
}

// attempted says of the pages that wait that they were tried so often.
func (w *world) attempted(times int) {
	w.Helper()
	if _, err := w.store.Pool().Exec(w.Context(), `UPDATE river_job SET attempt = $1 WHERE kind = 'page'`, times); err != nil {
		w.Fatal(err)
	}
}

func TestAPageThatIsNeededNoMoreIsNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, sender := smtp(t)
	server.Refuse(1)
	r := w.started(sender)
	acknowledged, resolved := w.create(r, w.policy([]string{"bea"})), w.create(r, w.policy())
	w.refused(server)
	w.settled()
	w.acknowledge(acknowledged)
	w.resolve(resolved)
	w.pass(time.Minute)
	w.until("the page", func() string { return cmp.Diff("withdrawn", w.outcome()) })
	w.settled()
	if len(server.Accepted()) != 0 {
		t.Error("it was sent all the same")
	}
	if got := w.timeline(acknowledged); len(got) > 0 {
		t.Errorf("timeline: got %q, want nothing", got)
	}
}

// outcome returns that of the only page.
func (w *world) outcome() string {
	w.Helper()
	var outcome *string
	if err := w.store.Pool().QueryRow(w.Context(), `SELECT outcome FROM pages`).Scan(&outcome); err != nil {
		w.Fatal(err)
	}
	if outcome == nil {
		return ""
	}
	return *outcome
}

func TestAnAddressThatIsNotVerifiedGetsNoMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mails := make(inbox, 10)
	r := w.started(mails)
	i := w.create(r, w.policy([]string{"dan"}))
	w.becomes(i, "page_failed 1 dan")
	if len(mails) != 0 {
		t.Errorf("mailed %v", w.next(mails))
	}
}

// stuck is a Sender that answers its first message when it is told to, and sends
// the others.
type stuck struct {
	inbox
	first  sync.Once
	asked  chan struct{}
	answer chan struct{}
}

func (s *stuck) Send(ctx context.Context, m mail.Message) error {
	first := false
	s.first.Do(func() { first = true })
	if !first {
		return s.inbox.Send(ctx, m)
	}
	close(s.asked)
	<-s.answer
	return nil
}

// TestAReplicaThatDiesWhileItSendsIsReplaced: a replica takes a page, and is
// heard of no more. Another sends the page, and it is recorded once, whatever
// the first does later, and though it died in the last attempt.
func TestAReplicaThatDiesWhileItSendsIsReplaced(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		dead     bool
		attempts int // before
	}{
		"dead":                      {dead: true},
		"dead in the last attempt":  {dead: true, attempts: 9},
		"only slow, and comes back": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			mails := make(inbox, 10)
			sender := &stuck{inbox: mails, asked: make(chan struct{}), answer: make(chan struct{})}
			first, start := w.replica(sender)
			i := w.create(first, w.policy([]string{"bea"}))
			if row.attempts > 0 {
				w.attempted(row.attempts)
			}
			start()
			<-sender.asked
			if row.dead {
				first.pool.Close()
			}
			w.started(mails)
			w.pass(59 * time.Second) // not yet
			if got := w.timeline(i); len(got) > 0 {
				t.Errorf("while the first may live: got %q", got)
			}
			w.pass(2 * time.Second)
			w.elect()
			w.next(mails)
			want := []string{"page_sent 1 bea"}
			w.until("the timeline", func() string {
				return cmp.Diff(want, without(w.timeline(i), "escalation_exhausted"))
			})
			close(sender.answer) // the first's mail went out, too
			first.stop()
			w.settled()
			if diff := cmp.Diff(want, without(w.timeline(i), "escalation_exhausted")); diff != "" {
				t.Errorf("after the first came back (-want +got):\n%s", diff)
			}
			if len(mails) != 0 {
				t.Errorf("%d mails more were sent", len(mails))
			}
		})
	}
}

// obedient is a Sender that waits until its context is done.
type obedient chan mail.Message

func (o obedient) Send(ctx context.Context, m mail.Message) error {
	o <- m
	<-ctx.Done()
	return ctx.Err()
}

// TestAReplicaThatIsStoppedHandsItsPagesOver at once, and the attempt does not
// count: it was the last one.
func TestAReplicaThatIsStoppedHandsItsPagesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sender := make(obedient, 1)
	first, start := w.replica(sender)
	i := w.create(first, w.policy([]string{"bea"}))
	w.attempted(9)
	start()
	<-sender
	first.stop()
	if got := w.timeline(i); len(got) > 0 {
		t.Errorf("after the stop: got %q, want nothing", got)
	}
	mails := make(inbox, 1)
	w.started(mails)
	w.next(mails)
	w.becomes(i, "page_sent 1 bea")
}
