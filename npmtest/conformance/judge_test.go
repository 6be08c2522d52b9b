package conformance

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpectedFailuresHaveReasons(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, file string
		want       []entry // nil: it is refused
	}{
		{"a reason for two, in two lines, and one for a check", `server:
# No sessions:
# no questions.
- sampling
- elicitation
# Another.
- ping:late
`, []entry{{"sampling", "No sessions: no questions."}, {"elicitation", "No sessions: no questions."}, {"ping:late", "Another."}}},
		{"no reason", "server:\n- ping\n", nil},
		{"a reason that belongs to others", "server:\n# Why.\n- ping\n\n- sampling\n", nil},
		{"a reason that is empty", "server:\n#\n- ping\n", nil},
		{"an entry of another form", "server:\n# Why.\n- ping\nping: late\n", nil},
	} {
		got, err := parse(row.file)
		if (err == nil) != (row.want != nil) {
			t.Errorf("%s: got error %v", row.name, err)
		}
		if diff := cmp.Diff(row.want, got, cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

func TestWhatTheSuiteSaysDecides(t *testing.T) {
	t.Parallel()
	good, bad := Check{ID: "good", Status: "SUCCESS"}, Check{ID: "bad", Description: "it is good", Status: "FAILURE", ErrorMessage: "it is bad"}
	worse := Check{ID: "worse", Status: "WARNING"}
	note, left := Check{ID: "note", Status: "INFO"}, Check{ID: "left", Status: "SKIPPED"}
	type verdict struct{ Passed, Forgiven, Faults int }
	for _, row := range []struct {
		name     string
		checks   []Check
		expected []string
		want     verdict
	}{
		{"all well", []Check{good, note, left, good}, nil, verdict{2, 0, 0}},
		{"nothing was checked", nil, nil, verdict{0, 0, 1}},
		{"a failure", []Check{good, bad}, nil, verdict{1, 0, 1}},
		{"a warning", []Check{worse, good}, nil, verdict{1, 0, 1}},
		{"an expected failure", []Check{good, bad}, []string{"this:bad"}, verdict{1, 1, 0}},
		{"an expected failure, and another", []Check{bad, worse}, []string{"this:bad"}, verdict{0, 1, 1}},
		{"a scenario that may fail", []Check{bad, worse, good}, []string{"this"}, verdict{1, 2, 0}},
		{"the expectation of another scenario", []Check{bad}, []string{"that", "that:bad", "this-too"}, verdict{0, 0, 1}},
		{"an expected failure that passes", []Check{good}, []string{"this:good"}, verdict{1, 0, 1}},
		{"an expected failure that is not there", []Check{good}, []string{"this:bad"}, verdict{1, 0, 1}},
		{"a scenario that may fail, and passes", []Check{good, note}, []string{"this"}, verdict{1, 0, 1}},
	} {
		var x Expected
		for _, name := range row.expected {
			x.entries = append(x.entries, entry{name, "Because."})
		}
		passed, forgiven, faults := x.judge(Scenario{"this", row.checks})
		if got := (verdict{passed, len(forgiven), len(faults)}); got != row.want {
			t.Errorf("%s: got %+v, want %+v: %q", row.name, got, row.want, faults)
		}
	}
	_, _, faults := Expected{}.judge(Scenario{"this", []Check{bad}})
	if want := []string{"FAILURE: bad: it is good\nit is bad"}; !cmp.Equal(faults, want) {
		t.Errorf("got %q, want %q", faults, want)
	}
}
