package clerkdev_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/npmtest"
)

// declarations are what Clerk's library declares the JSON to be that it reads, by
// the name of the interface.
type declarations map[string]declaration

type declaration struct {
	extends string // empty: nothing
	members []member
}

type member struct {
	name     string
	optional bool
	kind     string // as TypeScript has it
}

var (
	interfaceForm = regexp.MustCompile(`(?ms)^export interface (\w+)(?: extends (\w+))? \{\n(.*?)^\}`)
	memberForm    = regexp.MustCompile(`(?m)^    (\w+)(\?)?: (.+);$`)
)

func readDeclarations(t *testing.T) declarations {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(npmtest.Modules(t), "@clerk/backend/dist/api/resources/JSON.d.ts"))
	if err != nil {
		t.Fatal(err)
	}
	all := declarations{}
	for _, found := range interfaceForm.FindAllStringSubmatch(string(text), -1) {
		d := declaration{extends: found[2]}
		for _, m := range memberForm.FindAllStringSubmatch(found[3], -1) {
			d.members = append(d.members, member{m[1], m[2] == "?", m[3]})
		}
		all[found[1]] = d
	}
	return all
}

// superfluous are members that the library declares although Clerk's description of
// its API does not have them.
var superfluous = []string{"UserJSON.organization_memberships", "VerificationJSON.id"}

// check reports where value is not of a kind. Of kinds that are no interface, and
// no simple one, nothing is known.
func (all declarations) check(t *testing.T, path string, value any, kind string) {
	t.Helper()
	kind, nullable := strings.CutSuffix(kind, " | null")
	if value == nil && nullable {
		return
	}
	good := value != nil
	element, isList := strings.CutSuffix(kind, "[]")
	_, isObject := all[kind]
	switch {
	case isList:
		var list []any
		if list, good = value.([]any); good {
			for i, one := range list {
				all.check(t, fmt.Sprintf("%s[%d]", path, i), one, element)
			}
		}
	case isObject:
		var object map[string]any
		if object, good = value.(map[string]any); good {
			all.checkMembers(t, path, object, kind)
		}
	case kind == "string":
		_, good = value.(string)
	case kind == "number":
		_, good = value.(float64)
	case kind == "boolean":
		_, good = value.(bool)
	}
	if !good {
		t.Errorf("%s is %v, want %s", path, value, kind)
	}
}

func (all declarations) checkMembers(t *testing.T, path string, object map[string]any, kind string) {
	t.Helper()
	for name := kind; name != ""; name = all[name].extends {
		for _, m := range all[name].members {
			value, served := object[m.name]
			if slices.Contains(superfluous, kind+"."+m.name) || m.optional && value == nil {
				continue
			}
			if !served {
				t.Errorf("%s.%s is missing", path, m.name)
				continue
			}
			all.check(t, path+"."+m.name, value, m.kind)
		}
	}
}

// TestObjectsAreAsClerksLibraryDeclares, member by member: what the library makes
// of an object hides what it does not look at.
func TestObjectsAreAsClerksLibraryDeclares(t *testing.T) {
	t.Parallel()
	all := readDeclarations(t)
	hookURL, webhooks := receiver(t, http.StatusOK)
	s := start(t, func(c *clerkdev.Config) { c.WebhookURL, c.WebhookSecret = hookURL, webhookSecret })
	check := func(what string, value any, kind string) {
		t.Helper()
		if len(all[strings.TrimSuffix(kind, "[]")].members) == 0 {
			t.Fatalf("the library does not declare %s", kind)
		}
		all.check(t, what, value, kind)
	}
	check("user", read(t, s, "/v1/users/"+clerkdev.AliceID), "UserJSON")
	check("organization", read(t, s, "/v1/organizations/"+clerkdev.AcmeID), "OrganizationJSON")
	for _, path := range []string{"/v1/users/" + clerkdev.AliceID + "/organization_memberships", "/v1/organizations/" + clerkdev.AcmeID + "/memberships"} {
		list := read(t, s, path)
		check("list", list, "PaginatedResponseJSON")
		check("memberships", list["data"], "OrganizationMembershipJSON[]")
	}
	check("keys", read(t, s, "/v1/jwks")["keys"], "JwksKeyJSON[]")
	for _, step := range []struct{ action, command, kind string }{
		{"ban", `{"user":"bob@acme.example"}`, "UserJSON"},
		{"role", `{"user":"bob@acme.example","organization":"acme","role":"org:admin"}`, "OrganizationMembershipJSON"},
		{"remove", `{"user":"bob@acme.example","organization":"acme"}`, "OrganizationMembershipJSON"},
		{"add", `{"user":"bob@acme.example","organization":"acme"}`, "OrganizationMembershipJSON"},
		{"revoke-sessions", `{"user":"alice@acme.example"}`, "SessionWebhookEventJSON"},
		{"delete-user", `{"user":"alice@acme.example"}`, "UserDeletedJSON"},
		{"delete-organization", `{"organization":"acme"}`, "DeletedObjectJSON"},
	} {
		mustDo(t, s, step.action, step.command)
		event, _ := fromJSON(t, string((<-webhooks).body)).(map[string]any)
		check(step.action, event["data"], step.kind)
		if data, _ := event["data"].(map[string]any); step.action == "revoke-sessions" {
			check("session", read(t, s, "/v1/sessions/"+data["id"].(string)), "SessionJSON")
		}
	}
}

// read reads an object of the Backend API, without any library.
func read(t *testing.T, s *clerkdev.Server, path string) map[string]any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secretKey)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var object map[string]any
	if err := json.NewDecoder(response.Body).Decode(&object); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", path, response.Status, err)
	}
	return object
}
