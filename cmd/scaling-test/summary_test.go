package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gotest.tools/gotestsum/testjson"
)

// event is a line that go test -json prints.
func event(action, test string, more ...string) string {
	return fmt.Sprintf(`{"Time":"2026-11-26T12:00:00Z","Action":%q,"Package":"scaling.cloud/mcp/x","Test":%q%s}`+"\n", action, test, strings.Join(more, ""))
}

func passed(test string, attrs ...string) string {
	lines := event("run", test)
	for i := 0; i < len(attrs); i += 2 {
		lines += event("attr", test, fmt.Sprintf(`,"Key":%q,"Value":%q`, attrs[i], attrs[i+1]))
	}
	return lines + event("pass", test)
}

// whole is a run in which everything is there.
var whole = passed("TestA") + passed("TestB/one", "conformance", "7") + passed("TestB/two", "conformance", "5") +
	passed("TestC", "client", "Inspector 2.12.0") + passed("TestD", "client", "Inspector 2.12.0") + passed("TestE", "documents", "40")

func read(t *testing.T, events string) *summary {
	t.Helper()
	results, err := testjson.ScanTestOutput(testjson.ScanConfig{Stdout: strings.NewReader(events)})
	if err != nil {
		t.Fatal(err)
	}
	return summarize(results)
}

const fuzzed = `FuzzA                        20s     123456 executions    12 new  ok
FuzzB                        20s         99 executions     0 new  ok
`

func TestASummaryCountsWhatWasChecked(t *testing.T) {
	t.Parallel()
	s := read(t, whole)
	var err error
	if s.fuzzed, err = fuzzTargets(strings.NewReader(fuzzed)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	s.write(&out, 3*time.Minute)
	want := `
  tests         6 passed, 0 failed, 0 skipped
  conformance   12 checks of 2 scenarios of the MCP conformance suite
  clients       Inspector 2.12.0
  documents     40 fitted their schemas
  fuzz targets  2, of which 0 failed, 123555 inputs
  time          3m0s

6 passed, 0 failed, 0 skipped
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !s.ok(true, true) {
		t.Error("it is not ok")
	}
}

// TestNothingMayBeMissingInCI, and what failed fails everywhere.
func TestNothingMayBeMissingInCI(t *testing.T) {
	t.Parallel()
	without := func(line string) string {
		if !strings.Contains(whole, line) {
			t.Fatalf("%s is not there", line)
		}
		return strings.ReplaceAll(whole, line, "")
	}
	for name, tt := range map[string]struct {
		events, fuzzed string
		here, ci       bool
	}{
		"nothing":                  {"", fuzzed, true, false},
		"a failure":                {whole + event("run", "TestF") + event("fail", "TestF"), fuzzed, false, false},
		"a skipped test":           {whole + event("run", "TestF") + event("skip", "TestF"), fuzzed, true, false},
		"a test that never ended":  {whole + event("run", "TestF"), fuzzed, false, false},
		"what does not build":      {whole + `{"ImportPath":"x","Action":"build-output","Output":"no such thing\n"}` + "\n", fuzzed, false, false},
		"no documents":             {without(passed("TestE", "documents", "40")), fuzzed, true, false},
		"no clients":               {strings.ReplaceAll(whole, `"Key":"client"`, `"Key":"other"`), fuzzed, true, false},
		"no conformance":           {strings.ReplaceAll(whole, `"Key":"conformance"`, `"Key":"other"`), fuzzed, true, false},
		"no fuzzing":               {whole, "", true, false},
		"a fuzz target that fails": {whole, "FuzzC 3s 12 executions 0 new FAILED: x/testdata/fuzz/FuzzC/1\n", false, false},
	} {
		s := read(t, tt.events)
		var err error
		if s.fuzzed, err = fuzzTargets(strings.NewReader(tt.fuzzed)); err != nil {
			t.Fatal(err)
		}
		if here, ci := s.ok(false, true), s.ok(true, true); here != tt.here || ci != tt.ci {
			t.Errorf("%s: ok is %v, and %v in CI, want %v and %v", name, here, ci, tt.here, tt.ci)
		}
	}
	if _, err := fuzzTargets(strings.NewReader("a line that says something else, and much of it\n")); err == nil {
		t.Error("what scripts/fuzz cannot have said is taken for a target")
	}
}
