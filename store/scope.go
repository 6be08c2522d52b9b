package store

import "slices"

// The scopes that a connection may have (design §10).
const (
	ScopeIncidentsRead    = "incidents:read"
	ScopeSchedulesRead    = "schedules:read"
	ScopeIncidentsWrite   = "incidents:write"
	ScopeIncidentsPublish = "incidents:publish"
	ScopeOfflineAccess    = "offline_access"
)

// Scope is something that a person may let a client do.
type Scope struct {
	Name   string // on the wire
	Words  string // on the consent page, and wherever a person reads of it
	Ticked bool   // on a consent page where the client asked for it
}

// Scopes returns every scope in the order of the consent page.
func Scopes() []Scope {
	return []Scope{
		{ScopeIncidentsRead, "See incidents and their timelines", true},
		{ScopeSchedulesRead, "See schedules and who is on call", true},
		{ScopeIncidentsWrite, "Create and update incidents, and page people", true},
		{ScopeIncidentsPublish, "Publish updates on your public status page", false},
		{ScopeOfflineAccess, "Stay connected until you revoke it", true},
	}
}

// ResourceScopes returns the names of the scopes that tools ask for: what the
// first 401 challenge names, and the protected resource's metadata.
// offline_access is between the client and the authorization server, and is in
// neither.
func ResourceScopes() []string {
	return []string{ScopeIncidentsRead, ScopeSchedulesRead, ScopeIncidentsWrite, ScopeIncidentsPublish}
}

// DefaultScopes returns the names of the scopes that a client gets which asks
// for none.
func DefaultScopes() []string {
	return []string{ScopeIncidentsRead, ScopeSchedulesRead, ScopeIncidentsWrite}
}

// ScopeWords returns the words for the given scope names in the order of the
// consent page.
func ScopeWords(names []string) []string {
	var words []string
	for _, s := range Scopes() {
		if slices.Contains(names, s.Name) {
			words = append(words, s.Words)
		}
	}
	return words
}
