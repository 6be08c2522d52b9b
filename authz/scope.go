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

// narrowed returns the granted scopes that a token request asks for (RFC 6749
// §6): all of them where it does not say. What was not granted is left out
// rather than refused, since clients repeat what they first asked for whatever
// the person unticked; nothing left is invalid_scope.
func narrowed(granted []string, requested string) ([]string, error) {
	fields := strings.Fields(requested)
	if len(fields) == 0 {
		return granted, nil
	}
	var names []string
	for _, name := range granted {
		if slices.Contains(fields, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, refuse(codeInvalidScope, "None of these scopes was granted. Leave scope out to get all that were.")
	}
	return names, nil
}
