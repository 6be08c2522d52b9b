package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"gotest.tools/gotestsum/testjson"
)

// What tests say of themselves, with testing.T.Attr.
const (
	conformanceAttr = "conformance" // how many checks of the MCP conformance suite passed
	clientAttr      = "client"      // name and version of another's program that was driven
	documentsAttr   = "documents"   // how many documents fitted their schemas
)

// summary is what was checked.
type summary struct {
	passed, failed, skipped int // tests
	broken                  int // what is not a test: a package that does not build
	scenarios, checks       int // of the MCP conformance suite
	clients                 []string
	documents               int
	fuzzed                  []fuzzTarget
}

// fuzzTarget is a fuzz target after its time.
type fuzzTarget struct {
	name       string
	executions int
	ok         bool
}

func summarize(results *testjson.Execution) *summary {
	s := &summary{
		failed: len(results.Failed()), skipped: len(results.Skipped()), broken: len(results.Errors()),
	}
	for _, name := range results.Packages() {
		s.passed += len(results.Package(name).Passed)
		for _, test := range results.Package(name).Passed {
			if n, ok := test.Attributes[conformanceAttr]; ok {
				s.scenarios++
				s.checks += number(n)
			}
			if client, ok := test.Attributes[clientAttr]; ok && !slices.Contains(s.clients, client) {
				s.clients = append(s.clients, client)
			}
			s.documents += number(test.Attributes[documentsAttr])
		}
	}
	slices.Sort(s.clients)
	return s
}

// number is 0 for what is none.
func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// ok reports whether everything passed, and in CI whether everything was there.
func (s *summary) ok(ci, fuzzing bool) bool {
	failed := s.failed > 0 || s.broken > 0 || slices.ContainsFunc(s.fuzzed, func(f fuzzTarget) bool { return !f.ok })
	missing := s.skipped > 0 || s.passed == 0 || s.checks == 0 || len(s.clients) == 0 || s.documents == 0 || fuzzing && len(s.fuzzed) == 0
	return !failed && !(ci && missing)
}

func (s *summary) write(out io.Writer, took time.Duration) {
	fmt.Fprintf(out, "\n  tests         %d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	fmt.Fprintf(out, "  conformance   %d checks of %d scenarios of the MCP conformance suite\n", s.checks, s.scenarios)
	fmt.Fprintf(out, "  clients       %s\n", orNone(strings.Join(s.clients, ", ")))
	fmt.Fprintf(out, "  documents     %d fitted their schemas\n", s.documents)
	executions, found := 0, 0
	for _, f := range s.fuzzed {
		executions += f.executions
		if !f.ok {
			found++
		}
	}
	fmt.Fprintf(out, "  fuzz targets  %d, of which %d failed, %d inputs\n", len(s.fuzzed), found, executions)
	fmt.Fprintf(out, "  time          %s\n\n", took.Round(time.Second))
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed+s.broken+found, s.skipped)
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// fuzz runs scripts/fuzz, prints what it prints, and returns what it says.
func (c *command) fuzz(ctx context.Context, out io.Writer) ([]fuzzTarget, error) {
	script := exec.CommandContext(ctx, "scripts/fuzz", c.Fuzz.String())
	script.Cancel = func() error { return script.Process.Signal(os.Interrupt) }
	script.Stderr = out
	stdout, err := script.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := script.Start(); err != nil {
		return nil, err
	}
	targets, err := fuzzTargets(io.TeeReader(stdout, out))
	waited := script.Wait()
	if _, failed := errors.AsType[*exec.ExitError](waited); failed && slices.ContainsFunc(targets, func(f fuzzTarget) bool { return !f.ok }) {
		waited = nil // the targets say what failed
	}
	return targets, errors.Join(err, waited)
}

// fuzzTargets reads the lines of scripts/fuzz: name, time, how many executions,
// how many new inputs, and ok or what failed.
func fuzzTargets(lines io.Reader) ([]fuzzTarget, error) {
	var targets []fuzzTarget
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 7 || fields[3] != "executions" {
			return targets, fmt.Errorf("scripts/fuzz says %q", scanner.Text())
		}
		targets = append(targets, fuzzTarget{fields[0], number(fields[2]), fields[6] == "ok"})
	}
	return targets, scanner.Err()
}
