// Package cookie keeps things in a person's browser: the session, and for each
// round trip that the browser begins (an authorization request, a sign-in at
// Clerk) a secret that ties the trip to it. Whoever gets hold of a link of such
// a trip, or is sent one, has no use for it: that is what stands between us and
// the confused deputy of the MCP security practices.
package cookie

import (
	"net/http"
	"strings"
	"time"

	"scaling.cloud/mcp/authz/secret"
)

// maxTrips is how many trips of one kind a browser may have under way. Beyond,
// all older ones end, before their cookies make a request too large.
const maxTrips = 8

// Jar sets and reads the cookies of one origin.
type Jar struct{ secure bool }

// NewJar returns the Jar of the origin publicURL.
func NewJar(publicURL string) Jar { return Jar{strings.HasPrefix(publicURL, "https://")} }

// name puts __Host- before a name, which keeps other hosts of our domain from
// setting the cookie (RFC 6265bis §4.1.3.2). It needs https: on http, which is
// this computer, Safari would drop it.
func (j Jar) name(name string) string {
	if j.secure {
		return "__Host-" + name
	}
	return name
}

// Set stores value in the browser for the given time.
func (j Jar) Set(w http.ResponseWriter, name, value string, lives time.Duration) {
	j.write(w, j.name(name), value, int(lives/time.Second))
}

// Delete removes what Set has stored.
func (j Jar) Delete(w http.ResponseWriter, name string) { j.write(w, j.name(name), "", -1) }

func (j Jar) write(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name:     name,
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		HttpOnly: true,
		Secure:   j.secure,
		// Strict would not be sent on the way back from Clerk.
		SameSite: http.SameSiteLaxMode,
	})
}

// Value returns what Set has stored, or "".
func (j Jar) Value(r *http.Request, name string) string {
	c, err := r.Cookie(j.name(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// Begin ties a trip to the browser that sent r and returns the secret that only
// this browser has. id is the trip's own secret; each trip has a cookie, so that
// two tabs do not disturb each other.
func (j Jar) Begin(w http.ResponseWriter, r *http.Request, kind, id string, lives time.Duration) (browser string) {
	var under []string
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, j.name(kind+"-")) {
			under = append(under, c.Name)
		}
	}
	if len(under) >= maxTrips {
		for _, name := range under {
			j.write(w, name, "", -1)
		}
	}
	browser = secret.New("")
	j.Set(w, trip(kind, id), browser, lives)
	return browser
}

// Browser returns the secret that Begin gave the browser for a trip, or "" if it
// is another browser.
func (j Jar) Browser(r *http.Request, kind, id string) string { return j.Value(r, trip(kind, id)) }

// End forgets a trip.
func (j Jar) End(w http.ResponseWriter, kind, id string) { j.Delete(w, trip(kind, id)) }

func trip(kind, id string) string { return kind + "-" + id[:min(8, len(id))] }
