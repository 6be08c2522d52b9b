package resource

import (
	"cmp"
	"context"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/store"
)

// mcpResource is an MCP resource: text that a client may put before its model
// without the call of a tool.
type mcpResource struct {
	name, title, description string

	uri      string // that is listed; empty: it only has a template
	template string // of other URIs, each with an argument
	prefix   string // what these begin with; the argument is the rest

	scope string // that it needs

	// text writes the resource; argument is empty for the listed URI.
	text func(ctx context.Context, x *exchange, argument string) (*transcript, error)
}

// scheme is what the URIs of MCP resources begin with.
const scheme = "scaling:"

// mcpResources returns every MCP resource (design §10). A connection sees those
// whose scope it has.
func (s *Server) mcpResources() []*mcpResource {
	return []*mcpResource{
		{
			name: "incident", title: "Incident",
			description: "One incident, by its sequentialId, as get_incident shows it.",
			template:    scheme + "//incidents/{id}", prefix: scheme + "//incidents/",
			scope: store.ScopeIncidentsRead, text: s.incidentText,
		},
		list(mcpResource{
			name: "components", title: "Components",
			description: "What the organization runs, with the ids that create_incident takes as componentIds.",
			scope:       store.ScopeIncidentsRead, text: s.componentsText,
		}),
		list(mcpResource{
			name: "members", title: "Members",
			description: "The people of the organization, with the ids that create_incident takes as ownerId.",
			scope:       store.ScopeSchedulesRead, text: s.membersText,
		}),
		list(mcpResource{
			name: "escalation-policies", title: "Escalation policies",
			description: "Whom an incident pages, layer by layer, with the ids that create_incident takes as escalationPolicyId.",
			scope:       store.ScopeSchedulesRead, text: s.escalationPoliciesText,
		}),
	}
}

// list gives a resource its URIs: one by its name, and others for the parts that
// this has no room for, whose argument is the id of the last item before.
func list(r mcpResource) *mcpResource {
	r.uri = scheme + "//" + r.name
	r.template, r.prefix = r.uri+"{?after}", r.uri+"?after="
	return &r
}

// argument returns what a URI of the resource gives as its argument. It returns
// false if the URI is not one of the resource's.
func (r *mcpResource) argument(uri string) (string, bool) {
	if uri == r.uri {
		return "", uri != ""
	}
	argument, ok := strings.CutPrefix(uri, r.prefix)
	return argument, ok && argument != "" && !strings.ContainsFunc(argument, reserved)
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

// addTo adds the resource to a server of connections that may read it.
func (r *mcpResource) addTo(server *mcp.Server) {
	// What a model reads best is what the tools answer.
	const plain = "text/plain"
	read := func(ctx context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		argument, _ := r.argument(req.Params.URI)
		t, err := r.text(ctx, exchangeOf(req.Extra), argument)
		if err != nil {
			return nil, err
		}
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{
			{URI: req.Params.URI, MIMEType: plain, Text: t.String()}}}, nil
	}
	template := mcp.ResourceTemplate{Name: r.name, Title: r.title, Description: r.description, MIMEType: plain, URITemplate: r.template}
	if r.uri != "" {
		server.AddResource(&mcp.Resource{Name: r.name, Title: r.title, Description: r.description, MIMEType: plain, URI: r.uri}, read)
		template.Name, template.Title = r.name+"-after", r.title+", continued"
		template.Description = "More of " + r.uri + ", where that has no room for all. It says where to go on."
	}
	server.AddResourceTemplate(&template, read)
}

// resource returns the MCP resource that a URI names, or nil.
func (c *catalog) resource(uri string) *mcpResource {
	for _, r := range c.resources {
		if _, ok := r.argument(uri); ok {
			return r
		}
	}
	return nil
}

// errNoResource refuses a URI that is none of ours.
var errNoResource = &jsonrpc.Error{Code: mcp.CodeResourceNotFound,
	Message: "There is no such resource. resources/list and resources/templates/list name those that this connection may read."}
