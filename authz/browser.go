package authz

import (
	"net/http"
	"strings"

	"scaling.cloud/mcp/store"
)

// A cookie ties each authorization request to the browser that brought it: a
// consent page whose link is sent to somebody else shows them nothing (the
// confused deputy of the MCP security practices). One cookie a request, so that
// two tabs do not disturb each other.

func (s *Server) secure() bool { return strings.HasPrefix(s.PublicURL, "https://") }

func (s *Server) browserCookieName(handle string) string {
	name := "authorize-" + handle[:min(8, len(handle))]
	if s.secure() {
		return "__Host-" + name
	}
	return name // http, on this computer: Safari drops Secure cookies there
}

func (s *Server) setBrowserCookie(w http.ResponseWriter, handle, secret string) {
	http.SetCookie(w, s.browserCookie(handle, secret, int(store.AuthorizationRequestLifetime.Seconds())))
}

func (s *Server) clearBrowserCookie(w http.ResponseWriter, handle string) {
	http.SetCookie(w, s.browserCookie(handle, "", -1))
}

func (s *Server) browserCookie(handle, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: s.browserCookieName(handle), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: s.secure(),
		SameSite: http.SameSiteLaxMode, // Strict would not survive the way back from Clerk
	}
}

// browserHash returns the hash of the secret that the browser holds for a
// request; without one, a hash that matches nothing.
func (s *Server) browserHash(r *http.Request, handle string) []byte {
	cookie, err := r.Cookie(s.browserCookieName(handle))
	if err != nil {
		return hashSecret("")
	}
	return hashSecret(cookie.Value)
}
