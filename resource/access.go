package resource

import (
	"encoding/json"
	"strings"

	"scaling.cloud/mcp/authz/accesstoken"
)

// access says which scope a call of a tool needs: one for every call, but for
// those where an argument has a certain value, which need another instead.
type access struct {
	scope string

	argument, value string // the exception; an empty argument: there is none
	instead         string // the scope that it needs
}

// unless returns the tool with an exception: a call where the argument has the
// value needs another scope.
func (t *tool) unless(argument, value, scope string) *tool {
	t.argument, t.value, t.instead = argument, value, scope
	return t
}

// scopes returns those that allow some use of the tool.
func (a *access) scopes() []string {
	if a.argument == "" {
		return []string{a.scope}
	}
	return []string{a.scope, a.instead}
}

// allowsAll reports whether claims allow every use of the tool.
func (a *access) allowsAll(claims *accesstoken.Claims) bool {
	return claims.HasScope(a.scope) && (a.argument == "" || claims.HasScope(a.instead))
}

// use is a use of something, and the scope that it needs. The name is what the
// audit log calls it; words are for people, and empty where the name does.
type use struct{ name, words, scope string }

// forbidden returns the uses of the tool that its arguments may be read as and
// claims do not allow. All that may be taken for the deciding argument counts:
// each of several objects of arguments, each of several members, in whatever
// case. A parser that differs from ours then finds no use that was not allowed.
func (t *tool) forbidden(claims *accesstoken.Claims, arguments ...json.RawMessage) []use {
	if t.allowsAll(claims) {
		return nil
	}
	ordinary, exceptional := use{name: t.Name, scope: t.scope}, use{t.Name, t.Name + " with " + t.argument + " " + t.value, t.instead}
	if t.argument == "" {
		return []use{ordinary}
	}
	var forbidden []use
	said := false
	for _, object := range arguments {
		for key, value := range members(object) {
			if !strings.EqualFold(key, t.argument) {
				continue
			}
			said = true
			u := ordinary
			var text string
			if json.Unmarshal(value, &text) == nil && strings.EqualFold(text, t.value) {
				u = exceptional
			}
			if !claims.HasScope(u.scope) {
				forbidden = append(forbidden, u)
			}
		}
	}
	// A call that does not say which use it is does nothing; it is told so if
	// there is one that it may make.
	if !said && !claims.HasScope(t.scope) && !claims.HasScope(t.instead) {
		return []use{ordinary}
	}
	return forbidden
}
