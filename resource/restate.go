package resource

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader holds a refusal back that the SDK is about to give as plain text,
// until its words are known.
func (x *exchange) WriteHeader(status int) {
	if status >= http.StatusBadRequest && strings.HasPrefix(x.Header().Get("Content-Type"), "text/plain") {
		x.refused = status
		return
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write passes on what the SDK answers, but for its refusals: those in plain
// text become JSON-RPC errors, and none quotes the request or Go's decoder.
func (x *exchange) Write(p []byte) (int, error) {
	if x.refused != 0 {
		e := x.refusal(string(p))
		x.annotate(slog.String("outcome", e.message))
		e.write(x.ResponseWriter)
		return len(p), nil
	}
	if x.dispatched.Load() && !isBatch(x.body) {
		return x.ResponseWriter.Write(p)
	}
	answer, refused := reworded(p)
	if refused != nil && !x.dispatched.Load() {
		// The SDK may quote the request in what it says, so the log has the code.
		x.annotate(slog.String("outcome", "rpc_error"), slog.Int64("rpc_code", refused.Code))
	}
	_, err := x.ResponseWriter.Write(answer)
	return len(p), err
}

// refusal restates a refusal of the SDK's transport.
func (x *exchange) refusal(text string) *malformed {
	e := &malformed{status: x.refused, code: jsonrpc.CodeInvalidRequest, message: strings.TrimSpace(text)}
	ms, err := messages(x.body)
	if err != nil || len(ms) == 0 {
		e.message = "The body is not a JSON-RPC 2.0 message."
		return e
	}
	if call, ok := ms[0].(*jsonrpc.Request); ok && call.IsCall() && !isBatch(x.body) {
		e.id = mustMarshal(call.ID.Raw())
	}
	if known, ok := inOurWords(e.message); ok {
		e.code, e.message = known.Code, known.Message
	}
	return e
}

// reworded returns answer, a JSON-RPC response or a batch of them, with the
// SDK's own errors in our words, and the first error in it.
func reworded(answer []byte) ([]byte, *jsonrpc.Error) {
	if !bytes.Contains(answer, []byte(`"error"`)) {
		return answer, nil
	}
	var many []rpcAnswer
	if err := json.Unmarshal(answer, &many); err == nil {
		var first *jsonrpc.Error
		for i := range many {
			many[i].reword()
			if first == nil {
				first = many[i].Error
			}
		}
		return mustMarshal(many), first
	}
	var one rpcAnswer
	if err := json.Unmarshal(answer, &one); err != nil {
		return answer, nil // an event stream, which holds no refusal
	}
	one.reword()
	return mustMarshal(one), one.Error
}

func (a *rpcAnswer) reword() {
	if a.Error == nil {
		return
	}
	if known, ok := inOurWords(a.Error.Message); ok {
		a.Error = known
	} else if a.Error.Code == 0 {
		// Zero is no code of JSON-RPC. It is what the SDK makes of a Go error:
		// of a message that its session does not expect.
		a.Error = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "This message cannot be served here."}
	}
}

// inOurWords returns what clients are told in the place of an error of the SDK
// whose words are not for them: those of a Go decoder, which also repeat the
// request, and those of its dispatcher.
func inOurWords(message string) (*jsonrpc.Error, bool) {
	for _, known := range []struct {
		part string
		jsonrpc.Error
	}{
		{"JSON RPC not handled", jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "There is no such method here."}},
		{": unmarshaling ", jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "The params do not have the shape that this method takes."}},
		{`missing required "params"`, jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "This method takes params."}},
		{context.Canceled.Error(), *errCancelled},
	} {
		if strings.Contains(message, known.part) {
			return &known.Error, true
		}
	}
	return nil, false
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types, all of which marshal
	}
	return b
}
