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

func (e entry) scenario() string { name, _, _ := strings.Cut(e.name, ":"); return name }

// Expect reads a file that the suite itself takes as its --expected-failures: a YAML
// list of "scenario" and "scenario:check". Each entry, or several in a row, must have
// the reason in a comment above.
func Expect(t testing.TB, path string) Expected {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return Expected{path, entries}
}

func parse(text string) ([]entry, error) {
	var entries []entry
	why, explained := "", false // explained: an entry has followed the reason
	for i, line := range strings.Split(text, "\n") {
		comment, isComment := strings.CutPrefix(line, "#")
		name, isEntry := strings.CutPrefix(line, "- ")
		switch {
		case isComment && explained:
			why, explained = strings.TrimSpace(comment), false
		case isComment:
			why = strings.TrimSpace(why + comment)
		case isEntry && why != "":
			entries, explained = append(entries, entry{strings.TrimSpace(name), why}), true
		case line == "" || line == "server:":
			why, explained = "", false
		default:
			return nil, fmt.Errorf("line %d: %q is no entry with its reason above", i+1, line)
		}
	}
	return entries, nil
}

// Judge makes a subtest of each scenario. A check that failed fails it, unless that
// was expected; so does an expected failure that did not happen. The subtest's
// attribute "conformance" is how many checks passed.
func Judge(t *testing.T, scenarios []Scenario, expected Expected) {
	for _, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			passed, forgiven, faults := expected.judge(s)
			for _, f := range forgiven {
				t.Log(f)
			}
			for _, f := range faults {
				t.Error(f)
			}
			t.Attr("conformance", fmt.Sprint(passed))
		})
	}
	for _, e := range expected.entries {
		if !slices.ContainsFunc(scenarios, func(s Scenario) bool { return s.Name == e.scenario() }) {
			t.Errorf("%s did not run: take it out of %s", e.name, expected.path)
		}
	}
}

// judge counts the checks of a scenario that passed, and says which failures were
// expected and what is wrong.
func (x Expected) judge(s Scenario) (passed int, forgiven, faults []string) {
	if len(s.Checks) == 0 {
		faults = append(faults, "the suite checked nothing")
	}
	met := map[string]bool{}
	for _, c := range s.Checks {
		if c.Status == "SUCCESS" {
			passed++
		}
		if !c.failed() {
			continue
		}
		what := fmt.Sprintf("%s: %s: %s\n%s", c.Status, c.ID, c.Description, c.ErrorMessage)
		i := slices.IndexFunc(x.entries, func(e entry) bool { return e.name == s.Name || e.name == s.Name+":"+c.ID })
		if i < 0 {
			faults = append(faults, what)
			continue
		}
		met[x.entries[i].name] = true
		forgiven = append(forgiven, what+"\nThat was expected: "+x.entries[i].why)
	}
	for _, e := range x.entries {
		if e.scenario() == s.Name && !met[e.name] {
			faults = append(faults, e.name+" does not fail any more: take it out of "+x.path)
		}
	}
	return passed, forgiven, faults
}
