package incident_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// in brings a new incident into a status and returns its number.
func (w *world) in(status store.IncidentStatus, c incident.Create) int {
	w.Helper()
	n := w.create(c).Incident.SequentialID
	for _, step := range store.IncidentStatuses()[1:] {
		if w.status(n) == status {
			break
		}
		w.transition(n, string(step))
	}
	return n
}

func (w *world) transition(n int, status string) {
	w.Helper()
	if _, err := w.Transition(w.Context(), ann, incident.Transition{SequentialID: n, Status: status}, ""); err != nil {
		w.Fatal(err)
	}
}

// planPage plans the next page of an incident, as package paging does.
func (w *world) planPage(n int) {
	w.Helper()
	if _, err := w.store.Pool().Exec(w.Context(), `UPDATE incidents SET next_page_at = $2 WHERE sequential_id = $1`, n, noon.Add(time.Hour)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) details(n int) *store.IncidentDetails {
	w.Helper()
	d, err := w.Get(w.Context(), "acme", n)
	if err != nil {
		w.Fatal(err)
	}
	return d
}

func (w *world) status(n int) store.IncidentStatus {
	w.Helper()
	return w.details(n).Status
}

// happened returns the timeline of an incident, a line for each entry.
func (w *world) happened(n int) []string {
	w.Helper()
	page, err := w.Timeline(w.Context(), "acme", incident.TimelineQuery{SequentialID: n, Limit: new(100)})
	if err != nil {
		w.Fatal(err)
	}
	var lines []string
	for _, e := range page.Entries {
		line := string(e.Type)
		if e.Status != nil {
			line += " " + string(*e.Status)
		}
		if e.Note != nil {
			line += fmt.Sprintf(" (%s)", *e.Note)
		}
		if e.Person != nil {
			line += " to " + e.Person.ID
		}
		if e.Actor != nil {
			line += " by " + e.Actor.ID
			if e.Actor.Via != nil {
				line += " via " + *e.Actor.Via
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// TestEveryTransitionButTheNextIsRefused: all pairs.
func TestEveryTransitionButTheNextIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	all := store.IncidentStatuses()
	for at, from := range all {
		for target, to := range all {
			t.Run(fmt.Sprint(from, " to ", to), func(t *testing.T) {
				w := &world{TB: t, Service: w.Service, store: w.store}
				n := w.in(from, incident.Create{})
				before := w.details(n)
				got, err := w.Transition(t.Context(), ann, incident.Transition{SequentialID: n, Status: string(to)}, "")
				switch {
				case to == from:
					if err != nil || got.Changed {
						t.Fatalf("got %+v %v, want a success that changes nothing", got, err)
					}
					if diff := cmp.Diff(before, w.details(n)); diff != "" {
						t.Errorf("it changed something (-before +after):\n%s", diff)
					}
				case target == at+1:
					if err != nil || !got.Changed || got.Incident.Status != to {
						t.Fatalf("got %+v %v, want the step", got, err)
					}
					if diff := cmp.Diff(*got.Incident, w.details(n).Incident); diff != "" {
						t.Errorf("read back (-answer +got):\n%s", diff)
					}
				case from == store.StatusResolved:
					refusedAs(t, err, "incident_resolved")
				default:
					refusal := refusedAs(t, err, "invalid_status_transition")
					if next := string(all[at+1]); !slices.Equal(refusal.ValidValues, []string{next}) || !strings.Contains(refusal.Message, "next is "+next) {
						t.Errorf("got %q and valid values %v, want it to name %s alone", refusal.Message, refusal.ValidValues, next)
					}
					if diff := cmp.Diff(before, w.details(n)); diff != "" {
						t.Errorf("a refusal changed something (-before +after):\n%s", diff)
					}
				}
			})
		}
	}
}

func TestResolvingWalksWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	policy := w.policy("policy", []string{"bea"})
	all := store.IncidentStatuses()
	for at, from := range all {
		t.Run(string(from), func(t *testing.T) {
			w := &world{TB: t, Service: w.Service, store: w.store}
			n := w.in(from, incident.Create{EscalationPolicyID: policy})
			if from != store.StatusResolved {
				w.planPage(n)
			}
			got, err := w.Resolve(t.Context(), ann, incident.Resolve{SequentialID: n, ResolutionNote: "Rolled back."}, "")
			if err != nil {
				t.Fatal(err)
			}
			if got.Already != (from == store.StatusResolved) {
				t.Errorf("already resolved: got %v", got.Already)
			}
			d := w.details(n)
			if diff := cmp.Diff(*got.Incident, d.Incident); diff != "" || d.Status != store.StatusResolved {
				t.Errorf("got status %s; read back (-answer +got):\n%s", d.Status, diff)
			}
			want := []store.StatusChange{}
			for _, status := range all[at+1:] {
				want = append(want, store.StatusChange{Status: status, ChangedAt: noon})
			}
			if len(want) > 0 {
				want[len(want)-1].ResolutionNote = new("Rolled back.")
			}
			if diff := cmp.Diff(want, got.Transitions); diff != "" {
				t.Errorf("transitions (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(got.Transitions, d.StatusHistory[at+1:]); len(want) > 0 && diff != "" {
				t.Errorf("history (-answer +got):\n%s", diff)
			}
			if len(d.StatusHistory) != len(all) {
				t.Errorf("history: got %d changes, want each status once", len(d.StatusHistory))
			}
			if d.Escalation.State != store.EscalationPaging || d.Escalation.NextPageAt != nil {
				t.Errorf("escalation: got %+v, want its state as it was and no next page", d.Escalation)
			}
		})
	}
}

func TestAnAcknowledgmentStandsAndStopsEscalation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.create(incident.Create{EscalationPolicyID: w.policy("policy", []string{"bea"})}).Incident.SequentialID
	w.planPage(n)
	bea := incident.Actor{UserID: "bea", OrgID: "acme"}
	got, err := w.Acknowledge(t.Context(), bea, n, "")
	if err != nil || got.Already || got.Incident.AcknowledgedAt == nil || got.Incident.Status != store.StatusInvestigating {
		t.Fatalf("got %+v %v, want an acknowledgment that leaves the status", got, err)
	}
	want := store.Escalation{
		State: store.EscalationAcknowledged, Layer: new(1), AcknowledgedAt: got.Incident.AcknowledgedAt,
		AcknowledgedBy: &store.Actor{Person: person("bea")},
	}
	first := w.details(n)
	if diff := cmp.Diff(want, first.Escalation); diff != "" {
		t.Errorf("escalation (-want +got):\n%s", diff)
	}
	w.now = noon.Add(time.Minute)
	again, err := w.Acknowledge(t.Context(), ann, n, "")
	if err != nil || !again.Already {
		t.Errorf("another acknowledgment: got %+v %v, want a success that says so", again, err)
	}
	if diff := cmp.Diff(first, w.details(n)); diff != "" {
		t.Errorf("another acknowledgment changed something (-before +after):\n%s", diff)
	}
}

func TestAcknowledgingWhatIsResolvedChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, acknowledged := range map[string]bool{"acknowledged before": true, "never acknowledged": false} {
		n := w.create(incident.Create{}).Incident.SequentialID
		if acknowledged {
			if _, err := w.Acknowledge(t.Context(), ann, n, ""); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Resolve(t.Context(), ann, incident.Resolve{SequentialID: n}, ""); err != nil {
			t.Fatal(err)
		}
		before := w.details(n)
		got, err := w.Acknowledge(t.Context(), ann, n, "")
		if err != nil || got.Already != acknowledged {
			t.Errorf("%s: got %+v %v, want a success that says whether somebody had", name, got, err)
		}
		if diff := cmp.Diff(before, w.details(n)); diff != "" {
			t.Errorf("%s: it changed something (-before +after):\n%s", name, diff)
		}
	}
}

func TestWhatMovesAnIncidentIsInItsTimelineUnderPersonAndClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.create(incident.Create{EscalationPolicyID: w.policy("policy", []string{"bea"})}).Incident.SequentialID
	bea := incident.Actor{UserID: "bea", OrgID: "acme"}
	for range 2 { // no-ops leave no trace
		if _, err := w.Acknowledge(t.Context(), bea, n, ""); err != nil {
			t.Fatal(err)
		}
		w.transition(n, "identified")
	}
	for range 2 {
		if _, err := w.Resolve(t.Context(), bea, incident.Resolve{SequentialID: n, ResolutionNote: "done"}, ""); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"incident_created investigating by ann via Claude", "incident_acknowledged by bea",
		"status_changed identified by ann via Claude", "status_changed monitoring by bea", "status_changed resolved (done) by bea",
	}
	if diff := cmp.Diff(want, w.happened(n)); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
}

// TestTimesOfATimelineNeverGoBack: the clocks of replicas differ.
func TestTimesOfATimelineNeverGoBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.create(incident.Create{}).Incident.SequentialID
	w.now = noon.Add(-time.Hour)
	w.transition(n, "identified")
	w.now = noon.Add(time.Minute)
	w.transition(n, "monitoring")
	w.now = noon
	if _, err := w.Acknowledge(t.Context(), ann, n, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Resolve(t.Context(), ann, incident.Resolve{SequentialID: n}, ""); err != nil {
		t.Fatal(err)
	}
	page, err := w.Timeline(t.Context(), "acme", incident.TimelineQuery{SequentialID: n})
	if err != nil {
		t.Fatal(err)
	}
	var got []time.Duration
	for _, e := range page.Entries {
		got = append(got, e.At.Sub(noon))
	}
	if want := []time.Duration{0, 0, time.Minute, time.Minute, time.Minute}; !slices.Equal(got, want) {
		t.Errorf("times since noon: got %v, want %v", got, want)
	}
	d := w.details(n)
	if last := noon.Add(time.Minute); !d.ResolvedAt.Equal(last) || !d.AcknowledgedAt.Equal(last) || !d.UpdatedAt.Equal(last) {
		t.Errorf("got resolved %v, acknowledged %v, updated %v, want what the timeline says", d.ResolvedAt, d.AcknowledgedAt, d.UpdatedAt)
	}
}

func TestMovesAreRefusedWithWhatToDoInstead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create(incident.Create{})
	gus := incident.Actor{UserID: "gus", OrgID: "globex"}
	long := strings.Repeat("é", incident.MaxResolutionNote+1)
	acknowledge := func(a incident.Actor, n int, key string) func(context.Context) error {
		return func(ctx context.Context) error { _, err := w.Acknowledge(ctx, a, n, key); return err }
	}
	transition := func(a incident.Actor, in incident.Transition, key string) func(context.Context) error {
		return func(ctx context.Context) error { _, err := w.Transition(ctx, a, in, key); return err }
	}
	resolve := func(a incident.Actor, in incident.Resolve, key string) func(context.Context) error {
		return func(ctx context.Context) error { _, err := w.Resolve(ctx, a, in, key); return err }
	}
	timeline := func(org string, q incident.TimelineQuery) func(context.Context) error {
		return func(ctx context.Context) error { _, err := w.Timeline(ctx, org, q); return err }
	}
	for name, row := range map[string]struct {
		call func(context.Context) error
		code string
		says []string
	}{
		"acknowledge: everything wrong": {acknowledge(ann, 0, "a b"), "invalid_arguments", []string{"sequentialId must be a positive integer, got 0.", "idempotencyKey"}},
		"acknowledge: no such number":   {acknowledge(ann, 2, "k"), "not_found", []string{"number 2", "list_incidents"}},
		"acknowledge: elsewhere":        {acknowledge(gus, 1, "k"), "not_found", []string{"number 1"}},
		"acknowledge: a huge number":    {acknowledge(ann, 1<<62, ""), "not_found", nil},
		"transition: everything wrong": {transition(ann, incident.Transition{SequentialID: -1, Status: "open", ResolutionNote: long}, "a b"), "invalid_arguments",
			[]string{"sequentialId", "status must be one of investigating, identified, monitoring, resolved", "resolutionNote must be at most 10000 characters, got 10001.", "resolutionNote is for the status resolved alone", "idempotencyKey"}},
		"transition: a note too early":      {transition(ann, incident.Transition{SequentialID: 1, Status: "identified", ResolutionNote: "x"}, ""), "invalid_arguments", []string{"resolutionNote is for", "post_incident_update"}},
		"transition: a note with NUL":       {transition(ann, incident.Transition{SequentialID: 1, Status: "resolved", ResolutionNote: "\x00"}, ""), "invalid_arguments", []string{"U+0000"}},
		"transition: no such number":        {transition(ann, incident.Transition{SequentialID: 2, Status: "identified"}, "k"), "not_found", nil},
		"transition: elsewhere":             {transition(gus, incident.Transition{SequentialID: 1, Status: "identified"}, "k"), "not_found", nil},
		"transition: a step left out":       {transition(ann, incident.Transition{SequentialID: 1, Status: "resolved"}, "k"), "invalid_status_transition", []string{"one step at a time", "resolve_incident"}},
		"resolve: everything wrong":         {resolve(ann, incident.Resolve{ResolutionNote: long}, "\x7f"), "invalid_arguments", []string{"sequentialId", "resolutionNote", "idempotencyKey"}},
		"resolve: a note not UTF-8":         {resolve(ann, incident.Resolve{SequentialID: 1, ResolutionNote: "\xff"}, ""), "invalid_arguments", []string{"UTF-8"}},
		"resolve: no such number":           {resolve(ann, incident.Resolve{SequentialID: 2}, "k"), "not_found", nil},
		"resolve: elsewhere":                {resolve(gus, incident.Resolve{SequentialID: 1}, "k"), "not_found", nil},
		"timeline: everything wrong":        {timeline("acme", incident.TimelineQuery{Limit: new(0), Cursor: "?"}), "invalid_arguments", []string{"sequentialId", "between 1 and 100, got 0", "cursor"}},
		"timeline: no such number":          {timeline("acme", incident.TimelineQuery{SequentialID: 2}), "not_found", nil},
		"timeline: elsewhere":               {timeline("globex", incident.TimelineQuery{SequentialID: 1}), "not_found", nil},
		"timeline: a cursor that says zero": {timeline("acme", incident.TimelineQuery{SequentialID: 1, Cursor: "AQAAAAAAAAAAAAAAAAAAAAA"}), "invalid_arguments", []string{"cursor"}},
	} {
		refusal := refusedAs(t, row.call(t.Context()), row.code)
		for _, part := range row.says {
			if !strings.Contains(refusal.Message, part) {
				t.Errorf("%s: got %q, want it to say %q", name, refusal.Message, part)
			}
		}
	}
	if got := w.happened(1); len(got) != 1 {
		t.Errorf("timeline after refusals: got %v, want the creation alone", got)
	}
	for table, want := range map[string]int{"idempotency_keys": 0, "audit_events": 1} {
		var n int
		if err := w.store.Pool().QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil || n != want {
			t.Errorf("%s after refusals: got %d rows %v, want %d", table, n, err, want)
		}
	}
}

// TestEightParallelMovesWithOneKeyAreOne: one effect, eight equal answers.
func TestEightParallelMovesWithOneKeyAreOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, row := range map[string]struct {
		call func(n int) (answer any, replayed bool, err error)
		want []string
	}{
		"acknowledge": {func(n int) (any, bool, error) {
			got, err := w.Acknowledge(t.Context(), ann, n, "key")
			if err != nil {
				return nil, false, err
			}
			replayed := got.Replayed
			got.Replayed = false
			return got, replayed, nil
		}, []string{"incident_acknowledged by ann via Claude"}},
		"transition": {func(n int) (any, bool, error) {
			got, err := w.Transition(t.Context(), ann, incident.Transition{SequentialID: n, Status: "identified"}, "key")
			if err != nil {
				return nil, false, err
			}
			replayed := got.Replayed
			got.Replayed = false
			return got, replayed, nil
		}, []string{"status_changed identified by ann via Claude"}},
		"resolve": {func(n int) (any, bool, error) {
			got, err := w.Resolve(t.Context(), ann, incident.Resolve{SequentialID: n, ResolutionNote: "x"}, "key")
			if err != nil {
				return nil, false, err
			}
			replayed := got.Replayed
			got.Replayed = false
			return got, replayed, nil
		}, []string{"status_changed identified by ann via Claude", "status_changed monitoring by ann via Claude", "status_changed resolved (x) by ann via Claude"}},
	} {
		n := w.create(incident.Create{}).Incident.SequentialID
		answers, originals := make([]any, 8), make([]bool, 8)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				answer, replayed, err := row.call(n)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				answers[i], originals[i] = answer, !replayed
			})
		}
		wg.Wait()
		for i := range answers {
			if diff := cmp.Diff(answers[0], answers[i]); diff != "" {
				t.Errorf("%s: answer %d differs from the first (-first +got):\n%s", name, i, diff)
			}
		}
		if got := len(slices.DeleteFunc(originals, func(original bool) bool { return !original })); got != 1 {
			t.Errorf("%s: answers that are not replays: got %d, want 1", name, got)
		}
		if diff := cmp.Diff(row.want, w.happened(n)[1:]); diff != "" {
			t.Errorf("%s: timeline (-want +got):\n%s", name, diff)
		}
	}
}

func TestOfEightParallelAcknowledgmentsOneStands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.create(incident.Create{}).Incident.SequentialID
	already := make([]bool, 8)
	var wg sync.WaitGroup
	for i := range already {
		wg.Go(func() {
			got, err := w.Acknowledge(t.Context(), ann, n, "")
			if err != nil {
				t.Error(err)
				return
			}
			already[i] = got.Already
		})
	}
	wg.Wait()
	if got := len(slices.DeleteFunc(already, func(already bool) bool { return !already })); got != 7 {
		t.Errorf("calls that say it was acknowledged before: got %d, want 7", got)
	}
	if got := w.happened(n); len(got) != 2 {
		t.Errorf("timeline: got %v, want one acknowledgment", got)
	}
}

// TestOfTwoTransitionsAtOnceTheSecondIsJudgedOnWhatItFinds: never a step taken
// twice, nor one left out, whoever wins.
func TestOfTwoTransitionsAtOnceTheSecondIsJudgedOnWhatItFinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for range 20 {
		n := w.create(incident.Create{}).Incident.SequentialID
		outcomes := make([]string, 4)
		var wg sync.WaitGroup
		for i, status := range []string{"identified", "identified", "monitoring", ""} {
			wg.Go(func() {
				var err error
				changed := false
				if status == "" {
					var got *incident.Resolved
					if got, err = w.Resolve(t.Context(), ann, incident.Resolve{SequentialID: n}, ""); err == nil {
						changed = !got.Already
					}
				} else {
					var got *incident.Transitioned
					if got, err = w.Transition(t.Context(), ann, incident.Transition{SequentialID: n, Status: status}, ""); err == nil {
						changed = got.Changed
					}
				}
				if refusal, ok := errors.AsType[*incident.Error](err); ok {
					outcomes[i] = refusal.Code
				} else if err != nil {
					t.Error(err)
				} else {
					outcomes[i] = fmt.Sprint(changed)
				}
			})
		}
		wg.Wait()
		if outcomes[0] == "true" && outcomes[1] == "true" {
			t.Errorf("both calls say that they identified the incident")
		}
		if outcomes[3] != "true" {
			t.Errorf("resolve: got %s, want that it did", outcomes[3])
		}
		var history []store.IncidentStatus
		for _, c := range w.details(n).StatusHistory {
			history = append(history, c.Status)
		}
		if !slices.Equal(history, store.IncidentStatuses()) {
			t.Errorf("outcomes %v: history %v, want each status once, in order", outcomes, history)
		}
	}
}

func TestAMoveKeyIsComparedByItsArguments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create(incident.Create{})
	w.create(incident.Create{})
	first, err := w.Transition(t.Context(), ann, incident.Transition{SequentialID: 1, Status: "identified"}, "key")
	if err != nil {
		t.Fatal(err)
	}
	w.transition(1, "monitoring")
	again, err := w.Transition(t.Context(), ann, incident.Transition{SequentialID: 1, Status: "identified"}, "key")
	if err != nil || !again.Replayed || !again.Changed {
		t.Fatalf("the same call: got %+v %v, want its first answer", again, err)
	}
	if diff := cmp.Diff(first.Incident, again.Incident); diff != "" {
		t.Errorf("the same call (-first +got):\n%s", diff)
	}
	_, err = w.Transition(t.Context(), ann, incident.Transition{SequentialID: 2, Status: "identified"}, "key")
	refusedAs(t, err, "idempotency_key_reused")
	if _, err := w.Resolve(t.Context(), ann, incident.Resolve{SequentialID: 1}, "key"); err != nil {
		t.Errorf("another tool's key: %v", err)
	}
	_, err = w.Resolve(t.Context(), ann, incident.Resolve{SequentialID: 1, ResolutionNote: "x"}, "key")
	refusedAs(t, err, "idempotency_key_reused")
	if got, err := w.Acknowledge(t.Context(), incident.Actor{UserID: "bea", OrgID: "acme"}, 1, "key"); err != nil || got.Replayed {
		t.Errorf("another person's key: got %+v %v, want a call of its own", got, err)
	}
}

// TestAChangeThatWaitsTooLongLeavesNothing: whatever holds the incident.
func TestAChangeThatWaitsTooLongLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create(incident.Create{})
	tx, err := w.store.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `SELECT FROM incidents FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	_, err = w.Acknowledge(t.Context(), ann, 1, "key")
	if refusal := refusedAs(t, err, "unavailable"); !strings.Contains(refusal.Message, "changed nothing") {
		t.Errorf("got %q, want it to say that nothing was changed", refusal.Message)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := w.Acknowledge(t.Context(), ann, 1, "key")
	if err != nil || again.Replayed || again.Already {
		t.Errorf("the same call again: got %+v %v, want the acknowledgment", again, err)
	}
}

func TestEveryMoveIsInTheAuditLogOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create(incident.Create{})
	actor := ann
	actor.Call = incident.Call{Tool: "acknowledge_incident", RequestID: "r", At: noon}
	for _, key := range []string{"key", "key", ""} { // an effect, a replay of it, and what finds nothing to do
		if _, err := w.Acknowledge(t.Context(), actor, 1, key); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	err := w.store.Pool().QueryRow(t.Context(), `
		SELECT count(*) FROM audit_events
		WHERE org_id = 'acme' AND action = 'acknowledge_incident' AND outcome = 'ok' AND incident = 1 AND user_id = 'ann'`).Scan(&n)
	if err != nil || n != 2 {
		t.Errorf("calls recorded: got %d %v, want 2, the replay being the caller's to record", n, err)
	}
}
