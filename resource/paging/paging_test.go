package paging_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

func TestLayersArePagedOneAfterAnotherUntilNoneIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mails := make(inbox, 10)
	r := w.started(mails)
	i := w.create(r, w.policy([]string{"bea", "ann"}, []string{"cem"}))
	to := map[string]bool{w.next(mails).Address: true, w.next(mails).Address: true}
	if !to["ann@acme.example"] || !to["bea@acme.example"] {
		t.Errorf("layer 1: mailed %v, want ann and bea", to)
	}
	w.until("layer 1", func() string {
		if len(w.timeline(i)) == 2 {
			return ""
		}
		return strings.Join(w.timeline(i), ", ")
	})
	e := w.escalation(i)
	if e.State != store.EscalationPaging || *e.Layer != 1 || e.NextPageAt == nil || !e.NextPageAt.Equal(i.CreatedAt.Add(time.Minute)) {
		t.Errorf("after layer 1: got %+v, want the next page a minute after %v", e, i.CreatedAt)
	}

	w.pass(59 * time.Second)
	w.settled()
	if n := len(w.timeline(i)); n != 2 {
		t.Fatalf("a second early: got %q", w.timeline(i))
	}
	w.pass(time.Second)
	if m := w.next(mails); m.Address != "cem@acme.example" || m.Thread != "incident."+i.ID.String() {
		t.Errorf("layer 2: got %+v, want a mail to cem in the incident's thread", m)
	}
	first := w.timeline(i)[:2]
	then := []string{first[0], first[1], "escalation_advanced 2", "page_sent 2 cem"}
	w.becomes(i, then...)
	w.pass(time.Minute)
	w.becomes(i, append(then, "escalation_exhausted")...)
	if e := w.escalation(i); e.State != store.EscalationExhausted || *e.Layer != 2 || e.NextPageAt != nil {
		t.Errorf("in the end: got %+v, want exhausted after layer 2", e)
	}
	w.pass(time.Hour)
	w.settled()
	if got := w.timeline(i); len(got) != 5 || len(mails) != 0 {
		t.Errorf("an hour later: got %q and %d mails, want nothing more", got, len(mails))
	}
	details, err := w.store.Incident(t.Context(), "acme", i.SequentialID)
	if err != nil || details.Status != store.StatusInvestigating {
		t.Errorf("the incident: got %v %v, want it open", details.Status, err)
	}
}

func TestWhoeverTakesTheIncidentStopsIt(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(*world, *store.Incident){
		"acknowledged": (*world).acknowledge,
		"resolved":     (*world).resolve,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			mails := make(inbox, 10)
			r := w.started(mails)
			i := w.create(r, w.policy([]string{"bea"}, []string{"cem"}))
			w.becomes(i, "page_sent 1 bea")
			take(w, i)
			w.pass(time.Minute)
			w.settled()
			if diff := cmp.Diff([]string{"page_sent 1 bea"}, without(w.timeline(i), "incident_acknowledged ann")); diff != "" {
				t.Errorf("timeline (-want +got):\n%s", diff)
			}
			if len(mails) != 1 {
				t.Errorf("mails: got %d, want one to bea", len(mails))
			}
		})
	}
}

func without(list []string, one string) []string {
	var rest []string
	for _, s := range list {
		if s != one {
			rest = append(rest, s)
		}
	}
	return rest
}

// TestWhoLeftSinceIsNotPaged: membership is asked when a layer is about to be
// paged, and again when the mail is.
func TestWhoLeftSinceIsNotPaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mails := make(inbox, 10)
	r, start := w.replica(mails)
	i := w.create(r, w.policy([]string{"bea"}, []string{"cem"}, []string{"ann"}))
	w.pass(time.Second)
	w.save("bea", "")
	w.save("cem", "")
	start()
	w.becomes(i, "page_failed 1 bea")
	w.pass(time.Minute)
	w.becomes(i, "page_failed 1 bea", "escalation_advanced 3", "page_sent 3 ann")
	if m := w.next(mails); m.Address != "ann@acme.example" || len(mails) != 0 {
		t.Errorf("mailed %s and %d more, want ann alone", m.Address, len(mails))
	}
}

// TestAnEarlyTimerWaits: a replica whose clock is slow does not page the next
// layer too early, and does not forget it.
func TestAnEarlyTimerWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mails := make(inbox, 10)
	r := w.started(mails)
	i := w.create(r, w.policy([]string{"bea"}, []string{"cem"}))
	w.becomes(i, "page_sent 1 bea")
	w.passForRiver(time.Minute)
	w.until("the timer", func() string {
		var snoozed bool
		err := w.store.Pool().QueryRow(t.Context(), `SELECT metadata ? 'snoozes' FROM river_job WHERE kind = 'escalate'`).Scan(&snoozed)
		if err != nil || !snoozed {
			return "has not fired early"
		}
		return ""
	})
	if got := w.timeline(i); len(got) != 1 {
		t.Errorf("timeline: got %q, want nothing new", got)
	}
	w.pass(time.Minute)
	w.becomes(i, "page_sent 1 bea", "escalation_advanced 2", "page_sent 2 cem")
}

func TestReplicasAtOnceAdvanceAndMailOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mails := make(inbox, 100)
	one, two := w.started(mails), w.started(mails)
	policy := w.policy([]string{"bea", "cem"}, []string{"ann"})
	const each = 5
	var incidents []*store.Incident
	for range each {
		for _, r := range []*replica{one, two} {
			i := w.create(r, policy)
			incidents = append(incidents, i)
			// Timers too many, which all fire at once.
			for range 3 {
				w.tx(func(ctx context.Context, tx pgx.Tx) error {
					return r.SetTimerTx(ctx, tx, "acme", i.ID, 1, time.Now().Add(time.Minute))
				})
			}
		}
	}
	w.settled()
	w.pass(time.Minute)
	w.settled()
	w.pass(time.Minute)
	w.settled()
	for _, i := range incidents {
		got := w.timeline(i)
		if len(got) < 2 {
			t.Fatalf("timeline: got %q", got)
		}
		if diff := cmp.Diff([]string{"escalation_advanced 2", "page_sent 2 ann", "escalation_exhausted"}, got[2:]); diff != "" {
			t.Errorf("after two pages by layer 1 (-want +got):\n%s", diff)
		}
	}
	seen := map[string]int{}
	for range len(mails) {
		seen[w.next(mails).ID]++
	}
	if len(seen) != 3*len(incidents) {
		t.Errorf("mails: got %d different ones, want one to each of three people for each of %d incidents", len(seen), len(incidents))
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was mailed %d times", id, n)
		}
	}
}
