package resource_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/store"
)

// hidden is a name of which every character is shown as nine.
var hidden = strings.Repeat("\U000E0061", 90)

// manySchedules adds schedules to Acme, each with three layers of Alice and
// Bob and an override.
func manySchedules(t testing.TB, st *store.Store, n int, name string) {
	t.Helper()
	if _, err := st.Pool().Exec(t.Context(), `
		WITH made AS (
			INSERT INTO schedules (org_id, id, name, timezone, created_by, created_at)
			SELECT 'org_acme', ('01950000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, $2::text || i,
			       (ARRAY['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Pacific/Chatham'])[1 + i % 5], 'user_alice', $3
			FROM generate_series(1, $1) AS i
			RETURNING id
		), layers AS (
			INSERT INTO schedule_layers (org_id, schedule_id, id, position, name, rotation_type, rotation_length_days, handoff_time, effective_from, participant_ids)
			SELECT 'org_acme', id, gen_random_uuid(), p, 'Layer ' || p, 'custom', 1 + p, '09:30', '2024-01-01T09:30:00Z', '{user_alice,user_bob}'
			FROM made, generate_series(0, 2) AS p
		)
		INSERT INTO schedule_overrides (org_id, schedule_id, id, user_id, starts_at, ends_at, created_by, created_at)
		SELECT 'org_acme', id, gen_random_uuid(), 'user_bob', $3::timestamptz - interval '1 hour', $3::timestamptz + interval '1 hour', 'user_alice', $3 FROM made`,
		n, name, now); err != nil {
		t.Fatal(err)
	}
}

// ask calls a tool that must succeed, and returns its structured content and text.
func ask[T any](t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any) (out T, text string) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil || result.IsError {
		t.Fatalf("%s: %v, %v", tool, result, err)
	}
	raw, err := json.Marshal(result.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out, result.Content[0].(*mcp.TextContent).Text
}

// TestAllSchedulesAreCutAtABoundary: an answer that has no room for every
// schedule ends between two, in text and structured content alike, and says how
// to learn about the others.
func TestAllSchedulesAreCutAtABoundary(t *testing.T) {
	st := newStore(t)
	session := newFixture(t, st, nil).connect(t, "/mcp", "2025-11-25", everything...)
	for _, count := range []int{100, 250} {
		manySchedules(t, st, count, "Schedule ")
		type answer struct{ Schedules []struct{ ScheduleID string } }
		got, text := ask[answer](t, session, "who_is_on_call", nil)
		if len(text) > 24<<10 || len(got.Schedules) < 40 {
			t.Errorf("got %d schedules in %d bytes, want at least 40 in at most 24 KiB", len(got.Schedules), len(text))
		}
		if shown := strings.Count(text, "\n01"); shown != len(got.Schedules) {
			t.Errorf("%d schedules in text, %d in structured content", shown, len(got.Schedules))
		}
		for _, words := range []string{"cut", "scheduleId", "list_schedules"} {
			if !strings.Contains(text[strings.LastIndex(text, "</data-"):], words) {
				t.Errorf("the end does not mention %q: %s", words, text[len(text)-300:])
			}
		}
		if _, err := st.Pool().Exec(t.Context(), `DELETE FROM schedules WHERE org_id = 'org_acme' AND id > '01950000-0000-7000-8000-000000000000'`); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheListOfSchedulesNeitherSkipsNorRepeats, although some are renamed and
// others created between two pages, and each page is cut short.
func TestTheListOfSchedulesNeitherSkipsNorRepeats(t *testing.T) {
	st := newStore(t)
	manySchedules(t, st, 60, hidden)
	session := newFixture(t, st, nil).connect(t, "/mcp", "2026-07-28", everything...)
	type answer struct {
		Schedules  []struct{ ID uuid.UUID }
		NextCursor *string
	}
	seen := map[uuid.UUID]int{}
	arguments := map[string]any{"limit": 100}
	for pages := 0; ; pages++ {
		page, text := ask[answer](t, session, "list_schedules", arguments)
		if len(text) > 24<<10 {
			t.Errorf("page %d: text of %d bytes, want at most 24 KiB", pages, len(text))
		}
		if shown := strings.Count(text, "\n01"); shown != len(page.Schedules) {
			t.Errorf("page %d: %d schedules in text, %d in structured content", pages, shown, len(page.Schedules))
		}
		for _, s := range page.Schedules {
			seen[s.ID]++
		}
		if page.NextCursor == nil {
			if pages == 0 {
				t.Error("the list was not cut")
			}
			break
		}
		if !strings.Contains(text, *page.NextCursor) {
			t.Errorf("page %d does not say how to go on", pages)
		}
		arguments["cursor"] = *page.NextCursor
		if _, err := st.Pool().Exec(t.Context(), `UPDATE schedules SET name = md5(id::text || $1) WHERE org_id = 'org_acme'`, fmt.Sprint(pages)); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Pool().Exec(t.Context(), `INSERT INTO schedules (org_id, id, name, timezone, created_by, created_at) VALUES ('org_acme', $1, $2, 'UTC', 'user_alice', $3)`,
			uuid.Must(uuid.NewV7()), fmt.Sprint("new ", pages), now); err != nil {
			t.Fatal(err)
		}
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("schedule %s was listed %d times", id, times)
		}
	}
	for n := 1; n <= 60; n++ {
		if id := uuid.MustParse(fmt.Sprintf("01950000-0000-7000-8000-%012x", n)); seen[id] == 0 {
			t.Errorf("schedule %s was never listed", id)
		}
	}
}

// TestALongResourceSaysWhereItGoesOn, and following that shows everything once.
func TestALongResourceSaysWhereItGoesOn(t *testing.T) {
	st := newStore(t)
	for _, sql := range []string{
		`INSERT INTO components (org_id, id, name, description, created_at)
		 SELECT 'org_acme', gen_random_uuid(), $2::text || i, repeat('x', 3000), $1 FROM generate_series(1, 700) AS i`,
		`INSERT INTO users (id, name, email, email_verified, created_at, synced_at)
		 SELECT 'user_' || i, $2::text, i || '@acme.example', true, $1, $1 FROM generate_series(1, 700) AS i`,
		`INSERT INTO memberships (org_id, user_id, role, synced_at) SELECT 'org_acme', id, 'org:admin', $1 FROM users WHERE name = $2`,
		`INSERT INTO escalation_policies (org_id, id, name, created_by, created_at)
		 SELECT 'org_acme', gen_random_uuid(), $2::text || i, 'user_alice', $1 FROM generate_series(1, 60) AS i`,
		`INSERT INTO escalation_layers (org_id, policy_id, id, position, ack_timeout_minutes, user_ids)
		 SELECT 'org_acme', id, gen_random_uuid(), p, 5, ARRAY['user_1', 'user_2', 'user_3', 'user_4']
		 FROM escalation_policies, generate_series(1, 9) AS p WHERE org_id = 'org_acme' AND created_at = $1 AND name LIKE $2 || '%'`,
	} {
		if _, err := st.Pool().Exec(t.Context(), sql, now, hidden[:200]); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	session := newFixture(t, st, nil).connect(t, "/mcp", "2025-11-25", everything...)
	goesOn := regexp.MustCompile(`There are more: read (\S+)\n`)
	for _, row := range []struct {
		uri  string
		want int
	}{{"scaling://components", 702}, {"scaling://members", 702}, {"scaling://escalation-policies", 61}} {
		seen := map[string]bool{}
		for uri := row.uri; uri != ""; {
			result, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
			if err != nil {
				t.Fatalf("%s: %v", uri, err)
			}
			text := result.Contents[0].Text
			if len(text) > 24<<10 {
				t.Errorf("%s: text of %d bytes, want at most 24 KiB", uri, len(text))
			}
			_, fenced, _ := strings.Cut(text, ">\n")
			fenced, rest, _ := strings.Cut(fenced, "</data-")
			for line := range strings.Lines(fenced) {
				if id, _, _ := strings.Cut(line, " "); id != "" {
					if seen[id] {
						t.Errorf("%s: %s was shown before", uri, id)
					}
					seen[id] = true
				}
			}
			uri = ""
			if next := goesOn.FindStringSubmatch(rest); next != nil {
				uri = next[1]
			}
		}
		if len(seen) != row.want {
			t.Errorf("%s: showed %d items, want %d", row.uri, len(seen), row.want)
		}
	}
}

// TestOnCallIsWhomPagingReaches: whoever is banned or has left is not on call,
// owner, or next, from that moment on.
func TestOnCallIsWhomPagingReaches(t *testing.T) {
	st := newStore(t)
	session := newFixture(t, st, nil).connect(t, "/mcp", "2025-11-25", everything...)
	type answer struct {
		Schedules []struct {
			Owner  *struct{ ID string }
			OnCall []struct{ Person struct{ ID string } }
			Next   *struct{ People []struct{ ID string } }
		}
	}
	arguments := map[string]any{"scheduleId": schedulePrimary.String()}
	if got, _ := ask[answer](t, session, "who_is_on_call", arguments); got.Schedules[0].Owner.ID != "user_alice" || got.Schedules[0].Next.People[0].ID != "user_bob" {
		t.Fatalf("before: got %+v, want Alice, then Bob", got)
	}
	for _, row := range []struct{ change, undo string }{
		{`UPDATE users SET banned = true WHERE id = 'user_alice'`, `UPDATE users SET banned = false WHERE id = 'user_alice'`},
		{`UPDATE users SET deleted_at = now() WHERE id = 'user_alice'`, `UPDATE users SET deleted_at = NULL WHERE id = 'user_alice'`},
		{`DELETE FROM memberships WHERE org_id = 'org_acme' AND user_id = 'user_alice'`, ``},
	} {
		if _, err := st.Pool().Exec(t.Context(), row.change); err != nil {
			t.Fatal(err)
		}
		got, text := ask[answer](t, session, "who_is_on_call", arguments)
		if s := got.Schedules[0]; len(s.OnCall) != 0 || s.Owner != nil || s.Next == nil || s.Next.People[0].ID != "user_bob" {
			t.Errorf("%s: got %+v, want nobody, and Bob next", row.change, s)
		}
		if !strings.Contains(text, "nobody is on call; it is the turn of") {
			t.Errorf("%s: the text does not say whose turn it is: %s", row.change, text)
		}
		created, _ := ask[struct{ Paged []struct{ ID string } }](t, session, "create_incident",
			map[string]any{"title": "x", "severity": "low", "ownerScheduleId": schedulePrimary.String()})
		for _, p := range created.Paged {
			if p.ID == "user_alice" {
				t.Errorf("%s: Alice was paged although she is not on call", row.change)
			}
		}
		if row.undo != "" {
			if _, err := st.Pool().Exec(t.Context(), row.undo); err != nil {
				t.Fatal(err)
			}
		}
	}
}
