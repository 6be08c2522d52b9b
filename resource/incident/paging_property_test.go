package incident_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// TestPostgresPagesAsTheModelDoes: the properties of cursor_test.go, with fewer
// cases and a real database. Each is an organization of its own.
func TestPostgresPagesAsTheModelDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	organizations := 0
	rapid.Check(t, func(t *rapid.T) {
		organizations++
		a := incident.Actor{UserID: fmt.Sprint("user", organizations), OrgID: fmt.Sprint("org", organizations)}
		m := store.Membership{Organization: store.Organization{ID: a.OrgID, Slug: a.OrgID, Name: a.OrgID}, Role: store.RoleMember}
		if _, err := w.store.SavePerson(t.Context(), store.User{ID: a.UserID, Name: "N", Email: "e"}, []store.Membership{m}, noon, ""); err != nil {
			t.Fatal(err)
		}
		var critical []int // the incidents of that severity, oldest first
		var first uuid.UUID
		create := func() {
			severity := rapid.SampledFrom([]string{"critical", "low"}).Draw(t, "severity")
			got, err := w.Create(t.Context(), a, incident.Create{Title: "t", Severity: severity}, "")
			if err != nil {
				t.Fatal(err)
			}
			if severity == "critical" {
				critical = append(critical, got.Incident.SequentialID)
			}
			if first == uuid.Nil {
				first = got.Incident.ID
			}
		}
		for range rapid.IntRange(1, 6).Draw(t, "created before") {
			create()
		}
		posted := 1 // entries of the first incident's timeline: its creation
		post := func() {
			err := pgx.BeginFunc(t.Context(), w.store.Pool(), func(tx pgx.Tx) error {
				_, err := w.store.PostUpdateTx(t.Context(), tx, a.OrgID, first, "u", store.VisibilityInternal, store.Change{UserID: a.UserID, At: noon})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			posted++
		}
		wantList := slices.Clone(critical)
		slices.Reverse(wantList)
		var gotList []int
		gotEntries := map[uuid.UUID]bool{}
		list, timeline := incident.ListQuery{Severity: "critical"}, incident.TimelineQuery{SequentialID: 1}
		for pages := 0; pages == 0 || list.Cursor != "" || timeline.Cursor != ""; pages++ {
			if pages < 4 {
				for range rapid.IntRange(0, 2).Draw(t, "created meanwhile") {
					create()
					post()
				}
			}
			limit := rapid.IntRange(1, 3)
			if pages == 0 || list.Cursor != "" {
				list.Limit = new(limit.Draw(t, "limit"))
				page, err := w.List(t.Context(), a.OrgID, list)
				if err != nil {
					t.Fatal(err)
				}
				if pages == 0 { // what was created until now is on it
					wantList = slices.Clone(critical)
					slices.Reverse(wantList)
				}
				gotList = append(gotList, numbers(page)...)
				list.Cursor = page.NextCursor
			}
			if pages == 0 || timeline.Cursor != "" {
				timeline.Limit = new(limit.Draw(t, "limit"))
				page, err := w.Timeline(t.Context(), a.OrgID, timeline)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range page.Entries {
					if gotEntries[e.ID] {
						t.Fatalf("entry %v is shown twice", e.ID)
					}
					gotEntries[e.ID] = true
				}
				if timeline.Cursor = page.NextCursor; timeline.Cursor == "" && len(gotEntries) != posted {
					t.Fatalf("the timeline showed %d entries of %d", len(gotEntries), posted)
				}
			}
		}
		if !slices.Equal(gotList, wantList) {
			t.Fatalf("got incidents %v, want %v", gotList, wantList)
		}
	})
}

// TestATimelineIsWholeWhileOthersWriteIt: entries of transactions that run at
// once become visible in the order of the cursors, or one would be skipped.
func TestATimelineIsWholeWhileOthersWriteIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	created := w.create(incident.Create{}).Incident
	const writers, each = 4, 40
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range each {
				err := pgx.BeginFunc(t.Context(), w.store.Pool(), func(tx pgx.Tx) error {
					_, err := w.store.PostUpdateTx(t.Context(), tx, "acme", created.ID, "u", store.VisibilityInternal, store.Change{UserID: "ann", At: noon})
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	var seen []uuid.UUID
	q := incident.TimelineQuery{SequentialID: 1, Limit: new(3)}
	for ended := false; ; {
		page, err := w.Timeline(t.Context(), "acme", q)
		if err != nil {
			t.Fatal(err)
		}
		// A page that is not the last is followed; the last is read anew until
		// nobody writes any more.
		if page.NextCursor == "" && !ended {
			select {
			case <-done:
				ended = true
			default:
			}
			continue
		}
		for _, e := range page.Entries {
			seen = append(seen, e.ID)
		}
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			break
		}
	}
	if len(seen) != 1+writers*each {
		t.Fatalf("got %d entries, want %d", len(seen), 1+writers*each)
	}
	slices.SortFunc(seen, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	if len(slices.Compact(seen)) != 1+writers*each {
		t.Error("an entry is shown twice")
	}
}
