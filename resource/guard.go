package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// callTimeout bounds one call of a tool. What a call waits for on purpose, an
// earlier one with its idempotency key and its turn among creations, is half of
// that. Whatever takes longer is stuck, and keeps a connection of the pool from
// everybody; and in older protocols nothing else ends it, because there a call
// goes on when its client has left.
const callTimeout = 30 * time.Second

// errInternal is all that a client learns of a fault of ours.
var errInternal = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "internal error"}

// errCancelled answers a call whose client took it back. Whether the SDK notices
// before the tool starts or the tool while it runs is chance, and not to be told
// apart by the client.
var errCancelled = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "The call was cancelled."}

// guard stands around everything that the SDK executes. It makes the scope
// decision on the very call that is about to be made, gives tool errors their
// form, and keeps faults from the client and from the process: the SDK runs
// handlers in goroutines of its own, where a panic would end the program.
func (s *Server) guard(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (result mcp.Result, err error) {
		defer func() {
			if p := recover(); p != nil {
				s.Log.ErrorContext(ctx, "panic in MCP handler", "rpc_method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				s.Annotate(ctx, slog.String("outcome", "panic"))
				result, err = nil, errInternal
			}
		}()
		x := exchangeOf(req.GetExtra())
		if first := !x.dispatched.Swap(true); first {
			s.Annotate(ctx, slog.String("rpc_method", method))
		}

		call, ok := req.(*mcp.CallToolRequest)
		if !ok {
			return s.pass(ctx, x, method, req, next)
		}
		t := s.catalog.byName[call.Params.Name]
		if t == nil {
			s.Annotate(ctx, slog.String("tool", "unknown"), slog.String("outcome", "unknown_tool"))
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "There is no such tool. tools/list names those that this connection may use."}
		}
		s.Annotate(ctx, slog.String("tool", t.Name))
		outcome := codeServerError // of a panic
		defer func() {
			s.Annotate(ctx, slog.String("outcome", outcome))
			if r, ok := result.(*mcp.CallToolResult); ok && recorded(r) {
				return
			}
			if unrecorded := s.record(ctx, x.event(t.Name, outcome, incidentIn(call.Params.Arguments), s.Now())); unrecorded != nil {
				result, err = unrecorded.result(call.ProtocolVersion()), nil
			}
		}()
		result, outcome, err = s.execute(ctx, x, t, call, func(ctx context.Context) (mcp.Result, error) { return next(ctx, method, req) })
		return result, err
	}
}

// pass serves every message that is no call of a tool. Whoever reads an MCP
// resource or gets a prompt is in the audit log, as those who call a tool are.
func (s *Server) pass(ctx context.Context, x *exchange, method string, req mcp.Request, next mcp.MethodHandler) (result mcp.Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	name, incident, err := s.admit(x.claims, req.GetParams())
	if name != "" {
		s.Annotate(ctx, slog.String("reads", name))
	}
	if err == nil {
		result, err = next(ctx, method, req)
	}
	outcome := store.OutcomeOK
	if err != nil {
		err, outcome = s.protocolError(ctx, method, err)
		s.Annotate(ctx, slog.String("outcome", outcome))
	}
	if name == "" {
		return result, err
	}
	if unrecorded := s.record(ctx, x.event(name, outcome, incidentNumber(incident), s.Now())); unrecorded != nil {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: unrecorded.Message}
	}
	return result, err
}

// execute runs one call of a tool, and returns its result and what the log calls
// that.
func (s *Server) execute(ctx context.Context, x *exchange, t *tool, call *mcp.CallToolRequest,
	next func(context.Context) (mcp.Result, error)) (result mcp.Result, outcome string, err error) {
	if forbidden := t.forbidden(x.claims, call.Params.Arguments); len(forbidden) > 0 {
		denied := forbid(x.claims, forbidden)
		return nil, denied.code, &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: denied.Error()}
	}
	call.Params.Arguments = withoutBlanks(t.input, call.Params.Arguments)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err = next(ctx)
	if err != nil {
		cancelled := errors.Is(ctx.Err(), context.Canceled)
		err, outcome = s.protocolError(ctx, "tools/call", err)
		if cancelled {
			outcome = "cancelled"
		}
		return nil, outcome, err
	}
	r, ok := result.(*mcp.CallToolResult)
	switch {
	case !ok:
		return result, store.OutcomeOK, nil
	case !r.IsError:
		return r, outcomeOf(r), nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, "cancelled", errCancelled
	}
	e := s.toolError(ctx, t, call.Params.Arguments, r.GetError())
	return e.result(call.ProtocolVersion()), e.Code, nil
}

// protocolError returns what the client is told of an error: the SDK's own
// refusals as they are, and of anything else only that it happened. The log is
// told the outcome.
func (s *Server) protocolError(ctx context.Context, method string, err error) (told error, outcome string) {
	if method == "notifications/initialized" {
		// The SDK objects to one that comes twice or too early. Nothing here
		// depends on it, and nobody is answered.
		err = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "This notification was not expected."}
	}
	if refused, ok := errors.AsType[*jsonrpc.Error](err); ok {
		return refused, refused.Message
	}
	if refused, ok := errors.AsType[*incident.Error](err); ok {
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: refused.Error()}, refused.Code
	}
	if denied, ok := errors.AsType[*refusal](err); ok {
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: denied.Error()}, denied.code
	}
	s.logFault(ctx, "MCP method failed", "rpc_method", method, "err", err)
	return errInternal, "internal_error"
}
