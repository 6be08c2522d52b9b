package incident_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// publisher is ann, through a connection that may publish.
var publisher = incident.Actor{
	UserID: "ann", ClientName: "Claude", OrgID: "acme", MayPublish: true,
	Call: incident.Call{Tool: "post_incident_update", At: noon},
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.store.Pool().Exec(w.Context(), sql, args...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) count(what string) (n int) {
	w.Helper()
	if err := w.store.Pool().QueryRow(w.Context(), `SELECT count(*) FROM `+what).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}

// shown makes an incident that the status page of acme shows, and returns its
// number.
func (w *world) shown() int {
	w.Helper()
	component := w.component("acme", "API")
	w.exec(`INSERT INTO status_pages (org_id, slug, name, published, created_at) VALUES ('acme', 'acme-status', 'Acme', true, $1)`, noon)
	w.exec(`INSERT INTO status_page_components (org_id, component_id, position) VALUES ('acme', $1, 1)`, component)
	return w.create(incident.Create{ComponentIDs: []string{component}}).Incident.SequentialID
}

func (w *world) rule(rule store.PublicUpdates) {
	w.Helper()
	w.exec(`INSERT INTO org_policies (org_id, public_updates, updated_at) VALUES ('acme', $1, $2)
		ON CONFLICT (org_id) DO UPDATE SET public_updates = excluded.public_updates`, rule, noon)
}

// post posts a public update.
func (w *world) post(sequentialID int, body string, asked incident.Confirmation, key string) (*incident.Posted, error) {
	return w.PostUpdate(w.Context(), publisher, incident.Post{SequentialID: sequentialID, Body: body, Visibility: "public"}, asked, key)
}

func yes() incident.Confirmation {
	return incident.Confirmation{Possible: true, Nonce: uuid.New(), ExpiresAt: noon.Add(5 * time.Minute)}
}

// TestTheRuleDecidesWhatBecomesOfAPublicUpdate is every rule with every client.
func TestTheRuleDecidesWhatBecomesOfAPublicUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	cannotAsk, canAsk, canShow := incident.Confirmation{}, incident.Confirmation{Possible: true}, incident.Confirmation{ByLink: true}
	for _, row := range []struct {
		rule  store.PublicUpdates // empty: the organization decided nothing
		asked incident.Confirmation
		want  string
	}{
		{"", cannotAsk, "posted"},
		{"", canAsk, "asked"},
		{"", canShow, "draft"},
		{"", yes(), "posted"},
		{store.PublicUpdatesAllow, cannotAsk, "posted"},
		{store.PublicUpdatesAllow, canAsk, "posted"},
		{store.PublicUpdatesAllow, canShow, "posted"},
		{store.PublicUpdatesAllow, yes(), "posted"},
		{store.PublicUpdatesConfirmWhenPossible, cannotAsk, "posted"},
		{store.PublicUpdatesConfirmWhenPossible, canAsk, "asked"},
		{store.PublicUpdatesConfirmWhenPossible, canShow, "draft"},
		{store.PublicUpdatesConfirmWhenPossible, yes(), "posted"},
		{store.PublicUpdatesConfirmAlways, cannotAsk, "draft"},
		{store.PublicUpdatesConfirmAlways, canAsk, "asked"},
		{store.PublicUpdatesConfirmAlways, canShow, "draft"},
		{store.PublicUpdatesConfirmAlways, yes(), "posted"},
		{store.PublicUpdatesNever, cannotAsk, "public_updates_not_allowed"},
		{store.PublicUpdatesNever, canAsk, "public_updates_not_allowed"},
		{store.PublicUpdatesNever, canShow, "public_updates_not_allowed"},
		{store.PublicUpdatesNever, yes(), "public_updates_not_allowed"},
	} {
		if row.rule != "" {
			w.rule(row.rule)
		}
		before := w.count("incident_updates")
		posted, err := w.post(n, uuid.NewString(), row.asked, "")
		got := ""
		switch refusal, refused := errors.AsType[*incident.Error](err); {
		case refused:
			got = refusal.Code
		case err != nil:
			if required, ok := errors.AsType[*incident.ConfirmationRequired](err); ok && required.SequentialID == n && required.Title != "" {
				got = "asked"
			} else {
				t.Fatal(err)
			}
		case posted.Draft != nil && posted.Update == nil && posted.StatusPageURL == "":
			got = "draft"
		case posted.Draft == nil && posted.StatusPageURL == "https://mcp.example/status/acme-status":
			got = "posted"
		}
		if got != row.want {
			t.Errorf("rule %q, %+v: got %q %v, want %q", row.rule, row.asked, got, err, row.want)
		}
		if added := w.count("incident_updates") - before; (added == 1) != (row.want == "posted") {
			t.Errorf("rule %q, %+v: %d updates were posted", row.rule, row.asked, added)
		}
	}
}

func TestAPostThatCannotBeSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	hidden := w.create(incident.Create{ComponentIDs: []string{w.component("acme", "Cellar")}}).Incident.SequentialID
	over := w.create(incident.Create{}).Incident.SequentialID
	w.exec(`UPDATE incidents SET status = 'resolved', resolved_at = updated_at WHERE org_id = 'acme' AND sequential_id = $1`, over)
	unallowed := publisher
	unallowed.MayPublish = false
	gus := incident.Actor{UserID: "gus", OrgID: "globex", MayPublish: true}
	for name, row := range map[string]struct {
		actor incident.Actor
		in    incident.Post
		key   string
		code  string
		says  string
	}{
		"no number":            {publisher, incident.Post{Body: "x", Visibility: "internal"}, "k", "invalid_arguments", "sequentialId"},
		"nothing":              {publisher, incident.Post{SequentialID: n, Visibility: "internal"}, "k", "invalid_arguments", "body"},
		"only spaces":          {publisher, incident.Post{SequentialID: n, Body: " \n\t", Visibility: "public"}, "k", "invalid_arguments", "body"},
		"too long":             {publisher, incident.Post{SequentialID: n, Body: strings.Repeat("ü", 10_001), Visibility: "internal"}, "k", "invalid_arguments", "10000"},
		"with NUL":             {publisher, incident.Post{SequentialID: n, Body: "x\x00", Visibility: "internal"}, "k", "invalid_arguments", "U+0000"},
		"not UTF-8":            {publisher, incident.Post{SequentialID: n, Body: "\xff", Visibility: "internal"}, "k", "invalid_arguments", "UTF-8"},
		"no visibility":        {publisher, incident.Post{SequentialID: n, Body: "x"}, "k", "invalid_arguments", "visibility must be one of internal, public"},
		"Public":               {publisher, incident.Post{SequentialID: n, Body: "x", Visibility: "Public"}, "k", "invalid_arguments", "visibility"},
		"key with a space":     {publisher, incident.Post{SequentialID: n, Body: "x", Visibility: "internal"}, "a b", "invalid_arguments", "idempotencyKey"},
		"unknown incident":     {publisher, incident.Post{SequentialID: 99, Body: "x", Visibility: "internal"}, "k", "not_found", "99"},
		"another organization": {gus, incident.Post{SequentialID: n, Body: "x", Visibility: "internal"}, "k", "not_found", "list_incidents"},
		"resolved":             {publisher, incident.Post{SequentialID: over, Body: "x", Visibility: "internal"}, "k", "incident_resolved", "new incident"},
		"resolved, public":     {publisher, incident.Post{SequentialID: over, Body: "x", Visibility: "public"}, "k", "incident_resolved", "new incident"},
		"not shown":            {publisher, incident.Post{SequentialID: hidden, Body: "x", Visibility: "public"}, "k", "no_public_surface", "visibility internal"},
		"without the scope":    {unallowed, incident.Post{SequentialID: n, Body: "x", Visibility: "public"}, "k", "public_updates_not_allowed", "visibility internal"},
	} {
		_, err := w.PostUpdate(t.Context(), row.actor, row.in, incident.Confirmation{}, row.key)
		if refusal := refusedAs(t, err, row.code); !strings.Contains(refusal.Message, row.says) {
			t.Errorf("%s: got %q, want it to say %q", name, refusal.Message, row.says)
		}
	}
	for _, change := range []string{
		`UPDATE status_pages SET published = false`,
		`UPDATE status_pages SET published = true; DELETE FROM status_page_components`,
	} {
		w.exec(change)
		_, err := w.post(n, "x", yes(), "k")
		refusedAs(t, err, "no_public_surface")
	}
	for _, table := range []string{"incident_updates", "update_drafts", "idempotency_keys", "spent_confirmations", "incidents WHERE public_at IS NOT NULL"} {
		if n := w.count(table); n != 0 {
			t.Errorf("%s after refusals: got %d rows, want none", table, n)
		}
	}
}

func TestTheFirstPublicUpdateMakesTheIncidentPublic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	publicAt := func() *time.Time {
		t.Helper()
		var at *time.Time
		if err := w.store.Pool().QueryRow(t.Context(), `SELECT public_at FROM incidents WHERE org_id = 'acme' AND sequential_id = $1`, n).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	w.now = noon.Add(time.Minute)
	if _, err := w.PostUpdate(t.Context(), ann, incident.Post{SequentialID: n, Body: "x", Visibility: "internal"}, incident.Confirmation{}, ""); err != nil {
		t.Fatal(err)
	}
	if at := publicAt(); at != nil {
		t.Errorf("after an internal update: public at %v", at)
	}
	first := noon.Add(2 * time.Minute)
	for _, w.now = range []time.Time{first, noon.Add(3 * time.Minute)} {
		if _, err := w.post(n, "x", incident.Confirmation{}, ""); err != nil {
			t.Fatal(err)
		}
		if at := publicAt(); at == nil || !at.Equal(first) {
			t.Errorf("public at %v, want %v", at, first)
		}
	}
}

// TestWhoMayPublishMakesPublicIncidentsWhereTheRuleAllows, and nobody else.
func TestWhoMayPublishMakesPublicIncidentsWhereTheRuleAllows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, rule := range []store.PublicUpdates{"", store.PublicUpdatesConfirmWhenPossible, store.PublicUpdatesConfirmAlways, store.PublicUpdatesNever, store.PublicUpdatesAllow} {
		if rule != "" {
			w.rule(rule)
		}
		for _, a := range []incident.Actor{ann, publisher} {
			created, err := w.Create(t.Context(), a, incident.Create{Title: "t", Severity: "low"}, "")
			if err != nil {
				t.Fatal(err)
			}
			var public bool
			if err := w.store.Pool().QueryRow(t.Context(), `SELECT public_at = created_at FROM incidents WHERE id = $1 AND public_at IS NOT NULL
				UNION ALL SELECT false LIMIT 1`, created.Incident.ID).Scan(&public); err != nil {
				t.Fatal(err)
			}
			if want := a.MayPublish && rule == store.PublicUpdatesAllow; public != want {
				t.Errorf("rule %q, may publish %v: public %v, want %v", rule, a.MayPublish, public, want)
			}
		}
	}
}

// TestTheTimelineDoesNotGoBack: not when a replica's clock does.
func TestTheTimelineDoesNotGoBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	w.now = noon.Add(-time.Hour)
	posted, err := w.post(n, "x", incident.Confirmation{}, "")
	if err != nil || !posted.Update.PostedAt.Equal(noon) {
		t.Fatalf("posted an hour before the incident: got %+v %v, want it at %v", posted, err, noon)
	}
	var late int
	if err := w.store.Pool().QueryRow(t.Context(), `
		SELECT count(*) FROM incidents i JOIN incident_events e ON e.incident_id = i.id JOIN incident_updates u ON u.id = e.update_id
		WHERE e.at = i.updated_at AND u.posted_at = e.at AND i.public_at = e.at`).Scan(&late); err != nil || late != 1 {
		t.Errorf("event, update and incident do not agree on when it was: %d %v", late, err)
	}
}

func TestEightParallelPostsWithOneKeyPostOnce(t *testing.T) {
	t.Parallel()
	for _, rule := range []store.PublicUpdates{store.PublicUpdatesAllow, store.PublicUpdatesConfirmAlways} {
		t.Run(string(rule), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			n := w.shown()
			w.rule(rule)
			answers := make([]*incident.Posted, 8)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() {
					var err error
					if answers[i], err = w.post(n, "We are on it.", incident.Confirmation{}, "key"); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			originals := 0
			for i, a := range answers {
				if a == nil {
					continue
				}
				if !a.Replayed {
					originals++
				}
				a.Replayed = false
				if diff := cmp.Diff(answers[0], a); diff != "" {
					t.Errorf("answer %d differs from the first (-first +got):\n%s", i, diff)
				}
			}
			if originals != 1 {
				t.Errorf("answers that are not replays: got %d, want 1", originals)
			}
			if n := w.count("incident_updates") + w.count("update_drafts"); n != 1 {
				t.Errorf("updates and drafts: got %d, want 1", n)
			}
			if n := w.count("audit_events WHERE action = 'post_incident_update'"); n != 1 {
				t.Errorf("calls recorded as effects: got %d, want 1", n)
			}
		})
	}
}

// TestAReplayOfAPostIsNotAskedAgain, because it asks for nothing. The rule still
// holds for it.
func TestAReplayOfAPostIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	if _, err := w.post(n, "x", incident.Confirmation{Possible: true}, "key"); !isQuestion(err) {
		t.Fatalf("got %v, want a question", err)
	}
	if keys := w.count("idempotency_keys"); keys != 0 {
		t.Errorf("the question used %d keys", keys)
	}
	first, err := w.post(n, "x", yes(), "key")
	if err != nil || first.Replayed {
		t.Fatalf("after a yes: %+v, %v", first, err)
	}
	w.exec(`UPDATE incidents SET status = 'resolved', resolved_at = updated_at`)
	again, err := w.post(n, "x", incident.Confirmation{Possible: true}, "key")
	if err != nil || !again.Replayed {
		t.Fatalf("the same call: %+v, %v", again, err)
	}
	again.Replayed = false
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("replay (-first +got):\n%s", diff)
	}
	_, err = w.post(n, "y", yes(), "key")
	refusedAs(t, err, "idempotency_key_reused")
	w.rule(store.PublicUpdatesNever)
	_, err = w.post(n, "x", incident.Confirmation{}, "key")
	refusedAs(t, err, "public_updates_not_allowed")
}

func isQuestion(err error) bool {
	_, ok := errors.AsType[*incident.ConfirmationRequired](err)
	return ok
}

// TestAYesCountsOnce of any number of calls at once, and not after a no.
func TestAYesCountsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	asked := yes()
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.post(n, "x", asked, "") })
	}
	wg.Wait()
	posted := 0
	for _, err := range errs {
		if err == nil {
			posted++
		} else {
			refusedAs(t, err, "confirmation_used")
		}
	}
	if posted != 1 || w.count("incident_updates") != 1 {
		t.Errorf("posted %d times by one yes", posted)
	}

	asked = yes()
	refusedAs(t, w.DeclineUpdate(t.Context(), publisher, asked), "not_confirmed")
	_, err := w.post(n, "x", asked, "")
	refusedAs(t, err, "confirmation_used")
	refusedAs(t, w.DeclineUpdate(t.Context(), publisher, asked), "not_confirmed")

	if err := w.store.DeleteExpiredConfirmations(t.Context(), noon.Add(30*time.Minute)); err != nil || w.count("spent_confirmations") != 2 {
		t.Errorf("swept while a slow clock may still take them: %v", err)
	}
	if err := w.store.DeleteExpiredConfirmations(t.Context(), noon.Add(2*time.Hour)); err != nil || w.count("spent_confirmations") != 0 {
		t.Errorf("not swept: %v", err)
	}
}

// TestARuleThatChangesWhileThePersonReadsHolds.
func TestARuleThatChangesWhileThePersonReadsHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	if _, err := w.post(n, "x", incident.Confirmation{Possible: true}, ""); !isQuestion(err) {
		t.Fatalf("got %v, want a question", err)
	}
	answer := yes()
	w.rule(store.PublicUpdatesNever)
	_, err := w.post(n, "x", answer, "")
	refusedAs(t, err, "public_updates_not_allowed")
	w.rule(store.PublicUpdatesConfirmAlways)
	if posted, err := w.post(n, "x", answer, ""); err != nil || posted.Update == nil {
		t.Errorf("a yes, and the rule asks for one: %+v %v", posted, err)
	}
}

func TestEffectsOfUpdatesAreRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	w.exec(`DELETE FROM audit_events`)
	w.rule(store.PublicUpdatesConfirmAlways)
	for _, body := range []string{"one", "two"} {
		for range 2 {
			posted, err := w.post(n, body, incident.Confirmation{}, "")
			if err != nil {
				t.Fatal(err)
			}
			decide := w.PublishDraft
			if body == "two" {
				decide = w.DiscardDraft
			}
			if posted.Draft == nil {
				continue
			}
			for range 2 {
				if err := decide(t.Context(), "acme", "ann", posted.Draft.ID, "request"); err != nil {
					t.Fatal(err)
				}
			}
			if body == "two" {
				break
			}
		}
	}
	rows, err := w.store.Pool().Query(t.Context(), `SELECT action || ' ' || outcome || ' ' || incident || ' ' || COALESCE(request_id, '') FROM audit_events ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"post_incident_update ok 1 ", "publish_draft ok 1 request", "post_incident_update ok 1 ", "discard_draft ok 1 request"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadOnlyHoldsForEveryMutationAndItsReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	first, err := w.post(n, "x", yes(), "key")
	if err != nil {
		t.Fatal(err)
	}
	w.exec(`INSERT INTO org_policies (org_id, read_only, public_updates, updated_at) VALUES ('acme', true, 'allow', now())`)
	for _, key := range []string{"key", "another", ""} {
		_, err = w.post(n, "x", yes(), key)
		refusedAs(t, err, "read_only_organization")
	}
	w.exec(`UPDATE org_policies SET read_only = false`)
	again, err := w.post(n, "x", yes(), "key")
	if err != nil || again.Update.ID != first.Update.ID {
		t.Errorf("afterwards: %+v, %v, want the first answer again", again, err)
	}
}
