package conformance

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// Expected are the failures that are expected of a run. The zero value expects none.
type Expected struct {
	path    string
	entries []entry
}

// entry names a scenario, or one check of it, and says why it fails.
type entry struct{ name, why string }

// Expect reads a file that the suite itself takes as its --expected-failures: a YAML
// list of "scenario" and "scenario:check". Each entry, or several in a row, must have
// the reason in a comment above.
func Expect(t testing.TB, path string) Expected {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e := Expected{path: path}
	why, complete := "", false
	for n, line := range strings.Split(string(raw), "\n") {
		words, isComment := strings.CutPrefix(line, "#")
		name, isEntry := strings.CutPrefix(line, "- ")
		switch {
		case isComment && complete:
			why, complete = strings.TrimSpace(words), false
		case isComment:
			why = strings.TrimSpace(why + words)
		case isEntry && why != "":
			e.entries = append(e.entries, entry{strings.TrimSpace(name), why})
			complete = true
		case line == "" || line == "server:":
			why, complete = "", false
		default:
			t.Fatalf("%s:%d: want an entry with its reason above, got %q", path, n+1, line)
		}
	}
	return e
}

// Judge makes a subtest of each scenario. A check that failed fails it, unless that
// was expected; so does an expected failure that did not happen. The subtest's
// attribute "conformance" is how many checks passed.
func Judge(t *testing.T, scenarios []Scenario, expected Expected) {
	ran := map[string]bool{}
	for _, s := range scenarios {
		ran[s.Name] = true
		t.Run(s.Name, func(t *testing.T) {
			if len(s.Checks) == 0 {
				t.Error("the suite checked nothing")
			}
			passed, met := 0, map[string]bool{}
			for _, c := range s.Checks {
				if c.Status == "SUCCESS" {
					passed++
				}
				if !c.failed() {
					continue
				}
				i := slices.IndexFunc(expected.entries, func(e entry) bool { return e.name == s.Name || e.name == s.Name+":"+c.ID })
				if i < 0 {
					t.Errorf("%s: %s: %s\n%s", c.Status, c.ID, c.Description, c.ErrorMessage)
					continue
				}
				met[expected.entries[i].name] = true
				t.Logf("%s: %s: %s\nThat was expected: %s", c.Status, c.ID, c.ErrorMessage, expected.entries[i].why)
			}
			for _, e := range expected.entries {
				if e.scenario() == s.Name && !met[e.name] {
					t.Errorf("%s does not fail any more: take it out of %s", e.name, expected.path)
				}
			}
			t.Attr("conformance", fmt.Sprint(passed))
		})
	}
	for _, e := range expected.entries {
		if !ran[e.scenario()] {
			t.Errorf("%s did not run: take it out of %s", e.name, expected.path)
		}
	}
}

func (e entry) scenario() string { name, _, _ := strings.Cut(e.name, ":"); return name }
