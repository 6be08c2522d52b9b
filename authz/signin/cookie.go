package signin

import (
	"net/http"
	"strings"
	"time"

	"scaling.cloud/mcp/store"
)

// maxAttemptCookies is how many sign-ins a browser may have under way at once.
// Beyond, all older ones end, before their cookies make a request too large.
const maxAttemptCookies = 8

// prefix is that of all cookie names. __Host- keeps other hosts of our domain
// from setting one (RFC 6265bis §4.1.3.2). It needs https: on http, which is this
// computer, Safari would drop the cookie.
func (s *Service) prefix() string {
	if s.secure() {
		return "__Host-"
	}
	return ""
}

func (s *Service) sessionCookieName() string { return s.prefix() + "session" }

// attemptCookieName is the cookie of one attempt, so that two tabs that sign in
// do not disturb each other.
func (s *Service) attemptCookieName(state string) string {
	return s.prefix() + "signin-" + state[:min(8, len(state))]
}

// cookie returns a cookie of ours that lives for the given time; below zero it
// deletes the one the browser has.
func (s *Service) cookie(name, value string, lives time.Duration) *http.Cookie {
	maxAge := int(lives / time.Second)
	if lives < 0 {
		maxAge = -1
	}
	return &http.Cookie{
		Name:     name,
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		HttpOnly: true,
		Secure:   s.secure(),
		// Strict would not be sent on the way back from Clerk.
		SameSite: http.SameSiteLaxMode,
	}
}

// setAttemptCookie ties the attempt to this browser.
func (s *Service) setAttemptCookie(w http.ResponseWriter, r *http.Request, state, secret string) {
	var old []string
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, s.attemptCookieName("")) {
			old = append(old, c.Name)
		}
	}
	if len(old) >= maxAttemptCookies {
		for _, name := range old {
			http.SetCookie(w, s.cookie(name, "", -1))
		}
	}
	http.SetCookie(w, s.cookie(s.attemptCookieName(state), secret, store.SignInLifetime))
}
