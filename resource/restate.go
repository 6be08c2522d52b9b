package resource

import (
	"bytes"
	"encoding/json"
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
	switch {
	case x.refused != 0:
		x.refusal(string(p)).write(x.ResponseWriter)
		return len(p), nil
	case x.dispatched.Load() && !isBatch(x.body):
		return x.ResponseWriter.Write(p)
	default:
		_, err := x.ResponseWriter.Write(reworded(p))
		return len(p), err
	}
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
	if strings.Contains(e.message, unknownMethod) {
		e.code, e.message = jsonrpc.CodeMethodNotFound, "There is no such method here."
	}
	return e
}

// Parts of the SDK's errors that are not for clients: the second begins a
// repetition of the request and of Go types.
const (
	unknownMethod = "JSON RPC not handled"
	decoderNoise  = ": unmarshaling "
)

// reworded returns answer, a JSON-RPC response or a batch of them, with such
// errors in our words.
func reworded(answer []byte) []byte {
	if !bytes.Contains(answer, []byte(decoderNoise)) && !bytes.Contains(answer, []byte(unknownMethod)) {
		return answer
	}
	var many []rpcAnswer
	if err := json.Unmarshal(answer, &many); err == nil {
		for i := range many {
			many[i].reword()
		}
		return mustMarshal(many)
	}
	var one rpcAnswer
	if err := json.Unmarshal(answer, &one); err != nil {
		return answer // an event stream, which holds no refusal
	}
	one.reword()
	return mustMarshal(one)
}

func (a *rpcAnswer) reword() {
	switch {
	case a.Error == nil:
	case strings.Contains(a.Error.Message, unknownMethod):
		a.Error.Message = "There is no such method here."
	case strings.Contains(a.Error.Message, decoderNoise):
		a.Error.Message = "The params do not have the shape that this method takes."
	}
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types, all of which marshal
	}
	return b
}
