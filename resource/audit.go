package resource

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// Every call of a tool is in the audit log once. A mutation that had its effect was
// recorded in the transaction of that effect; what is recorded here is the rest:
// what was read, refused, or answered from an earlier call's result.

// effect is the result of a mutation.
type effect interface {
	output
	// inLog reports whether the call was recorded together with what it did.
	inLog() bool
}

// A replay has no effect of its own to be recorded with.
func (o *createIncidentOutput) inLog() bool           { return !o.Replayed }
func (o *acknowledgeIncidentOutput) inLog() bool      { return !o.Replayed }
func (o *transitionIncidentStatusOutput) inLog() bool { return !o.Replayed }
func (o *resolveIncidentOutput) inLog() bool          { return !o.Replayed }
func (o *postUpdateOutput) inLog() bool               { return !o.Replayed }

// recorded reports whether the audit log has the call that ended in r.
func recorded(r *mcp.CallToolResult) bool {
	e, ok := r.StructuredContent.(effect)
	return ok && e.inLog()
}

// outcomeOf is how the audit log and the log line name a result that is no error.
func outcomeOf(r *mcp.CallToolResult) string {
	if r.InputRequests != nil {
		return "input_required"
	}
	if e, ok := r.StructuredContent.(effect); ok && !e.inLog() {
		return store.OutcomeReplayed
	}
	return store.OutcomeOK
}

// auditWait is how long a call waits for a place in the audit log. Its client may
// have gone, and it is recorded all the same.
const auditWait = 10 * time.Second

// record records a call, or returns what its client is told instead of the answer:
// whoever may read without a trace, reads without one.
func (s *Server) record(ctx context.Context, e store.AuditEvent) *toolError {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditWait)
	defer cancel()
	if err := s.Audit(ctx, e); err != nil {
		s.logFault(ctx, "call not recorded", "tool", e.Action, "err", err)
		return &toolError{Code: incident.CodeUnavailable, Message: "The service is overloaded and gave the call up. Repeat it in a minute."}
	}
	return nil
}

// event is what the audit log keeps of a call in this exchange that ended now.
func (x *exchange) event(name, outcome string, incident *int, now time.Time) store.AuditEvent {
	return store.AuditEvent{
		OrgID: x.claims.OrgID, UserID: x.claims.Subject, ConnectionID: x.claims.ConnectionID, ClientID: x.claims.ClientID,
		Action: name, Outcome: outcome, At: x.begun, Duration: now.Sub(x.begun), Incident: incident, RequestID: x.requestID,
	}
}

// incidentIn returns the number of the incident that arguments name. Arguments
// that do not parse were refused for that, and name none.
func incidentIn(arguments json.RawMessage) *int {
	var about struct {
		SequentialID *int32 `json:"sequentialId"`
	}
	if json.Unmarshal(arguments, &about) != nil || about.SequentialID == nil {
		return nil
	}
	return new(int(*about.SequentialID))
}

// incidentNumber does so for a number that came as text.
func incidentNumber(text string) *int {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return nil
	}
	return new(int(n))
}
