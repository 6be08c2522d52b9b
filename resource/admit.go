package resource

import (
	"bytes"
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"scaling.cloud/mcp/authz/accesstoken"
)

// Besides tools, MCP resources and prompts need scopes. Like those of tools they
// are checked on the body, where a refusal can still be a 403, and once more on
// what the SDK executes.

// lacking returns the uses that claims do not allow.
func lacking(claims *accesstoken.Claims, uses []use) []use {
	var forbidden []use
	for _, u := range uses {
		if !claims.HasScope(u.scope) {
			forbidden = append(forbidden, u)
		}
	}
	return forbidden
}

// forbiddenTexts returns the MCP resources and prompts that messages may be
// taken to ask for and claims do not allow.
func (c *catalog) forbiddenTexts(claims *accesstoken.Claims, ms []jsonrpc.Message) []use {
	var uses []use
	for _, m := range ms {
		request, ok := m.(*jsonrpc.Request)
		if !ok {
			continue
		}
		switch request.Method {
		case "resources/read":
			for _, uri := range values(request.Params, "uri") {
				if r := c.resource(uri); r != nil {
					uses = append(uses, r.uses()...)
				}
			}
		case "prompts/get":
			for _, name := range values(request.Params, "name") {
				if p := c.prompts[name]; p != nil {
					uses = append(uses, p.uses()...)
				}
			}
		}
	}
	return lacking(claims, uses)
}

// values returns every string that params may be taken to have as the member
// named: see callsIn.
func values(params json.RawMessage, name string) []string {
	var list []string
	for key, value := range members(params) {
		var text string
		if key == name && json.Unmarshal(value, &text) == nil {
			list = append(list, text)
		}
	}
	return list
}

// mayAskFor reports whether body may ask for an MCP resource or a prompt that
// claims do not allow: see mayForbid. Of a URI only the scheme is looked for: in
// JSON a slash may stand after a backslash.
func (c *catalog) mayAskFor(claims *accesstoken.Claims, body []byte) bool {
	if bytes.Contains(body, []byte(scheme)) {
		for _, r := range c.resources {
			if len(lacking(claims, r.uses())) > 0 {
				return true
			}
		}
	}
	for name, p := range c.prompts {
		if len(lacking(claims, p.uses())) > 0 && bytes.Contains(body, []byte(name)) {
			return true
		}
	}
	return false
}

// addTexts adds the MCP resources and the prompts that need no scope outside v to
// a server.
func (s *Server) addTexts(server *mcp.Server, v visibility) {
	shows := func(uses []use) bool {
		var needed accesstoken.Claims
		for _, u := range uses {
			needed.Scopes = append(needed.Scopes, u.scope)
		}
		return s.catalog.visible(&needed)&^v == 0
	}
	for _, r := range s.catalog.resources {
		if shows(r.uses()) {
			r.add(server)
		}
	}
	for _, p := range s.catalog.prompts {
		if shows(p.uses()) {
			server.AddPrompt(&p.Prompt, p.get)
		}
	}
}

// admit returns what the audit log calls the reading of an MCP resource or the
// getting of a prompt, and the incident that it is about, if any. It refuses one
// that does not exist, or that the connection does not allow. Everything else has
// no name, and passes.
func (s *Server) admit(claims *accesstoken.Claims, params mcp.Params) (name, incident string, err error) {
	var uses []use
	switch p := params.(type) {
	case *mcp.ReadResourceParams:
		r := s.catalog.resource(p.URI)
		if r == nil {
			return "", "", noResource(p.URI)
		}
		if r.uri == "" {
			incident, _ = r.argument(p.URI)
		}
		uses = r.uses()
	case *mcp.GetPromptParams:
		prompt := s.catalog.prompts[p.Name]
		if prompt == nil {
			return "", "", errNoPrompt
		}
		incident = p.Arguments["sequentialId"]
		uses = prompt.uses()
	default:
		return "", "", nil
	}
	if forbidden := lacking(claims, uses); len(forbidden) > 0 {
		err = forbid(claims, forbidden)
	}
	return uses[0].name, incident, err
}
