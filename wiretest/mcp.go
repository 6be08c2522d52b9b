package wiretest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// results are the kinds of results, by method. Of a method that is not here we
// have none.
var results = map[string]string{
	"initialize":               "initialize",
	"server/discover":          "discover",
	"ping":                     "empty",
	"tools/list":               "tools",
	"tools/call":               "tool-result",
	"resources/list":           "resources",
	"resources/templates/list": "resource-templates",
	"resources/read":           "resource",
	"prompts/list":             "prompts",
	"prompts/get":              "prompt",
	"logging/setLevel":         "empty", // the SDK takes it from anybody; we declare no logging
}

// isMCP reports whether a request is for the MCP endpoint. GET / is besides a page
// for people.
func isMCP(r *http.Request) bool { return r.URL.Path == "/mcp" || r.URL.Path == "/" }

// message is a JSON-RPC request, as much of it as decides what its answer is.
type message struct {
	ID     any
	Method string
	Params struct{ Name string }
}

// messages returns the requests of a body, which may be a batch.
func messages(body []byte) []message {
	var batch []json.RawMessage
	if json.Unmarshal(body, &batch) != nil {
		batch = []json.RawMessage{body}
	}
	var all []message
	for _, text := range batch {
		var m message
		_ = json.Unmarshal(text, &m) // what it could not read of a broken one has no result
		all = append(all, m)
	}
	return all
}

// judgeMCP looks at an answer of the MCP endpoint.
func (x *exchange) judgeMCP() {
	header, status := x.answer.Header(), x.answer.status
	x.judgeStatus()
	switch x.answer.mediaType {
	case document:
	case "text/html", "text/event-stream":
		return
	default:
		if status >= http.StatusBadRequest && x.request.Method != http.MethodHead {
			x.fail("Content-Type is %q, want JSON", header.Get("Content-Type"))
		}
		return
	}
	if x.request.Method == http.MethodHead {
		return
	}
	text := x.answer.body.Bytes()
	if header.Get("WWW-Authenticate") != "" || status == http.StatusServiceUnavailable {
		if header.Get("Cache-Control") != "no-store" {
			x.fail("Cache-Control is %q, want no-store", header.Get("Cache-Control"))
		}
		x.hold("challenge", text)
		return
	}
	doc, err := parse(text)
	if err != nil {
		x.fail("not one JSON text: %v: %.200q", err, text)
		return
	}
	answers, ok := doc.([]any)
	if !ok {
		answers = []any{doc}
	}
	asked := messages(x.asked.Bytes())
	for _, a := range answers {
		x.holdValue("jsonrpc", a)
		if answer, ok := a.(map[string]any); ok && answer["result"] != nil {
			x.judgeResult(asked, answer["id"], answer["result"])
		}
	}
}

// judgeResult looks at a result by the method of the request that it answers.
func (x *exchange) judgeResult(asked []message, id, result any) {
	for _, m := range asked {
		if !sameID(m.ID, id) {
			continue
		}
		kind, ok := results[m.Method]
		switch {
		case x.watcher.other:
		case !ok:
			x.fail("a result of %q, which has no schema", m.Method)
			return
		default:
			x.holdValue(kind, result)
		}
		switch m.Method {
		case "tools/list":
			x.judgeTools(result)
		case "tools/call":
			x.judgeOutput(m.Params.Name, result)
		}
		return
	}
	x.fail("a result with the id %v, which no request has", id)
}

// sameID reports whether the ids of a request and of an answer are one. An answer's
// numbers are still as they were written.
func sameID(asked, answered any) bool {
	text, err := json.Marshal(answered)
	if err != nil {
		return false
	}
	var read any
	return json.Unmarshal(text, &read) == nil && asked == read
}

// judgeTools holds the schemas of tools against the meta-schema, and keeps those of
// their output.
func (x *exchange) judgeTools(result any) {
	for name, schemas := range toolSchemas(result) {
		for member, text := range schemas {
			x.count("schema of a tool")
			schema, err := compileSchema(text)
			if err != nil {
				x.fail("%s of %s: %v", member, name, err)
				continue
			}
			if member == "outputSchema" {
				x.watcher.keep(name, schema)
			}
		}
	}
}

// toolSchemas returns the schemas in a result of tools/list, by tool and member.
func toolSchemas(result any) map[string]map[string][]byte {
	found := map[string]map[string][]byte{}
	list, _ := result.(map[string]any)
	tools, _ := list["tools"].([]any)
	for _, t := range tools {
		tool, _ := t.(map[string]any)
		name, _ := tool["name"].(string)
		found[name] = map[string][]byte{}
		for _, member := range []string{"inputSchema", "outputSchema"} {
			if tool[member] == nil {
				continue // which the schema of the list does not allow ours
			}
			text, err := json.Marshal(tool[member])
			if err != nil {
				panic(err) // it was JSON
			}
			found[name][member] = text
		}
	}
	return found
}

// judgeOutput holds what a tool returned against the tool's own output schema.
func (x *exchange) judgeOutput(tool string, result any) {
	called, _ := result.(map[string]any)
	output, ok := called["structuredContent"]
	if !ok {
		return // by the schema of results: an error, or a question
	}
	schema := x.watcher.kept(tool)
	if schema == nil {
		x.learn()
		schema = x.watcher.kept(tool)
	}
	if schema == nil && x.watcher.other {
		return // it has none
	}
	if schema == nil {
		x.fail("tools/list does not have %s, which was called", tool)
		return
	}
	x.count("output of " + tool)
	if err := problem(schema, output); err != nil {
		x.fail("by the output schema of %s:\n%v\nin %.2000v", tool, err, output)
	}
}

// learn lists the tools on behalf of a client that called one and did not.
func (x *exchange) learn() {
	const list = `{"jsonrpc":"2.0","id":"wiretest","method":"tools/list"}`
	r := x.request.Clone(x.request.Context())
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(strings.NewReader(list)), int64(len(list)), nil
	for name := range r.Header {
		if strings.HasPrefix(name, "Mcp-") { // they are about the call
			r.Header.Del(name)
		}
	}
	x.watcher.ServeHTTP(httptest.NewRecorder(), r)
}

func (w *Watcher) keep(tool string, output *jsonschema.Schema) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tools[tool] = output
}

func (w *Watcher) kept(tool string) *jsonschema.Schema {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tools[tool]
}
