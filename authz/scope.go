package authz

import (
	"slices"
	"strings"

	"scaling.cloud/mcp/store"
)

// offeredScopes returns the scopes that the consent page offers for a requested
// scope parameter (RFC 6749 §3.3), in its order: unknown ones are dropped, none
// left means the default ones, and a client that can refresh is always offered
// to stay connected.
func offeredScopes(requested string, c *store.Client) []store.Scope {
	names := slices.DeleteFunc(strings.Fields(requested), func(name string) bool {
		return !slices.Contains(store.ResourceScopes(), name)
	})
	if len(names) == 0 {
		names = store.DefaultScopes()
	}
	if slices.Contains(c.GrantTypes, store.GrantRefresh) {
		names = append(names, store.ScopeOfflineAccess)
	}
	return slices.DeleteFunc(store.Scopes(), func(s store.Scope) bool { return !slices.Contains(names, s.Name) })
}

// chosenScopes returns the names of the offered scopes that a person ticked, in
// the order of the consent page. ok is false if nothing was left that lets the
// client do anything.
func chosenScopes(offered []store.Scope, ticked []string) (names []string, ok bool) {
	for _, scope := range offered {
		if slices.Contains(ticked, scope.Name) {
			names = append(names, scope.Name)
			ok = ok || scope.Name != store.ScopeOfflineAccess
		}
	}
	return names, ok
}

// requestedScopes returns the scopes that a token request asks for (RFC 6749
// §6), or nil if it asks for all that were granted: by saying nothing, or nothing
// that we know. Clients repeat at each refresh what they first asked for.
func requestedScopes(requested string) []string {
	names := slices.DeleteFunc(strings.Fields(requested), func(name string) bool {
		return !slices.Contains(store.ResourceScopes(), name)
	})
	if len(names) == 0 {
		return nil
	}
	return names
}

// narrowed returns the granted scopes that were requested. What was not granted
// is left out rather than refused, whatever the person unticked; and staying
// connected is not narrowed away, it is about the refresh token.
func narrowed(granted, requested []string) []string {
	if requested == nil {
		return granted
	}
	return slices.DeleteFunc(slices.Clone(granted), func(name string) bool {
		return name != store.ScopeOfflineAccess && !slices.Contains(requested, name)
	})
}
