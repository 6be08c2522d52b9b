package resource

import (
	"context"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// changedIncident is an incident in the answer to a mutation. It has all of its
// fields, and a schema that does not repeat them.
type changedIncident struct{ incidentJSON }

type acknowledgeIncidentInput struct {
	SequentialID   sequentialID   `json:"sequentialId" jsonschema:"the incident's number within the organization"`
	IdempotencyKey idempotencyKey `json:"idempotencyKey,omitempty" jsonschema:"a value of your own, new for each call; repeating the call with it returns the first result"`
}

type acknowledgeIncidentOutput struct {
	Incident            changedIncident `json:"incident"`
	AlreadyAcknowledged bool            `json:"alreadyAcknowledged"`
	Replayed            bool            `json:"replayed"`
}

func (s *Server) acknowledgeIncident(ctx context.Context, c *call, in acknowledgeIncidentInput) (*acknowledgeIncidentOutput, error) {
	actor, err := s.actor(ctx, c)
	if err != nil {
		return nil, err
	}
	done, err := s.Incidents.Acknowledge(ctx, actor, int(in.SequentialID), string(in.IdempotencyKey))
	if err != nil {
		return nil, err
	}
	return &acknowledgeIncidentOutput{changedIncident{s.incidentJSON(done.Incident)}, done.Already, done.Replayed}, nil
}

type transitionIncidentStatusInput struct {
	SequentialID   sequentialID         `json:"sequentialId" jsonschema:"the incident's number within the organization"`
	Status         store.IncidentStatus `json:"status" jsonschema:"the next status; no step can be left out"`
	ResolutionNote longText             `json:"resolutionNote,omitempty" jsonschema:"only with status resolved: what the cause was and what ended it. For members, never public"`
	IdempotencyKey idempotencyKey       `json:"idempotencyKey,omitempty" jsonschema:"a value of your own, new for each call; repeating the call with it returns the first result"`
}

type transitionIncidentStatusOutput struct {
	Incident    changedIncident `json:"incident"`
	Changed     bool            `json:"changed"`
	Replayed    bool            `json:"replayed"`
	noteDropped bool            // a note was given, and there was no step to keep it with
}

func (s *Server) transitionIncidentStatus(ctx context.Context, c *call, in transitionIncidentStatusInput) (*transitionIncidentStatusOutput, error) {
	actor, err := s.actor(ctx, c)
	if err != nil {
		return nil, err
	}
	done, err := s.Incidents.Transition(ctx, actor, incident.Transition{
		SequentialID: int(in.SequentialID), Status: string(in.Status), ResolutionNote: string(in.ResolutionNote),
	}, string(in.IdempotencyKey))
	if err != nil {
		return nil, err
	}
	return &transitionIncidentStatusOutput{
		changedIncident{s.incidentJSON(done.Incident)}, done.Changed, done.Replayed, in.ResolutionNote != "" && !done.Changed,
	}, nil
}

type resolveIncidentInput struct {
	SequentialID   sequentialID   `json:"sequentialId" jsonschema:"the incident's number within the organization"`
	ResolutionNote longText       `json:"resolutionNote,omitempty" jsonschema:"what the cause was and what ended it. For members, never public"`
	IdempotencyKey idempotencyKey `json:"idempotencyKey,omitempty" jsonschema:"a value of your own, new for each call; repeating the call with it returns the first result"`
}

type resolveIncidentOutput struct {
	Incident        changedIncident    `json:"incident"`
	Transitions     []statusChangeJSON `json:"transitions"`
	AlreadyResolved bool               `json:"alreadyResolved"`
	Replayed        bool               `json:"replayed"`
	noteDropped     bool               // a note was given, and there was no step to keep it with
}

func (s *Server) resolveIncident(ctx context.Context, c *call, in resolveIncidentInput) (*resolveIncidentOutput, error) {
	actor, err := s.actor(ctx, c)
	if err != nil {
		return nil, err
	}
	done, err := s.Incidents.Resolve(ctx, actor, incident.Resolve{
		SequentialID: int(in.SequentialID), ResolutionNote: string(in.ResolutionNote),
	}, string(in.IdempotencyKey))
	if err != nil {
		return nil, err
	}
	return &resolveIncidentOutput{
		changedIncident{s.incidentJSON(done.Incident)}, statusChangesJSON(done.Transitions), done.Already, done.Replayed,
		in.ResolutionNote != "" && done.Already,
	}, nil
}

const (
	textReplayed    = "This call was made before with the same idempotencyKey. This is what it answered then; nothing was done again, and get_incident says where the incident stands now."
	textNoteDropped = "The resolutionNote was not kept: the incident had been resolved before."
)

func (o *acknowledgeIncidentOutput) writeText(t *transcript) {
	n := o.Incident.SequentialID
	if o.Replayed {
		t.linef(textReplayed)
	}
	switch {
	case o.AlreadyAcknowledged:
		t.linef("Incident #%d had been acknowledged before: nothing was changed. get_incident says by whom.", n)
	case o.Incident.AcknowledgedAt == nil: // resolved, or it would be acknowledged now
		t.linef("Incident #%d is resolved and pages nobody: nothing was changed, and nobody has acknowledged it.", n)
	case o.Incident.EscalationPolicyID == nil:
		t.linef("Acknowledged incident #%d. It has no escalation policy, so nobody would have been paged.", n)
	default:
		t.linef("Acknowledged incident #%d. Its escalation has stopped: nobody else is paged.", n)
	}
	o.Incident.writeFenced(t)
}

func (o *transitionIncidentStatusOutput) writeText(t *transcript) {
	i := &o.Incident
	if o.Replayed {
		t.linef(textReplayed)
	}
	switch {
	case !o.Changed:
		t.linef("Incident #%d was %s before: nothing was changed.", i.SequentialID, i.Status)
	case i.Status == store.StatusResolved:
		t.linef("Incident #%d is resolved now, for good. It pages nobody any more.", i.SequentialID)
	default:
		t.linef("Incident #%d is %s now.", i.SequentialID, i.Status)
	}
	if o.noteDropped {
		t.linef(textNoteDropped)
	}
	i.writeFenced(t)
}

func (o *resolveIncidentOutput) writeText(t *transcript) {
	n := o.Incident.SequentialID
	if o.Replayed {
		t.linef(textReplayed)
	}
	if o.AlreadyResolved {
		t.linef("Incident #%d had been resolved before: nothing was changed.", n)
	} else {
		t.linef("Incident #%d is resolved now, for good. It pages nobody any more.", n)
	}
	for _, step := range o.Transitions {
		t.linef("%s %s", clock(step.ChangedAt), step.Status)
	}
	if o.noteDropped {
		t.linef(textNoteDropped)
	}
	o.Incident.writeFenced(t)
}

// writeFenced writes the incident on the one line of a fence.
func (i *incidentJSON) writeFenced(t *transcript) {
	t.fence()
	t.linef("%s", i.line())
	t.unfence()
}
