package resource

import "github.com/modelcontextprotocol/go-sdk/mcp"

// textBudget is the most text that one result carries, in bytes. Clients refuse
// or truncate long results, and a model pays for each word.
const textBudget = 24 << 10

// closing is the part of textBudget that is kept for the last lines.
const closing = 1 << 10

// output is the structured result of a tool, which knows its compact text form.
type output interface {
	writeText(*transcript)
}

// success returns the tool result of out.
func success(out output, untrusted []string) *mcp.CallToolResult {
	var t transcript
	out.writeText(&t)
	return &mcp.CallToolResult{
		Meta:              mcp.Meta{untrustedKey: untrusted},
		Content:           []mcp.Content{&mcp.TextContent{Text: t.String()}},
		StructuredContent: out,
	}
}
