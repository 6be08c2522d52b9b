package incident_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// drafted posts a public update that becomes a draft, and returns its id.
func (w *world) drafted(sequentialID int, body, key string) uuid.UUID {
	w.Helper()
	posted, err := w.post(sequentialID, body, incident.Confirmation{}, key)
	if err != nil || posted.Draft == nil || posted.Update != nil {
		w.Fatalf("got %+v %v, want a draft", posted, err)
	}
	return posted.Draft.ID
}

func (w *world) publish(id uuid.UUID) {
	w.Helper()
	if err := w.PublishDraft(w.Context(), "acme", "ann", id, ""); err != nil {
		w.Fatal(err)
	}
}

func (w *world) discard(id uuid.UUID) {
	w.Helper()
	if err := w.DiscardDraft(w.Context(), "acme", "ann", id, ""); err != nil {
		w.Fatal(err)
	}
}

// TestOneTextIsOneDraft, which tells whoever repeats the call what became of it.
func TestOneTextIsOneDraft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	w.rule(store.PublicUpdatesConfirmAlways)

	first := w.drafted(n, "one", "key")
	for _, key := range []string{"", "key", "another"} {
		if again := w.drafted(n, "one", key); again != first {
			t.Errorf("key %q: got another draft", key)
		}
	}
	if other := w.drafted(n, "one ", ""); other == first {
		t.Error("another text got the same draft")
	}
	if _, err := w.PostUpdate(t.Context(), incident.Actor{UserID: "bea", OrgID: "acme", ClientName: "Claude", MayPublish: true},
		incident.Post{SequentialID: n, Body: "one", Visibility: "public"}, incident.Confirmation{}, ""); err != nil || w.count("update_drafts") != 3 {
		t.Errorf("another person's is not a draft of their own: %v", err)
	}
	if w.count("incident_updates") != 0 {
		t.Fatal("a draft was published")
	}

	w.now = noon.Add(time.Hour)
	w.publish(first)
	for _, key := range []string{"", "key"} {
		posted, err := w.post(n, "one", incident.Confirmation{}, key)
		if err != nil || posted.Update == nil || !posted.Replayed || posted.StatusPageURL == "" {
			t.Fatalf("published, key %q: got %+v %v", key, posted, err)
		}
		if u := posted.Update; !u.PostedAt.Equal(w.now) || u.PostedBy.Person != person("ann") || *u.PostedBy.Via != "Claude" || u.Visibility != store.VisibilityPublic {
			t.Errorf("published, key %q: got %+v", key, u)
		}
	}
	// Nor is it published twice by a rule that changed.
	w.rule(store.PublicUpdatesAllow)
	if posted, err := w.post(n, "one", incident.Confirmation{}, ""); err != nil || !posted.Replayed {
		t.Errorf("published, and the rule changed: got %+v %v", posted, err)
	}
	if n := w.count("incident_updates"); n != 1 {
		t.Errorf("it was published %d times", n)
	}
}

func TestADiscardedTextIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	w.rule(store.PublicUpdatesConfirmAlways)
	id := w.drafted(n, "one", "key")
	w.discard(id)
	w.publish(id) // too late
	for _, key := range []string{"", "key"} {
		_, err := w.post(n, "one", incident.Confirmation{}, key)
		refusedAs(t, err, "draft_discarded")
	}
	if w.count("incident_updates") != 0 {
		t.Error("it was published")
	}

	w.now = noon.Add(24 * time.Hour)
	if again := w.drafted(n, "one", "key"); again == id {
		t.Error("a day later it is the same draft")
	}
}

func TestADraftExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	w.rule(store.PublicUpdatesConfirmAlways)
	id := w.drafted(n, "one", "")
	w.now = noon.Add(23 * time.Hour)
	if again := w.drafted(n, "one", "key"); again != id {
		t.Error("within a day it is another draft")
	}
	w.now = noon.Add(24 * time.Hour)
	w.publish(id)
	if w.count("incident_updates") != 0 {
		t.Error("an expired draft was published")
	}
	_, err := w.post(n, "one", incident.Confirmation{}, "key")
	refusedAs(t, err, "draft_expired")
	if again := w.drafted(n, "one", ""); again == id {
		t.Error("an expired draft waits again")
	}
	if err := w.store.DeleteExpiredConfirmations(t.Context(), noon.Add(10*24*time.Hour)); err != nil || w.count("update_drafts") != 0 {
		t.Errorf("not swept: %v", err)
	}
}

// TestATextThatIsConfirmedElsewhereIsNoDraftAnyMore: the person would publish it
// a second time.
func TestATextThatIsConfirmedElsewhereIsNoDraftAnyMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	w.rule(store.PublicUpdatesConfirmAlways)
	id := w.drafted(n, "one", "")
	if posted, err := w.post(n, "one", yes(), ""); err != nil || posted.Update == nil || posted.Replayed {
		t.Fatalf("with a yes: got %+v %v", posted, err)
	}
	w.publish(id)
	w.discard(id)
	d, err := w.Draft(t.Context(), []string{"acme"}, "ann", id)
	if err != nil || d.State(noon) != store.DraftPublished || w.count("incident_updates") != 1 {
		t.Errorf("draft: got %+v %v, with %d updates", d, err, w.count("incident_updates"))
	}
}

// TestADraftIsDecidedOnce by any number of clicks at once, next to calls that
// repeat its text.
func TestADraftIsDecidedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	w.rule(store.PublicUpdatesConfirmAlways)
	for range 5 {
		body := uuid.NewString()
		before := w.count("incident_updates")
		id := w.drafted(n, body, "")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := w.PublishDraft(t.Context(), "acme", "ann", id, ""); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if err := w.DiscardDraft(t.Context(), "acme", "ann", id, ""); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				_, err := w.post(n, body, incident.Confirmation{}, "")
				if refusal, ok := errors.AsType[*incident.Error](err); err != nil && (!ok || refusal.Code != "draft_discarded") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		d, err := w.Draft(t.Context(), []string{"acme"}, "ann", id)
		if err != nil {
			t.Fatal(err)
		}
		added := w.count("incident_updates") - before
		if (d.State(noon) == store.DraftPublished) != (added == 1) || added > 1 || d.State(noon) == store.DraftWaiting {
			t.Errorf("it is %s, with %d updates", d.State(noon), added)
		}
	}
}

// TestOnlyTheAuthorDecidesInTheirOrganization: an id is no permission.
func TestOnlyTheAuthorDecidesInTheirOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	w.rule(store.PublicUpdatesConfirmAlways)
	id := w.drafted(n, "one", "")
	for _, who := range []struct{ org, user string }{{"acme", "bea"}, {"globex", "ann"}, {"globex", "gus"}} {
		if err := w.PublishDraft(t.Context(), who.org, who.user, id, ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v publishes: %v", who, err)
		}
		if err := w.DiscardDraft(t.Context(), who.org, who.user, id, ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v discards: %v", who, err)
		}
		if _, err := w.Draft(t.Context(), []string{who.org}, who.user, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v reads: %v", who, err)
		}
	}
	if again := w.drafted(n, "one", ""); again != id {
		t.Error("somebody else decided on it")
	}
}

// TestADraftThatCannotBePublishedStaysWhatItIs.
func TestADraftThatCannotBePublishedStaysWhatItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	n := w.shown()
	w.rule(store.PublicUpdatesConfirmAlways)
	id := w.drafted(n, "one", "")
	for _, step := range []struct{ obstacle, mend string }{
		{`UPDATE org_policies SET public_updates = 'never'`, `UPDATE org_policies SET public_updates = 'confirm_always'`},
		{`UPDATE status_pages SET published = false`, `UPDATE status_pages SET published = true`},
	} {
		w.exec(step.obstacle)
		w.publish(id)
		if w.count("incident_updates") != 0 {
			t.Errorf("published in spite of %s", step.obstacle)
		}
		w.exec(step.mend)
	}
	w.publish(id)
	if w.count("incident_updates") != 1 {
		t.Error("it cannot be published after nothing is in the way any more")
	}
	other := w.drafted(n, "two", "")
	w.exec(`UPDATE incidents SET status = 'resolved', resolved_at = updated_at`)
	w.publish(other)
	if w.count("incident_updates") != 1 {
		t.Error("published on a resolved incident")
	}
	_, err := w.post(n, "two", incident.Confirmation{}, "")
	refusedAs(t, err, "incident_resolved")
}
