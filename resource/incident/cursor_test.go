package incident

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"scaling.cloud/mcp/store"
)

// cases runs a property ten thousand times.
func cases(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	for range 100 { // of rapid's hundred
		rapid.Check(t, property)
	}
}

// rows is the incidents of an organization in the order of their numbers, and
// answers as Postgres does.
type rows []*store.Incident

func (r rows) list(q store.IncidentQuery) []*store.Incident {
	var found []*store.Incident
	for _, i := range slices.Backward(r) {
		p := i.Position()
		if q.Severity != nil && i.Severity != *q.Severity ||
			q.From != nil && i.CreatedAt.Before(*q.From) ||
			q.Before != nil && !i.CreatedAt.Before(*q.Before) ||
			q.After != nil && (p.CreatedAt.After(q.After.CreatedAt) || p.CreatedAt.Equal(q.After.CreatedAt) && p.SequentialID >= q.After.SequentialID) {
			continue
		}
		if found = append(found, i); len(found) == q.Limit {
			break
		}
	}
	return found
}

// grow appends incidents, several of which may be of one instant.
func (r rows) grow(t *rapid.T, most int) rows {
	at := time.Date(2026, 3, 2, 23, 59, 59, 999_998_000, time.UTC)
	if len(r) > 0 {
		at = r[len(r)-1].CreatedAt
	}
	for range rapid.IntRange(0, most).Draw(t, "created") {
		at = at.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 2, 50_000_000_000}).Draw(t, "microseconds later")) * time.Microsecond)
		r = append(r, &store.Incident{SequentialID: len(r) + 1, CreatedAt: at, Severity: rapid.SampledFrom(store.Severities()[:2]).Draw(t, "severity")})
	}
	return r
}

// TestListCursorsNeitherSkipNorRepeat: whoever follows them sees every incident
// that matched when the walk began, once, newest first, and no other, whatever
// the sizes of the pages, wherever one is cut short, and however many incidents
// are created meanwhile.
func TestListCursorsNeitherSkipNorRepeat(t *testing.T) {
	cases(t, func(t *rapid.T) {
		var existing rows
		existing = existing.grow(t, 12)
		q := ListQuery{
			Severity: rapid.SampledFrom([]string{"", "critical"}).Draw(t, "filter"),
			From:     rapid.SampledFrom([]string{"", "2026-03-03"}).Draw(t, "from"),
			To:       rapid.SampledFrom([]string{"", "2026-03-03"}).Draw(t, "to"),
		}
		everything, err := q.selection("acme")
		if err != nil {
			t.Fatal(err)
		}
		everything.Limit = 1000
		var want, got []int
		for _, i := range existing.list(everything) {
			want = append(want, i.SequentialID)
		}
		for pages := 0; pages == 0 || q.Cursor != ""; pages++ {
			q.Limit = new(rapid.IntRange(1, 4).Draw(t, "limit"))
			selection, err := q.selection("acme")
			if err != nil {
				t.Fatal(err)
			}
			selection.Limit++
			page := (&Page{Incidents: existing.list(selection), orgID: "acme", query: q}).First(*q.Limit)
			if n := len(page.Incidents); n > 0 {
				page = page.First(rapid.IntRange(1, n).Draw(t, "cut to"))
			}
			for _, i := range page.Incidents {
				got = append(got, i.SequentialID)
			}
			q.Cursor = page.NextCursor
			existing = existing.grow(t, 3)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got incidents %v, want %v", got, want)
		}
	})
}

// TestTimelineCursorsNeitherSkipNorRepeat: whoever follows them sees every entry
// there was when the last page was read, once and in order.
func TestTimelineCursorsNeitherSkipNorRepeat(t *testing.T) {
	cases(t, func(t *rapid.T) {
		var timeline []*store.TimelineEntry
		seq := int64(0)
		grow := func(least, most int) {
			for range rapid.IntRange(least, most).Draw(t, "added") {
				seq += rapid.Int64Range(1, 1<<40).Draw(t, "gap") // other incidents have entries, too
				timeline = append(timeline, &store.TimelineEntry{Seq: seq})
			}
		}
		grow(1, 12)
		q := TimelineQuery{SequentialID: 7}
		var got []int64
		for pages := 0; pages == 0 || q.Cursor != ""; pages++ {
			if pages < 8 {
				grow(0, 3)
			}
			q.Limit = new(rapid.IntRange(1, 4).Draw(t, "limit"))
			after, limit, err := q.check("acme")
			if err != nil {
				t.Fatal(err)
			}
			rest := slices.DeleteFunc(slices.Clone(timeline), func(e *store.TimelineEntry) bool { return e.Seq <= after })
			page := (&TimelinePage{Entries: rest[:min(len(rest), limit+1)], orgID: "acme", query: q}).First(limit)
			page = page.First(rapid.IntRange(1, len(page.Entries)).Draw(t, "cut to"))
			for _, e := range page.Entries {
				got = append(got, e.Seq)
			}
			q.Cursor = page.NextCursor
		}
		var want []int64
		for _, e := range timeline {
			want = append(want, e.Seq)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got entries %v, want %v", got, want)
		}
	})
}

// TestACursorIsGoodForItsQueryAlone: it gives its position back, and none where
// one bit of it was changed or anything else was asked.
func TestACursorIsGoodForItsQueryAlone(t *testing.T) {
	cases(t, func(t *rapid.T) {
		orgs, texts := rapid.SampledFrom([]string{"acme", "globex", ""}), rapid.SampledFrom([]string{"", "high", "low"})
		queries := rapid.Custom(func(t *rapid.T) ListQuery {
			return ListQuery{Status: texts.Draw(t, "status"), Severity: texts.Draw(t, "severity"), From: texts.Draw(t, "from"), To: texts.Draw(t, "to")}
		})
		org, q := orgs.Draw(t, "org"), queries.Draw(t, "query")
		want := store.IncidentPosition{
			CreatedAt: time.UnixMicro(rapid.Int64Range(0, maxPosition).Draw(t, "created")), SequentialID: rapid.IntRange(1, maxPosition).Draw(t, "number"),
		}
		cursor := q.cursor(org, want)
		q.Cursor = cursor
		if got, ok := q.position(org); !ok || !got.CreatedAt.Equal(want.CreatedAt) || got.SequentialID != want.SequentialID {
			t.Fatalf("got %v %v, want %v", got, ok, want)
		}
		otherOrg, other := orgs.Draw(t, "other org"), queries.Draw(t, "other query")
		other.Cursor = cursor
		if _, ok := other.position(otherOrg); ok != (otherOrg == org && other == q) {
			t.Fatalf("asked %+v of %q: accepted %v", other, otherOrg, ok)
		}
		if _, _, err := (TimelineQuery{SequentialID: 1, Cursor: cursor}).check(org); err == nil {
			t.Fatal("a timeline takes the cursor of a list")
		}
		b, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		q.Cursor = base64.RawURLEncoding.EncodeToString(b)
		if _, ok := q.position(org); ok {
			t.Fatal("a changed cursor is accepted")
		}
	})
}
