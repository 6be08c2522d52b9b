package resource

import (
	"encoding/json"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"scaling.cloud/mcp/store"
)

// metadataPath is where RFC 9728 §3.1 puts the metadata of a resource without
// a path; the path of any other is appended.
const metadataPath = "/.well-known/oauth-protected-resource"

// endpointPaths are the paths of the MCP endpoint, each the end of a resource
// identifier: the bare origin, and origin + /mcp.
var endpointPaths = [...]string{"", "/mcp"}

// metadataURL names the document that describes the endpoint at path, so that
// the resource in it is the URL that the client called (RFC 9728 §3.3: the two
// must be identical, or the client must not use the document).
func (s *Server) metadataURL(path string) string {
	if path == "/" {
		path = ""
	}
	return s.PublicURL + metadataPath + path
}

// mountMetadata registers the document of each endpoint. A trailing slash is
// tolerated: some clients append one to what they were given.
func (s *Server) mountMetadata(mux *http.ServeMux) {
	for _, path := range endpointPaths {
		body, err := json.Marshal(oauthex.ProtectedResourceMetadata{
			Resource:               s.PublicURL + path,
			AuthorizationServers:   []string{s.PublicURL},
			ScopesSupported:        store.ResourceScopes(),
			BearerMethodsSupported: []string{"header"},
			ResourceName:           "Scaling",
			ResourceDocumentation:  "https://docs.scaling.cloud/integrations/mcp",
		})
		if err != nil {
			panic(err) // strings only
		}
		for _, pattern := range []string{metadataPath + path, metadataPath + path + "/{$}"} {
			mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Access-Control-Allow-Origin", "*")
				w.Header().Set("Cache-Control", "public, max-age=300")
				w.Header().Set("Content-Type", "application/json")
				w.Write(body)
			})
			mux.HandleFunc("OPTIONS "+pattern, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Allow", "GET, HEAD, OPTIONS")
				w.Header().Set("Access-Control-Allow-Origin", "*")
				w.Header().Set("Access-Control-Allow-Methods", "GET")
				w.Header().Set("Access-Control-Allow-Headers", "Mcp-Protocol-Version")
				w.Header().Set("Access-Control-Max-Age", "7200")
				w.WriteHeader(http.StatusNoContent)
			})
		}
	}
}
