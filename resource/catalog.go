package resource

import (
	"bytes"
	"context"
	"errors"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/authz/accesstoken"
	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

// tool is one tool, ready to be added to servers.
type tool struct {
	mcp.Tool
	access
	input *jsonschema.Schema
	add   func(*mcp.Server)
}

// call is one call of a tool.
type call struct {
	*exchange
	tool string
	*mcp.CallToolRequest
}

// actor returns on whose behalf a mutation is made.
func (s *Server) actor(ctx context.Context, c *call) (incident.Actor, error) {
	client, err := s.ClientName(ctx, c.claims.ConnectionID)
	if err != nil {
		return incident.Actor{}, err
	}
	return incident.Actor{
		UserID: c.claims.Subject, ClientName: client, OrgID: c.claims.OrgID,
		MayPublish: c.claims.HasScope(store.ScopeIncidentsPublish),
		Call: incident.Call{
			Tool: c.tool, ConnectionID: c.claims.ConnectionID, ClientID: c.claims.ClientID,
			RequestID: c.requestID, At: c.begun,
		},
	}, nil
}

// define makes a tool of a handler. The schemas are those of In and Out.
// untrusted names the fields of Out that hold what strangers wrote.
func define[In any, Out output](scope string, t mcp.Tool, untrusted []string,
	handle func(context.Context, *call, In) (Out, error)) *tool {
	if _, mutates := any(*new(Out)).(effect); mutates == t.Annotations.ReadOnlyHint {
		panic("resource: " + t.Name + ": a mutation, and nothing else, says whether its call is in the audit log")
	}
	in := schemaOf[In]()
	t.InputSchema, t.OutputSchema = in, outputSchemaOf[Out]()
	handler := func(ctx context.Context, req *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
		out, err := handle(ctx, &call{exchangeOf(req.Extra), t.Name, req}, in)
		if ask, ok := errors.AsType[*question](err); ok {
			return ask.result(), nil, nil
		}
		if err != nil {
			return nil, nil, handlerError{err}
		}
		// The structured content is in the result and not returned as the
		// second value: the SDK would marshal, parse, validate and marshal that
		// once more. That it fits the schema is what the tests say.
		return success(out, untrusted), nil, nil
	}
	return &tool{Tool: t, access: access{scope: scope}, input: in, add: func(s *mcp.Server) { mcp.AddTool(s, &t, handler) }}
}

// catalog is everything that needs a scope: tools, MCP resources and prompts.
type catalog struct {
	list      []*tool
	byName    map[string]*tool
	resources []*mcpResource
	prompts   map[string]*prompt
	scopes    []string // each that something needs
}

func newCatalog(list []*tool, resources []*mcpResource, prompts []*prompt) *catalog {
	c := &catalog{list: list, byName: map[string]*tool{}, resources: resources, prompts: map[string]*prompt{}, scopes: store.ResourceScopes()}
	for _, t := range list {
		c.byName[t.Name] = t
	}
	for _, p := range prompts {
		c.prompts[p.Name] = p
	}
	return c
}

// visibility is a set of c.scopes, one bit for each.
type visibility uint

// visible returns the scopes of claims that make a difference.
func (c *catalog) visible(claims *accesstoken.Claims) visibility {
	var v visibility
	for i, scope := range c.scopes {
		if claims.HasScope(scope) {
			v |= 1 << i
		}
	}
	return v
}

// mayForbid reports whether body may ask for something that claims do not allow. It
// spares most bodies a decoder that costs as much as half a call: of the escapes
// of JSON only \u can stand for a letter.
func (c *catalog) mayForbid(claims *accesstoken.Claims, body []byte) bool {
	if c.visible(claims) == 1<<len(c.scopes)-1 {
		return false // everything is allowed
	}
	if bytes.Contains(body, []byte(`\u`)) {
		return true
	}
	for _, t := range c.list {
		if !t.allowsAll(claims) && bytes.Contains(body, []byte(t.Name)) {
			return true
		}
	}
	return c.mayAskFor(claims, body)
}

// serverOptions are those of every MCP server.
func (s *Server) serverOptions() *mcp.ServerOptions {
	return &mcp.ServerOptions{
		Instructions: instructions,
		SchemaCache:  mcp.NewSchemaCache(),
		// Nothing ever changes under a connection, so no client needs to keep a
		// stream open in order to be told.
		Capabilities: &mcp.ServerCapabilities{
			Tools: &mcp.ToolCapabilities{}, Resources: &mcp.ResourceCapabilities{}, Prompts: &mcp.PromptCapabilities{},
		},
		// What a connection sees depends on its scopes, and a person who
		// reconnects to get more must see it at once.
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) {
			c.CacheScope, c.TTLMs = "private", 0
		},
	}
}

// newMCPServers returns a server for every set of scopes that a connection may
// have, so that no request has to make one.
func (s *Server) newMCPServers(options *mcp.ServerOptions) []*mcp.Server {
	servers := make([]*mcp.Server, 1<<len(s.catalog.scopes))
	for v := range servers {
		server := mcp.NewServer(
			&mcp.Implementation{Name: "scaling", Title: "Scaling", Version: s.Version, WebsiteURL: s.PublicURL}, options)
		for _, t := range s.catalog.list {
			if visibility(v)&s.catalog.visible(&accesstoken.Claims{Scopes: t.scopes()}) != 0 {
				t.add(server)
			}
		}
		s.addTexts(server, visibility(v))
		server.AddReceivingMiddleware(s.guard)
		servers[v] = server
	}
	return servers
}
