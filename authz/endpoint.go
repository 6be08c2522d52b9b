package authz

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"scaling.cloud/mcp/web/ui"
)

// endpoint answers a request or returns why not.
type endpoint = func(http.ResponseWriter, *http.Request) error

// public adapts an endpoint that programs call: JSON errors, open to every
// origin (nothing here is authenticated by a cookie), one method besides
// OPTIONS.
func (s *Server) public(method string, e endpoint) http.Handler {
	return s.methods(map[string]endpoint{method: e})
}

// methods adapts endpoints that programs call at one URL, by method, as public
// does.
func (s *Server) methods(endpoints map[string]endpoint) http.Handler {
	takes := strings.Join(slices.Sorted(maps.Keys(endpoints)), ", ")
	if get, ok := endpoints[http.MethodGet]; ok {
		endpoints[http.MethodHead] = get
	}
	allow := strings.Join(slices.Sorted(maps.Keys(endpoints)), ", ") + ", OPTIONS"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", allow)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, MCP-Protocol-Version")
			h.Set("Access-Control-Max-Age", "86400")
			h.Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		serve, ok := endpoints[r.Method]
		if !ok {
			h.Set("Allow", allow)
			writeError(w, r, s.Log, &Error{Status: http.StatusMethodNotAllowed, Code: codeInvalidRequest, Description: "This endpoint takes " + takes + " requests."})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, ClientMaxBody)
		if err := serve(w, r); err != nil {
			writeError(w, r, s.Log, err)
		}
	})
}

// page adapts an endpoint that a person's browser opens. Its errors are pages:
// an error that may go to the client's redirect URI has been sent there by the
// endpoint itself.
func (s *Server) page(endpoint func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ui.SetHeaders(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, ClientMaxBody)
		if err := endpoint(w, r); err != nil {
			writePage(w, r, s.Log, err)
		}
	})
}
