package resource_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the server's part of testdata/*.txtar")

// TestConversations replays testdata/*.txtar over HTTP. A file says what it is
// about, then has three parts: the connection ("scopes" and "version", the
// latter empty for a client that sends no version header), the messages that
// the client posts one by one, and what the server answers, written by -update
// and read by a reviewer. Ids that are made up at run time are numbered; a
// message of the client may use such a number for the id. What the seed lacks is
// in a part of SQL.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			replay(t, file)
		})
	}
}

func replay(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse(data)
	parts := map[string]string{}
	for _, part := range archive.Files {
		parts[part.Name] = string(part.Data)
	}
	scopes, version := connection(t, parts["connection"])
	st := newStore(t)
	if _, err := st.Pool().Exec(t.Context(), parts["sql"]); err != nil {
		t.Fatalf("-- sql --: %v", err)
	}
	f := newFixture(t, st, nil)
	header := f.bearer(t, scopes...)
	schemas := outputSchemas(t, f)

	var got strings.Builder
	names := newNumbering()
	messages := json.NewDecoder(strings.NewReader(parts["client"]))
	for {
		var message json.RawMessage
		if err := messages.Decode(&message); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("-- client --: %v", err)
		}
		message = json.RawMessage(names.restore(string(message)))
		a := f.do(t, "POST", "/mcp", transportHeader(t, header, version, message), string(message))
		fitsSchema(t, schemas, message, a)
		fmt.Fprint(&got, names.replace(transcript(t, a)))
	}
	if *update {
		for i := range archive.Files {
			if archive.Files[i].Name == "server" {
				archive.Files[i].Data = []byte(got.String())
			}
		}
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(parts["server"], got.String()); diff != "" {
		t.Errorf("the server answers differently (-file +got):\n%s", diff)
	}
}

func connection(t *testing.T, part string) (scopes []string, version string) {
	for line := range strings.Lines(part) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
		case "scopes":
			scopes = strings.Fields(value)
		case "version":
			version = strings.TrimSpace(value)
		default:
			t.Fatalf("-- connection --: unknown line %q", line)
		}
	}
	return scopes, version
}

// transportHeader adds what the transport of version demands for message.
func transportHeader(t *testing.T, header http.Header, version string, message json.RawMessage) http.Header {
	if version == "" {
		return header
	}
	header = with(header, "Mcp-Protocol-Version", version)
	var m struct {
		Method string `json:"method"`
		Params struct {
			Name string `json:"name"`
			URI  string `json:"uri"`
		} `json:"params"`
	}
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	if version >= "2026-07-28" {
		header.Set("Mcp-Method", m.Method)
		if name := m.Params.Name + m.Params.URI; name != "" { // a message has one of them
			header.Set("Mcp-Name", name)
		}
	}
	return header
}

// transcript writes an answer down: the status where it is not 200, the
// challenge, and the body, indented.
func transcript(t *testing.T, a answer) string {
	var b strings.Builder
	if a.StatusCode != http.StatusOK {
		fmt.Fprintf(&b, "HTTP %s\n", a.Status)
		for _, challenge := range a.Header.Values("WWW-Authenticate") {
			fmt.Fprintf(&b, "WWW-Authenticate: %s\n", challenge)
		}
	}
	if a.body == "" {
		return b.String()
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.UseNumber()
	var body any
	if err := d.Decode(&body); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// numbering replaces ids that differ from run to run by the order in which they
// were first seen. Those of the seed are the same in every run, and stay.
type numbering struct {
	ids, numbers map[string]string // each the other's reverse
}

func newNumbering() *numbering { return &numbering{map[string]string{}, map[string]string{}} }

// madeUp are the marker of a fence, an id, and a sealed state.
var madeUp = regexp.MustCompile(`data-[a-z2-7]{16}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[A-Za-z0-9_-]{70}`)

func (n *numbering) replace(s string) string {
	return madeUp.ReplaceAllStringFunc(s, func(id string) string {
		if strings.HasPrefix(id, "01940000-") {
			return id
		}
		if n.ids[id] == "" {
			kind := "id"
			switch {
			case strings.HasPrefix(id, "data-"):
				kind = "data"
			case len(id) == 70:
				kind = "state"
			}
			n.ids[id] = fmt.Sprintf("%s-%d", kind, len(n.ids)+1)
			n.numbers[n.ids[id]] = id
		}
		return n.ids[id]
	})
}

var numbered = regexp.MustCompile(`"(?:id|state)-[0-9]+"`)

// restore puts ids back in the place of their numbers.
func (n *numbering) restore(s string) string {
	return numbered.ReplaceAllStringFunc(s, func(quoted string) string {
		if id, ok := n.numbers[strings.Trim(quoted, `"`)]; ok {
			return `"` + id + `"`
		}
		return quoted
	})
}

// outputSchemas returns the output schema of every tool, as clients see it.
func outputSchemas(t testing.TB, f *fixture) map[string]*jsonschema.Resolved {
	a := f.do(t, "POST", "/mcp", f.bearer(t, everything...), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	var list struct {
		Result struct {
			Tools []struct {
				Name         string
				OutputSchema *jsonschema.Schema
			}
		}
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatal(err)
	}
	schemas := map[string]*jsonschema.Resolved{}
	for _, tool := range list.Result.Tools {
		resolved, err := tool.OutputSchema.Resolve(nil)
		if err != nil {
			t.Fatalf("output schema of %s: %v", tool.Name, err)
		}
		schemas[tool.Name] = resolved
	}
	return schemas
}

// fitsSchema fails if an answer to a tool call has structured content that the
// tool's own output schema refuses, or none where there must be some.
func fitsSchema(t testing.TB, schemas map[string]*jsonschema.Resolved, message json.RawMessage, a answer) {
	t.Helper()
	var call struct {
		Method string
		Params struct{ Name string }
	}
	var got struct {
		Result *struct {
			IsError           bool
			ResultType        string
			StructuredContent json.RawMessage
			Content           []struct{ Text string }
		}
	}
	if json.Unmarshal(message, &call) != nil || call.Method != "tools/call" || json.Unmarshal([]byte(a.body), &got) != nil || got.Result == nil {
		return
	}
	if got.Result.IsError || got.Result.ResultType == "input_required" {
		if got.Result.StructuredContent != nil {
			t.Errorf("%s: an error or a question has structured content: %s", call.Params.Name, got.Result.StructuredContent)
		}
		return
	}
	var content any
	d := json.NewDecoder(bytes.NewReader(got.Result.StructuredContent))
	if err := d.Decode(&content); err != nil {
		t.Errorf("%s: structured content: %v", call.Params.Name, err)
		return
	}
	if err := schemas[call.Params.Name].Validate(content); err != nil {
		t.Errorf("%s: structured content does not fit the output schema: %v\n%s", call.Params.Name, err, got.Result.StructuredContent)
	}
	if len(got.Result.Content) != 1 || len(got.Result.Content[0].Text) > 24<<10 {
		t.Errorf("%s: want one text of at most 24 KiB, got %d bytes", call.Params.Name, len(a.body))
	}
}
