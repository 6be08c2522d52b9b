package web

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"scaling.cloud/mcp/store"
)

// FuzzExport: whatever people and clients call themselves, an export of activity
// has one row for each call, in which each of them is one cell, word for word, and
// no spreadsheet takes a cell for a formula.
func FuzzExport(f *testing.F) {
	for _, name := range []string{
		"", "Alice", "=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r\n=1", "＝1", " =1", "\u00a0=1", "\ufeff=1", "'=1", `"=1"`, `",=1`, ";=1", "a\r\nb,=c", "a\x00b", "\xff=1",
		"=HYPERLINK(\"https://evil.example\",\"x\")", "\u200b@x", "\x1b=1",
	} {
		f.Add(name, "x@example.com", "Claude", "create_incident")
		f.Add("Alice", name, name, name)
	}
	f.Fuzz(func(t *testing.T, person, email, client, tool string) {
		for _, text := range []string{person, email, client, tool} {
			if !utf8.ValidString(text) {
				return // Postgres has none
			}
		}
		call := &store.Activity{
			At: time.Unix(1, 0), UserID: "user_1", UserName: person, UserEmail: email, ClientName: &client, Action: tool, Outcome: client,
			OrgName: person, RequestID: &tool, Duration: time.Millisecond,
		}
		var b bytes.Buffer
		table := &csvEncoder{Writer: csv.NewWriter(&b)}
		if err := table.calls([]*store.Activity{call, call}); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(bytes.NewReader(b.Bytes())).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%d rows, %v: %q", len(rows), err, b.Bytes())
		}
		for _, row := range rows {
			for column, want := range map[int]string{1: person, 2: email, 3: client, 5: tool, 7: client, 9: tool, 10: person} {
				checkCell(t, row[column], want)
			}
		}
		b.Reset()
		if err := (jsonEncoder{json.NewEncoder(&b)}).calls([]*store.Activity{call, call}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 2 {
			t.Fatalf("%d lines: %q", len(lines), b.String())
		}
		var got exportedCall
		if err := json.Unmarshal([]byte(lines[1]), &got); err != nil || got.Person != person || got.Email != email || *got.Client != client || got.Tool != tool {
			t.Errorf("%q, %q, %q, %q became %s, %v", person, email, client, tool, lines[1], err)
		}
	})
}

// checkCell fails where a cell is not what was meant, or is a formula once what a
// spreadsheet or a reader does not see in front of it is gone.
func checkCell(t *testing.T, cell, want string) {
	t.Helper()
	// encoding/csv reads every line break as \n.
	want = strings.ReplaceAll(want, "\r\n", "\n")
	if cell != want && cell != "'"+want {
		t.Errorf("%q became %q", want, cell)
	}
	shown := strings.TrimLeftFunc(cell, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) })
	if first, _ := utf8.DecodeRuneInString(shown); strings.ContainsRune("=+-@＝＋－＠", first) {
		t.Errorf("%q is a formula: %q", want, cell)
	}
}
