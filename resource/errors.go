package resource

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/visible"
)

// codeServerError is the code of a tool error that is a fault of ours.
const codeServerError = "server_error"

// toolError is what a model learns of a call that failed (design §11): a code,
// a sentence that says what to do instead, and the values that would do.
type toolError struct {
	Code        string   `json:"code"`
	Message     string   `json:"message"`
	ValidValues []string `json:"validValues,omitempty"`

	// validNames are what ValidValues are called. Strangers wrote them, so they
	// stand in the fenced part of the text alone.
	validNames []string
}

// handlerError marks an error as one that a tool's handler returned. Any other
// that the SDK puts into a tool result is about the arguments.
type handlerError struct{ error }

func (e handlerError) Unwrap() error { return e.error }

// toolError returns the form of err, which a call of t with arguments ended in.
// Faults of ours are logged, and not told.
func (s *Server) toolError(ctx context.Context, t *tool, arguments json.RawMessage, err error) *toolError {
	if refused, ok := errors.AsType[*incident.Error](err); ok {
		return &toolError{refused.Code, refused.Message, refused.ValidValues, refused.ValidNames}
	}
	if _, ok := errors.AsType[handlerError](err); !ok {
		return explain(t.input, arguments)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.Log.ErrorContext(ctx, "tool took too long", "tool", t.Name, "err", err)
		return &toolError{Code: incident.CodeUnavailable,
			Message: "The call took too long and was given up. Repeat it in a minute, a mutation with the same idempotencyKey as before; without a key, look first whether it was done."}
	}
	s.logFault(ctx, "tool failed", "tool", t.Name, "err", err)
	return &toolError{Code: codeServerError,
		Message: "Something failed on our side. Repeat the call, a mutation with the same idempotencyKey as before, and tell the person if it fails again."}
}

// result returns the tool result of e in a version of the protocol. It has no
// structuredContent: that would have to fit the output schema.
func (e *toolError) result(version string) *mcp.CallToolResult {
	var t transcript
	t.WriteString(e.Code + ": " + visible.Text(e.Message))
	if len(e.validNames) > 0 {
		t.WriteString("\n")
		t.fence()
		for i, name := range e.validNames {
			if !t.lineIfRoom(e.ValidValues[i] + " " + quoted(name)) {
				break
			}
		}
		t.unfence()
	}
	var r mcp.CallToolResult
	if version >= sinceQuestions {
		// Since results may be questions, each says that it is none. The SDK says so
		// in what handlers return, for which this stands in, and has no field for it.
		if err := r.UnmarshalJSON([]byte(`{"content":[],"resultType":"complete"}`)); err != nil {
			panic(err) // our own text, which parses
		}
	}
	r.Meta = mcp.Meta{"scaling.cloud/error": e}
	r.Content = []mcp.Content{&mcp.TextContent{Text: t.String()}}
	r.IsError = true
	return &r
}

// logFault logs a fault of ours. What fails because its caller has gone is none.
func (s *Server) logFault(ctx context.Context, message string, args ...any) {
	if ctx.Err() == nil {
		s.Log.ErrorContext(ctx, message, args...)
	}
}
