package authz

import (
	"net/http"

	"scaling.cloud/mcp/web/ui"
)

// public adapts an endpoint that programs call: JSON errors, open to every
// origin (nothing here is authenticated by a cookie), one method besides
// OPTIONS.
func (s *Server) public(method string, endpoint func(http.ResponseWriter, *http.Request) error) http.Handler {
	allow := method + ", OPTIONS"
	if method == http.MethodGet {
		allow = "GET, HEAD, OPTIONS"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
		switch {
		case r.Method == http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", allow)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, MCP-Protocol-Version")
			h.Set("Access-Control-Max-Age", "86400")
			h.Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
			return
		case r.Method == method, r.Method == http.MethodHead && method == http.MethodGet:
		default:
			h.Set("Allow", allow)
			writeError(w, r, s.Log, &Error{Status: http.StatusMethodNotAllowed, Code: codeInvalidRequest, Description: "This endpoint takes " + method + " requests."})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, ClientMaxBody)
		if err := endpoint(w, r); err != nil {
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
