package incident_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"scaling.cloud/mcp/resource/incident"
)

func numbers(p *incident.Page) []int {
	var ns []int
	for _, i := range p.Incidents {
		ns = append(ns, i.SequentialID)
	}
	return ns
}

func TestPagesNeitherSkipNorRepeatWhileIncidentsAreCreated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const before = 47
	for range before {
		w.create(incident.Create{})
	}
	stop := make(chan struct{})
	var creators sync.WaitGroup
	for range 3 {
		creators.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := w.Create(t.Context(), ann, incident.Create{Title: "t", Severity: "low"}, ""); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for limit := 1; limit <= 20; limit += 3 {
		var seen []int
		q := incident.ListQuery{Limit: &limit}
		for {
			page, err := w.List(t.Context(), "acme", q)
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, numbers(page)...)
			if q.Cursor = page.NextCursor; q.Cursor == "" {
				break
			}
		}
		newest := seen[0]
		if newest < before {
			t.Fatalf("limit %d: the newest is number %d, want at least %d", limit, newest, before)
		}
		for n, got := range seen {
			if got != newest-n {
				t.Fatalf("limit %d: number %d at place %d, want %d: %v", limit, got, n, newest-n, seen)
			}
		}
		if last := seen[len(seen)-1]; last != 1 {
			t.Fatalf("limit %d: the oldest is number %d, want 1", limit, last)
		}
	}
	close(stop)
	creators.Wait()
}

func TestListSelectsByStatusSeverityAndDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for day, severity := range []string{"low", "high", "low"} {
		w.now = noon.AddDate(0, 0, day)
		w.create(incident.Create{Severity: severity, Description: "d"})
	}
	for name, row := range map[string]struct {
		q    incident.ListQuery
		want []int
	}{
		"everything":             {incident.ListQuery{}, []int{3, 2, 1}},
		"severity":               {incident.ListQuery{Severity: "low"}, []int{3, 1}},
		"status":                 {incident.ListQuery{Status: "resolved"}, nil},
		"from a date":            {incident.ListQuery{From: "2026-03-03"}, []int{3, 2}},
		"to a date, included":    {incident.ListQuery{To: "2026-03-03"}, []int{2, 1}},
		"one day":                {incident.ListQuery{From: "2026-03-03", To: "2026-03-03"}, []int{2}},
		"from an instant":        {incident.ListQuery{From: "2026-03-03T13:00:00+01:00"}, []int{3, 2}},
		"to an instant":          {incident.ListQuery{To: "2026-03-03T12:00:00.000Z"}, []int{2, 1}},
		"to just before":         {incident.ListQuery{To: "2026-03-03T11:59:59.999999Z"}, []int{1}},
		"from and to one moment": {incident.ListQuery{From: "2026-03-03T12:00:00Z", To: "2026-03-03T12:00:00Z"}, []int{2}},
	} {
		page, err := w.List(t.Context(), "acme", row.q)
		if err != nil || !slices.Equal(numbers(page), row.want) {
			t.Errorf("%s: got %v %v, want %v", name, numbers(page), err, row.want)
		}
		if page.NextCursor != "" {
			t.Errorf("%s: the last page has a cursor", name)
		}
	}
}

func TestListRefusesWhatItCannotMean(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for range 3 {
		w.create(incident.Create{})
	}
	one := 1
	first, err := w.List(t.Context(), "acme", incident.ListQuery{Limit: &one, Severity: "high"})
	if err != nil {
		t.Fatal(err)
	}
	cursor := first.NextCursor
	edited := []byte(cursor)
	edited[12] ^= 'A' ^ 'B'
	for name, row := range map[string]struct {
		org  string
		q    incident.ListQuery
		says []string
	}{
		"everything wrong":      {"acme", incident.ListQuery{Status: "open", Severity: "P1", From: "yesterday", To: "2026-02-30", Limit: new(101), Cursor: "?"}, []string{"status", "severity", "from must", "to must", "limit", "cursor"}},
		"limit 0":               {"acme", incident.ListQuery{Limit: new(0)}, []string{"between 1 and 100, got 0"}},
		"from after to":         {"acme", incident.ListQuery{From: "2026-03-04", To: "2026-03-03"}, []string{"from must not be later than to"}},
		"cursor cut":            {"acme", incident.ListQuery{Severity: "high", Cursor: cursor[:len(cursor)-1]}, []string{"cursor"}},
		"cursor edited":         {"acme", incident.ListQuery{Severity: "high", Cursor: string(edited)}, []string{"cursor"}},
		"cursor too long":       {"acme", incident.ListQuery{Severity: "high", Cursor: cursor + "AAAA"}, []string{"cursor"}},
		"cursor of no query":    {"acme", incident.ListQuery{Cursor: base64.RawURLEncoding.EncodeToString(make([]byte, 25))}, []string{"cursor"}},
		"cursor of other query": {"acme", incident.ListQuery{Severity: "low", Cursor: cursor}, []string{"cursor"}},
		"cursor of another org": {"globex", incident.ListQuery{Severity: "high", Cursor: cursor}, []string{"cursor"}},
	} {
		_, err := w.List(t.Context(), row.org, row.q)
		refusal := refusedAs(t, err, "invalid_arguments")
		for _, part := range row.says {
			if !strings.Contains(refusal.Message, part) {
				t.Errorf("%s: got %q, want it to say %q", name, refusal.Message, part)
			}
		}
	}
	ten := 10
	rest, err := w.List(t.Context(), "acme", incident.ListQuery{Limit: &ten, Severity: "high", Cursor: cursor})
	if err != nil || !slices.Equal(numbers(rest), []int{2, 1}) {
		t.Errorf("the cursor with another limit: got %v %v, want the rest", rest, err)
	}
}

func TestGetRefusesNumbersThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.create(incident.Create{})
	for _, row := range []struct {
		org    string
		number int
		code   string
	}{
		{"acme", 0, "invalid_arguments"}, {"acme", -1, "invalid_arguments"},
		{"acme", 2, "not_found"}, {"acme", 1 << 62, "not_found"}, {"globex", 1, "not_found"},
	} {
		t.Run(fmt.Sprint(row.org, row.number), func(t *testing.T) {
			_, err := w.Get(t.Context(), row.org, row.number)
			refusedAs(t, err, row.code)
		})
	}
}
