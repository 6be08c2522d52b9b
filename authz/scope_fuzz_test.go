package authz

import (
	"slices"
	"strings"
	"testing"

	"scaling.cloud/mcp/store"
)

// inConsentOrder reports whether names are known scopes, each once, in the order
// of the consent page.
func inConsentOrder(names []string) bool {
	var known []string
	for _, scope := range store.Scopes() {
		if slices.Contains(names, scope.Name) {
			known = append(known, scope.Name)
		}
	}
	return slices.Equal(names, known)
}

// FuzzScope: whatever a client writes in scope, it is offered and granted known
// scopes, and never more than before.
func FuzzScope(f *testing.F) {
	for _, seed := range []string{
		"", " ", "incidents:read", "incidents:publish incidents:read incidents:read", "offline_access", "openid admin *",
		"INCIDENTS:READ", "incidents:read\tschedules:read\nincidents:write", "incidents:read,schedules:read", "\x00\xff",
		"offline_access incidents:publish offline_access",
	} {
		f.Add(seed, "incidents:read offline_access", true)
	}
	f.Fuzz(func(t *testing.T, requested, ticked string, refreshes bool) {
		c := &store.Client{GrantTypes: []string{store.GrantCode}}
		if refreshes {
			c.GrantTypes = append(c.GrantTypes, store.GrantRefresh)
		}
		var offered []string
		for _, scope := range offeredScopes(requested, c) {
			offered = append(offered, scope.Name)
		}
		if !inConsentOrder(offered) || len(offered) == 0 {
			t.Fatalf("%q: offered %q", requested, offered)
		}
		if slices.Contains(offered, store.ScopeOfflineAccess) != refreshes {
			t.Errorf("%q: a client that refreshes %v is offered %q", requested, refreshes, offered)
		}
		if slices.Contains(offered, store.ScopeIncidentsPublish) && !slices.Contains(strings.Fields(requested), store.ScopeIncidentsPublish) {
			t.Errorf("%q: offered %q, though nobody asked to publish", requested, offered)
		}
		granted, ok := chosenScopes(offeredScopes(requested, c), strings.Fields(ticked))
		if !inConsentOrder(granted) {
			t.Fatalf("%q, ticked %q: granted %q", requested, ticked, granted)
		}
		for _, name := range granted {
			if !slices.Contains(offered, name) || !slices.Contains(strings.Fields(ticked), name) {
				t.Errorf("%q, ticked %q: granted %q", requested, ticked, name)
			}
		}
		if useful := slices.ContainsFunc(granted, func(name string) bool { return name != store.ScopeOfflineAccess }); useful != ok {
			t.Errorf("%q, ticked %q: granted %q counts as something: %v", requested, ticked, granted, ok)
		}
		before := slices.Clone(granted)
		narrow := narrowed(granted, requestedScopes(requested))
		if !inConsentOrder(narrow) || !slices.Equal(granted, before) {
			t.Fatalf("%q of %q: narrowed to %q", requested, before, narrow)
		}
		for _, name := range narrow {
			if !slices.Contains(granted, name) {
				t.Errorf("%q of %q: widened by %q", requested, granted, name)
			}
		}
	})
}
