package ui

import "net/http"

// SameOrigin guards what a form of ours is posted to: it refuses what another
// site makes a browser send. The cookie alone does not show that the person
// meant it.
func SameOrigin(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		WriteError(w, r, http.StatusForbidden, "That was not sent from here",
			"Another site tried to do this in your name. Nothing was changed.")
	}))
	return guard.Handler(next)
}
