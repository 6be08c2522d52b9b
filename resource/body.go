package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// maxBody is the most that one POST may carry, in bytes.
	maxBody = mcp.DefaultMaxRequestBodyBytes

	// maxBatch is how many messages one batch may hold. Only the protocol of
	// 2025-03-26 has batches; the SDK runs all calls of one at the same time.
	maxBatch = 20
)

// malformed is why a message is not served although its sender may speak: an
// HTTP status and a JSON-RPC error (JSON-RPC 2.0 §5.1).
type malformed struct {
	status  int
	id      json.RawMessage // of the request, nil where none could be read
	code    int64
	message string
}

func (e *malformed) Error() string { return e.message }

func (e *malformed) write(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	json.NewEncoder(w).Encode(rpcAnswer{Version: "2.0", ID: e.id, Error: &jsonrpc.Error{Code: e.code, Message: e.message}})
}

// rpcAnswer is a JSON-RPC response. Unlike the SDK's it has an id where there
// is none to name: null, as JSON-RPC 2.0 §5 demands.
type rpcAnswer struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *jsonrpc.Error  `json:"error,omitempty"`
}

// readBody returns the body of a POST, which is one JSON text and nothing
// after it. The SDK's decoder stops at the end of the first value; whoever
// reads further than it does would see another message.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := &malformed{status: http.StatusRequestEntityTooLarge, code: jsonrpc.CodeInvalidRequest,
		message: "The request is larger than 4 MiB."}
	if r.ContentLength > maxBody {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if err != nil || !json.Valid(body) {
		return nil, &malformed{status: http.StatusBadRequest, code: jsonrpc.CodeParseError,
			message: "The body is not one complete JSON text."}
	}
	return body, nil
}

// isBatch reports whether a valid JSON text is an array.
func isBatch(body []byte) bool {
	return bytes.TrimLeft(body, " \t\r\n")[0] == '['
}

// messages splits a body as the SDK will. It uses the SDK's own decoder: one
// that, say, matched names regardless of case would read another method than
// the one that is executed.
func messages(body []byte) ([]jsonrpc.Message, error) {
	if !isBatch(body) {
		m, err := jsonrpc.DecodeMessage(body)
		return []jsonrpc.Message{m}, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, err
	}
	ms := make([]jsonrpc.Message, 0, len(raw))
	for _, r := range raw {
		m, err := jsonrpc.DecodeMessage(r)
		if err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
	return ms, nil
}

// callsIn returns every name by which params may be taken to call a tool, and
// everything that may be taken for its arguments: all values of "name" and of
// "arguments", in the exact spelling, however often they occur. Which of several
// a decoder takes is its own affair; the connection must be allowed all of them.
func callsIn(params json.RawMessage) (names []string, arguments []json.RawMessage) {
	for key, value := range members(params) {
		var name string
		switch {
		case key == "name" && json.Unmarshal(value, &name) == nil:
			names = append(names, name)
		case key == "arguments":
			arguments = append(arguments, value)
		}
	}
	return names, arguments
}

// members iterates over the members of a JSON object in their order, those of
// the same key included. Of what is not an object there are none.
func members(object json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		d := json.NewDecoder(bytes.NewReader(object))
		if open, err := d.Token(); err != nil || open != json.Delim('{') {
			return
		}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return
			}
			var value json.RawMessage
			if err := d.Decode(&value); err != nil || !yield(key.(string), value) {
				return
			}
		}
	}
}
