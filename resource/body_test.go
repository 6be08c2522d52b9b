package resource_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"scaling.cloud/mcp/resource"
)

// rpcError returns the JSON-RPC error of an answer's body.
func rpcError(t *testing.T, body string) *jsonrpc.Error {
	t.Helper()
	var got struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   *jsonrpc.Error  `json:"error"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	if got.Version != "2.0" || got.Error == nil || got.ID == nil {
		t.Fatalf("body %q: not a JSON-RPC 2.0 error", body)
	}
	return got.Error
}

// looksLikeGo finds what must not reach a client: the words of a decoder, a
// stack, a type.
func looksLikeGo(body string) bool {
	for _, s := range []string{"handling '", "context canceled", "json:", "unmarshal", "*mcp.", "mcp.", "goroutine", ".go:", "invalid character", "EOF", "runtime"} {
		if strings.Contains(body, s) {
			return true
		}
	}
	return false
}

func TestMalformedBodies(t *testing.T) {
	f := newFixture(t, nil, nil)
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":` + params + `}`
	}
	modern := http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"get_incident"}}
	for _, row := range []struct {
		name   string
		header http.Header
		body   string
		status int
		code   int64
	}{
		{"empty", nil, ``, 400, jsonrpc.CodeParseError},
		{"not JSON", nil, `hello`, 400, jsonrpc.CodeParseError},
		{"cut off", nil, ping[:len(ping)-1], 400, jsonrpc.CodeParseError},
		{"two messages in a row", nil, ping + ping, 400, jsonrpc.CodeParseError},
		{"something after the message", nil, ping + `x`, 400, jsonrpc.CodeParseError},
		{"invalid UTF-8 outside a string", nil, "\xff" + ping, 400, jsonrpc.CodeParseError},
		{"null", nil, `null`, 400, jsonrpc.CodeInvalidRequest},
		{"a string", nil, `"ping"`, 400, jsonrpc.CodeInvalidRequest},
		{"an object of another kind", nil, `{"hello":1}`, 400, jsonrpc.CodeInvalidRequest},
		{"JSON-RPC 1.0", nil, `{"id":1,"method":"ping"}`, 400, jsonrpc.CodeInvalidRequest},
		{"an empty batch", nil, `[]`, 400, jsonrpc.CodeInvalidRequest},
		{"a batch of nothing", nil, `[1,2]`, 400, jsonrpc.CodeInvalidRequest},
		{"a batch in a protocol that has none", http.Header{"Mcp-Protocol-Version": {"2025-06-18"}}, `[` + ping + `]`, 400, jsonrpc.CodeInvalidRequest},
		{"too many in a batch", nil, `[` + strings.Repeat(ping+`,`, 20) + ping + `]`, 400, jsonrpc.CodeInvalidRequest},
		{"an unknown protocol version", http.Header{"Mcp-Protocol-Version": {"2020-01-01"}}, ping, 400, jsonrpc.CodeInvalidRequest},
		{"another content type", http.Header{"Content-Type": {"text/plain"}}, ping, 415, jsonrpc.CodeInvalidRequest},
		{"a form", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, ping, 415, jsonrpc.CodeInvalidRequest},
		{"an Accept without the event stream", http.Header{"Accept": {"application/json"}}, ping, 400, jsonrpc.CodeInvalidRequest},
		{"an unknown method", nil, `{"jsonrpc":"2.0","id":7,"method":"nope"}`, 400, jsonrpc.CodeMethodNotFound},
		{"a call without an id", nil, `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"get_incident"}}`, 400, jsonrpc.CodeInvalidRequest},
		{"a call without params", nil, `{"jsonrpc":"2.0","id":7,"method":"tools/call"}`, 400, jsonrpc.CodeInvalidParams},
		{"an id of the wrong type", nil, `{"jsonrpc":"2.0","id":{},"method":"ping"}`, 400, jsonrpc.CodeInvalidRequest},
		{"params that are a string", nil, call(`"x"`), 200, jsonrpc.CodeInvalidParams},
		{"params that are a list", nil, call(`[1]`), 200, jsonrpc.CodeInvalidParams},
		{"params that are null", nil, call(`null`), 200, jsonrpc.CodeInvalidParams},
		{"a protocol version that is a number", nil, `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":5}}`, 200, jsonrpc.CodeInvalidParams},
		{"initialize without params", nil, `{"jsonrpc":"2.0","id":7,"method":"initialize","params":null}`, 200, jsonrpc.CodeInvalidParams},
		{"initialize in a batch", nil, `[` + initialize + `,` + initialize + `]`, 400, jsonrpc.CodeInvalidRequest},
		{"a tool name that is a number", nil, call(`{"name":5}`), 200, jsonrpc.CodeInvalidParams},
		{"an unknown tool", nil, call(`{"name":"nope"}`), 200, jsonrpc.CodeInvalidParams},
		{"no tool", nil, call(`{}`), 200, jsonrpc.CodeInvalidParams},
		{"2026-07-28 without its _meta", modern, call(`{"name":"get_incident"}`), 400, jsonrpc.CodeInvalidParams},
		{"a cursor of another server", nil, `{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"cursor":"nope"}}`, 200, jsonrpc.CodeInvalidParams},
	} {
		t.Run(row.name, func(t *testing.T) {
			header := f.bearer(t, everything...)
			for name, values := range row.header {
				header[name] = values
			}
			a := f.do(t, "POST", "/mcp", header, row.body)
			if a.StatusCode != row.status {
				t.Errorf("status: got %d, want %d", a.StatusCode, row.status)
			}
			if got := a.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type: got %q, want JSON", got)
			}
			if looksLikeGo(a.body) {
				t.Errorf("body speaks of Go: %s", a.body)
			}
			if e := rpcError(t, a.body); e.Code != row.code || e.Message == "" {
				t.Errorf("error: got %d %q, want code %d", e.Code, e.Message, row.code)
			}
		})
	}
}

const initialize = `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`

// TestACallThatItsBatchCancelsIsAnsweredInOurWords: the SDK would answer with
// the code 0 and the words of Go.
func TestACallThatItsBatchCancelsIsAnsweredInOurWords(t *testing.T) {
	f := newFixture(t, nil, func(c *resource.Config) {
		c.ClientName = func(ctx context.Context, _ uuid.UUID) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}
	})
	a := f.do(t, "POST", "/mcp", f.bearer(t, everything...),
		`[`+create+`,{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}]`)
	var answers []struct{ Error *jsonrpc.Error }
	if err := json.Unmarshal([]byte(a.body), &answers); err != nil || len(answers) != 1 || answers[0].Error == nil {
		t.Fatalf("got %s, want one error", a.body)
	}
	if e := answers[0].Error; e.Code != jsonrpc.CodeInternalError || e.Message != "The call was cancelled." {
		t.Errorf("got %d %q", e.Code, e.Message)
	}
	if strings.Contains(f.log.String(), "ERROR") {
		t.Errorf("a cancelled call is logged as a fault of ours: %s", f.log)
	}
}

// TestWhatAClientDoesWrongIsNoFaultOfOurs: nor does it leave the log line of the
// request without an outcome.
func TestWhatAClientDoesWrongIsNoFaultOfOurs(t *testing.T) {
	initialized := `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	for _, row := range []struct {
		name    string
		header  http.Header
		body    string
		outcome string
	}{
		{"initialize twice", nil, `[` + initialize + `,` + initialize + `]`, "Send initialize by itself, not in a batch."},
		{"initialized twice", nil, `[` + initialized + `,` + initialized + `,` + ping + `]`, "This notification was not expected."},
		{"an unknown method", nil, `{"jsonrpc":"2.0","id":7,"method":"nope"}`, "There is no such method here."},
		{"another content type", http.Header{"Content-Type": {"text/plain"}}, ping, "Content-Type must be 'application/json'"},
		{"params of the wrong type", nil, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":"x"}`, "rpc_error"},
		{"headers that differ from the body", http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"ping"}}, `{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, "rpc_error"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil, nil)
			header := f.bearer(t, everything...)
			for name, values := range row.header {
				header[name] = values
			}
			a := f.do(t, "POST", "/mcp", header, row.body)
			if got := f.noted("outcome"); got != row.outcome {
				t.Errorf("outcome: got %q, want %q; answer %s", got, row.outcome, a.body)
			}
			if strings.Contains(f.log.String(), "ERROR") {
				t.Errorf("logged as a fault: %s", f.log)
			}
		})
	}
}

// TestARefusalNamesTheRequest: a client matches an error by its id.
func TestARefusalNamesTheRequest(t *testing.T) {
	f := newFixture(t, nil, nil)
	a := f.do(t, "POST", "/mcp", f.bearer(t, everything...), `{"jsonrpc":"2.0","id":"a-7","method":"nope"}`)
	if !strings.Contains(a.body, `"id":"a-7"`) {
		t.Errorf("got %s, want the id of the request", a.body)
	}
}

func TestOversizeBodies(t *testing.T) {
	f := newFixture(t, nil, nil)
	const limit = 4 << 20
	padded := func(size int) string {
		const head, tail = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":"`, `"}}}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}
	if a := f.do(t, "POST", "/mcp", f.bearer(t, everything...), padded(limit)); a.StatusCode != 200 {
		t.Errorf("a body of the limit: got %d, want 200", a.StatusCode)
	}
	if a := f.do(t, "POST", "/mcp", f.bearer(t, everything...), padded(limit+1)); a.StatusCode != 413 || rpcError(t, a.body) == nil {
		t.Errorf("a longer body: got %d, want 413", a.StatusCode)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", f.url+"/mcp", io.LimitReader(endless{}, limit*2))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = f.bearer(t, everything...)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "*/*")
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 413 {
		t.Errorf("a longer body of unknown length: got %d, want 413", response.StatusCode)
	}
}

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestATruncatedBodyIsAParseError: the sender announced more than it sent.
func TestATruncatedBodyIsAParseError(t *testing.T) {
	f := newFixture(t, nil, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\nContent-Type: application/json\r\nAccept: */*\r\nContent-Length: 1000\r\n\r\n%s",
		f.bearer(t, everything...).Get("Authorization"), ping)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 400 || rpcError(t, string(body)).Code != jsonrpc.CodeParseError {
		t.Errorf("got %d %s, want 400 and a parse error", response.StatusCode, body)
	}
}
