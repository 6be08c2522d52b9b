package resource_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// FuzzCursor: whatever a client sends as a cursor, even one with a digest that is
// right (which anybody can compute: it is no secret), a list answers with what its
// own organization has, or that the cursor is none of its own. It is never our
// fault.
func FuzzCursor(f *testing.F) {
	st := newStore(f)
	s := newFixture(f, st, nil)
	header := s.bearer(f, everything...)
	for _, call := range []string{
		`"create_incident","arguments":{"title":"One","severity":"low"}`, `"create_incident","arguments":{"title":"Two","severity":"low"}`,
	} {
		if w := s.record(header, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":`+call+`}}`); w.Code != 200 {
			f.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	var foreign []string
	rows, err := st.Pool().Query(f.Context(), `SELECT name FROM schedules WHERE org_id <> 'org_acme'`)
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			f.Fatal(err)
		}
		foreign = append(foreign, name)
	}
	if len(foreign) == 0 {
		f.Fatal("no other organization has a schedule")
	}

	digest := func(content []byte) string {
		sum := sha256.Sum256(content)
		return string(sum[:8])
	}
	asked := func(about ...any) func([]byte) string {
		return func(position []byte) string {
			text, err := json.Marshal(append(about[:len(about):len(about)], position))
			if err != nil {
				panic(err) // strings, numbers and bytes
			}
			return digest(text)
		}
	}
	lists := []struct {
		tool, arguments string
		digest          func(position []byte) string
	}{
		{"list_incidents", "", asked("org_acme", "", "", "", "")},
		{"get_incident_timeline", `"sequentialId":1,`, asked("timeline", "org_acme", 1)},
		{"list_schedules", "", func(position []byte) string { return digest(append([]byte("org_acme"), position...)) }},
	}
	for n := range lists {
		for _, position := range []string{
			"", "\x01", "\x01\x00\x06\x4f\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "\x01" + strings.Repeat("\xff", 16),
			"\x01\x7f" + strings.Repeat("\xff", 7) + "\x00\x00\x00\x00\x00\x00\x00\x01", "\x01\x80" + strings.Repeat("\x00", 15),
			"\x01\x00\x06\x4f\x00\x00\x00\x00\x00\x00\x0f" + strings.Repeat("\xff", 6), "\x01\x00\x0f" + strings.Repeat("\xff", 6),
			"s" + strings.Repeat("\x00", 16), "s" + strings.Repeat("\xff", 16), "\x02" + strings.Repeat("\x00", 16),
		} {
			f.Add(uint8(n), position, true)
			f.Add(uint8(n), position, false)
		}
		f.Add(uint8(n), "AXNlY3JldA==", false)
	}
	f.Fuzz(func(t *testing.T, which uint8, position string, forged bool) {
		list := lists[int(which)%len(lists)]
		cursor := position
		if forged {
			cursor = base64.RawURLEncoding.EncodeToString([]byte(position + list.digest([]byte(position))))
		}
		quoted, err := json.Marshal(cursor)
		if err != nil {
			t.Fatal(err)
		}
		w := s.record(header, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{%s"cursor":%s}}}`, list.tool, list.arguments, quoted))
		var a struct {
			Result struct {
				IsError           bool
				StructuredContent json.RawMessage
				Meta              struct {
					Error struct{ Code string } `json:"scaling.cloud/error"`
				} `json:"_meta"`
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 {
			t.Fatalf("%s, %q: %d %s", list.tool, cursor, w.Code, w.Body)
		}
		if a.Result.IsError {
			if code := a.Result.Meta.Error.Code; code != "invalid_arguments" {
				t.Errorf("%s, %q: %s", list.tool, cursor, w.Body)
			}
			return
		}
		for _, name := range foreign {
			if strings.Contains(string(a.Result.StructuredContent), name) {
				t.Errorf("%s, %q: shows %s, which is another organization's", list.tool, cursor, name)
			}
		}
	})
}
