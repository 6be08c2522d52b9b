package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"
)

// TestBenchMeasuresARunningServer runs scaling-bench, a handful of requests of
// each kind.
func TestBenchMeasuresARunningServer(t *testing.T) {
	t.Parallel()
	s := startTestDev(t)
	bench := exec.CommandContext(t.Context(), "go", "run", "scaling.cloud/mcp/cmd/scaling-bench", s.url,
		"--clients", "2", "--codes", "6", "--duration", "100ms", "--json")
	var stderr bytes.Buffer
	bench.Stderr = &stderr
	out, err := bench.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var results []struct {
		Phase    string
		Requests int
		Errors   map[string]int
	}
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(results) != 4 {
		t.Fatalf("%d phases, want 4: %s", len(results), out)
	}
	for _, r := range results {
		if r.Requests == 0 || len(r.Errors) > 0 {
			t.Errorf("%s: %d good answers, errors %v", r.Phase, r.Requests, r.Errors)
		}
	}
}
