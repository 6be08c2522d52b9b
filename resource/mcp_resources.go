package resource

import (
	"cmp"
	"context"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/store"
)

// mcpResource is an MCP resource, ready to be added to servers.
type mcpResource struct {
	scope string // that it needs

	uri      string // that is listed; empty: it only has a template
	template string // of other URIs, with one variable; empty: it only has uri
	add      func(*mcp.Server)
}

// scheme is what the URIs of MCP resources begin with.
const scheme = "scaling:"

// mcpResources returns every MCP resource (design §10). A connection sees those
// whose scope it has.
func (s *Server) mcpResources() []*mcpResource {
	return []*mcpResource{
		each(store.ScopeIncidentsRead, mcp.ResourceTemplate{
			Name: "incident", Title: "Incident",
			Description: "One incident, by its sequentialId, as get_incident shows it.",
			URITemplate: scheme + "//incidents/{id}",
		}, s.incidentText),
		list(store.ScopeIncidentsRead, mcp.Resource{
			Name: "components", Title: "Components",
			Description: "What the organization runs, with the ids that create_incident takes as componentIds.",
		}, s.componentsText),
		list(store.ScopeSchedulesRead, mcp.Resource{
			Name: "members", Title: "Members",
			Description: "The people of the organization, with the ids that create_incident takes as ownerId.",
		}, s.membersText),
		list(store.ScopeSchedulesRead, mcp.Resource{
			Name: "escalation-policies", Title: "Escalation policies",
			Description: "Whom an incident pages, layer by layer, with the ids that create_incident takes as escalationPolicyId.",
		}, s.escalationPoliciesText),
	}
}

// plain is the type of every text: what a model reads best is what the tools
// answer.
const plain = "text/plain"

// textOf writes the text of an MCP resource. The argument is what the variable of
// its template stands for, empty for the URI that is listed.
type textOf func(ctx context.Context, x *exchange, argument string) (*transcript, error)

// each makes a resource of what has a template alone.
func each(scope string, t mcp.ResourceTemplate, text textOf) *mcpResource {
	t.MIMEType = plain
	r := &mcpResource{scope: scope, template: t.URITemplate}
	r.add = func(server *mcp.Server) { server.AddResourceTemplate(&t, r.reader(text)) }
	return r
}

// list makes a resource of a list. It has a URI by its name, and others for the
// parts that this has no room for, whose argument is the id of the last item before.
func list(scope string, l mcp.Resource, text textOf) *mcpResource {
	l.URI, l.MIMEType = scheme+"//"+l.Name, plain
	more := mcp.ResourceTemplate{
		Name: l.Name + "-after", Title: l.Title + ", continued", MIMEType: plain,
		Description: "More of " + l.URI + ", where that has no room for all. It says where to go on.",
		URITemplate: l.URI + "{?after}",
	}
	r := &mcpResource{scope: scope, uri: l.URI, template: more.URITemplate}
	r.add = func(server *mcp.Server) {
		server.AddResource(&l, r.reader(text))
		server.AddResourceTemplate(&more, r.reader(text))
	}
	return r
}

// reader answers who reads the resource with its text.
func (r *mcpResource) reader(text textOf) mcp.ResourceHandler {
	return func(ctx context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		argument, _ := r.argument(req.Params.URI)
		t, err := text(ctx, exchangeOf(req.Extra), argument)
		if err != nil {
			return nil, err
		}
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{
			{URI: req.Params.URI, MIMEType: plain, Text: t.String()}}}, nil
	}
}

// argument returns what a URI of the resource gives as its argument. It returns
// false if the URI is not one of the resource's.
func (r *mcpResource) argument(uri string) (string, bool) {
	if uri == r.uri {
		return "", uri != ""
	}
	before, rest, _ := strings.Cut(r.template, "{")
	variable, after, ok := strings.Cut(rest, "}")
	if !ok {
		return "", false
	}
	if name, query := strings.CutPrefix(variable, "?"); query {
		before += "?" + name + "="
	}
	argument, begins := strings.CutPrefix(uri, before)
	argument, ends := strings.CutSuffix(argument, after)
	return argument, begins && ends && argument != "" && !strings.ContainsFunc(argument, reserved)
}

// reserved reports whether r may not stand for itself in a URI (RFC 3986 §2.3).
// No argument needs such a character, so that none has two spellings.
func reserved(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("-._~", r)
}

// uses returns what the connection must allow.
func (r *mcpResource) uses() []use { return []use{{name: cmp.Or(r.uri, r.template), scope: r.scope}} }

// resource returns the MCP resource that a URI names, or nil.
func (c *catalog) resource(uri string) *mcpResource {
	for _, r := range c.resources {
		if _, ok := r.argument(uri); ok {
			return r
		}
	}
	return nil
}

// noResource refuses a URI that is none of ours. It repeats the URI, as the
// protocol wants it (SEP-2164).
func noResource(uri string) error {
	return &jsonrpc.Error{Code: mcp.CodeResourceNotFound, Data: mustMarshal(map[string]string{"uri": uri}),
		Message: "There is no such resource. resources/list and resources/templates/list name those that this connection may read."}
}
