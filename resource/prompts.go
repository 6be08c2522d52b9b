package resource

import (
	"context"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// prompt is a task that a person picks in their client, ready to be added to
// servers.
type prompt struct {
	mcp.Prompt
	scopes []string // that it needs, all of them
	get    mcp.PromptHandler
}

// registeredPrompts returns every prompt. A connection sees those whose scopes
// it has.
func (s *Server) registeredPrompts() []*prompt {
	sequentialID := &mcp.PromptArgument{Name: "sequentialId", Title: "Incident", Required: true,
		Description: "The incident's number within the organization"}
	return []*prompt{
		s.aboutIncident(mcp.Prompt{
			Name: "incident-handoff", Title: "Hand an incident over",
			Description: "Writes what the next person needs to know about an incident.",
			Arguments:   []*mcp.PromptArgument{sequentialID},
		}, func(map[string]string) (string, error) { return handoffTask, nil }, store.ScopeIncidentsRead),
		s.aboutIncident(mcp.Prompt{
			Name: "draft-public-update", Title: "Draft a public update",
			Description: "Drafts an update for the public status page. It publishes nothing.",
			Arguments: []*mcp.PromptArgument{sequentialID, {Name: "audience", Title: "Audience",
				Description: "Who will read it, if not all customers"}},
		}, draftTask, store.ScopeIncidentsRead, store.ScopeIncidentsPublish),
	}
}

const handoffTask = `Write a hand-over of the incident below, for the person who takes it on. They are tired and know nothing of it yet.

Say in this order, each in a sentence or two: what is broken and for whom; what its status and severity are, and since when; who owns it, whether somebody has acknowledged it, and who will be paged next; what was found and done so far, with times; what is open, and the next step. Where the facts do not say, write that it is not known: guess nothing. Change nothing, and page nobody.`

const draftTaskWords = `Draft an update about the incident below for the public status page. Its readers are %s.

Say what they notice, whether it is being worked on or over, and when to expect news, in two to five plain sentences and in the present tense. Leave out: names of people, teams, machines, vendors and internal components; blame; a cause, unless the status is beyond investigating and the facts state it as confirmed; promises, numbers and times that the facts do not give; anything an attacker could use.

Show the draft to the person and ask for changes. Do not call post_incident_update before they have seen the final text and told you to publish exactly that.`

// mostAudience is how much a person may say about who reads an update, in bytes.
const mostAudience = 200

func draftTask(arguments map[string]string) (string, error) {
	audience := arguments["audience"]
	if len(audience) > mostAudience {
		return "", &incident.Error{Code: incident.CodeInvalidArguments,
			Message: fmt.Sprintf("audience must have at most %d bytes.", mostAudience)}
	}
	if audience == "" {
		return fmt.Sprintf(draftTaskWords, "all customers"), nil
	}
	return fmt.Sprintf(draftTaskWords, quoted(audience)), nil
}

// uses returns what the connection must allow.
func (p *prompt) uses() []use {
	var uses []use
	for _, scope := range p.scopes {
		uses = append(uses, use{name: p.Name, scope: scope})
	}
	return uses
}

// aboutIncident makes a prompt of words of ours, and the facts of the incident
// that the argument sequentialId names. The words are what task tells the model to
// do with the facts; it refuses arguments that it cannot use.
func (s *Server) aboutIncident(p mcp.Prompt, task func(arguments map[string]string) (string, error), scopes ...string) *prompt {
	get := func(ctx context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		words, err := task(req.Params.Arguments)
		if err != nil {
			return nil, err
		}
		x, number := exchangeOf(req.Extra), req.Params.Arguments["sequentialId"]
		facts, err := s.incidentText(ctx, x, number)
		if err != nil {
			return nil, err
		}
		events, err := s.recentText(ctx, x, *incidentNumber(number))
		if err != nil {
			return nil, err
		}
		return &mcp.GetPromptResult{Description: p.Description, Messages: []*mcp.PromptMessage{
			{Role: "user", Content: &mcp.TextContent{Text: words}},
			{Role: "user", Content: &mcp.TextContent{Text: facts.String()}},
			{Role: "user", Content: &mcp.TextContent{Text: events.String()}},
		}}, nil
	}
	return &prompt{Prompt: p, scopes: scopes, get: get}
}

// errNoPrompt refuses a name that is none of ours.
var errNoPrompt = &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams,
	Message: "There is no such prompt. prompts/list names those that this connection may use."}
