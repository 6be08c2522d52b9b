// Package conformance runs the MCP conformance suite of package npmtest, and makes
// a subtest of each of its scenarios. It judges by what the suite wrote down. Which
// scenarios are expected to fail, and why, stands in files of the suite's own format.
//
// The suite has no way to send an access token. Its traffic goes through Serve,
// which adds one.
package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"scaling.cloud/mcp/npmtest"
)

// Suite is one of the pinned versions of the suite, by its name in package.json.
type Suite string

const (
	// Released is the latest release. It speaks 2025-11-25 alone.
	Released Suite = "conformance-0.1"

	// Coming is the next release. It speaks every revision since 2025-06-18.
	Coming Suite = "conformance-0.2"
)

// manifest is what a suite's own package.json says.
type manifest struct {
	Version string
	Bin     map[string]string
	dir     string
}

func (s Suite) manifest(t testing.TB) manifest {
	t.Helper()
	m := manifest{dir: filepath.Join(npmtest.Modules(t), string(s))}
	raw, err := os.ReadFile(filepath.Join(m.dir, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("%s: %v", m.dir, err)
	}
	return m
}

// Version returns the suite's exact version.
func (s Suite) Version(t testing.TB) string { t.Helper(); return s.manifest(t).Version }

// Scenario is a scenario of the suite that has run.
type Scenario struct {
	Name   string
	Checks []Check
}

// Check is one thing that a scenario looked at.
type Check struct {
	ID, Description, Status, ErrorMessage string
}

// failed reports whether the suite is not content. Of what it only warns the
// specification says that it SHOULD be otherwise.
func (c Check) failed() bool { return c.Status == "FAILURE" || c.Status == "WARNING" }

// Server runs all scenarios for servers that there are for a revision of the
// protocol, against the MCP endpoint at a URL. It returns those named, or all: most
// call tools by name that no product has, and which of them runs makes no difference
// to the others.
func (s Suite) Server(t testing.TB, url, revision string, names ...string) []Scenario {
	t.Helper()
	all := s.run(t, nil, "server", "--url", url, "--suite", "all", "--spec-version", revision)
	if names == nil {
		return all
	}
	var named []Scenario
	for _, name := range names {
		i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("%s has no scenario %s for %s", s, name, revision)
		}
		named = append(named, all[i])
	}
	return named
}

// announced is how the suite says how many scenarios it is going to run.
var announced = regexp.MustCompile(`(?m)^Running .*\((\d+) scenarios\)`)

// resultDir is the folder of one scenario's result.
var resultDir = regexp.MustCompile(`^(?:authorization-)?server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$`)

// run runs the suite and returns what it wrote down. It hands line, if any, each
// line that the suite prints. A suite that ran nothing, lost a result, or ended
// otherwise than its results say, fails the test.
func (s Suite) run(t testing.TB, line func(string), args ...string) []Scenario {
	t.Helper()
	m, results := s.manifest(t), t.TempDir()
	args = append([]string{filepath.Join(m.dir, m.Bin["conformance"])}, append(args, "--output-dir", results)...)
	command := exec.CommandContext(t.Context(), npmtest.Node(t), args...)
	var printed, complaints bytes.Buffer
	command.Stderr = &complaints
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(io.TeeReader(stdout, &printed))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if line != nil {
			line(lines.Text())
		}
	}
	ended := command.Wait()

	folders, err := os.ReadDir(results)
	if err != nil {
		t.Fatal(err)
	}
	var scenarios []Scenario
	unmet := false
	for _, folder := range folders {
		name := resultDir.FindStringSubmatch(folder.Name())
		if name == nil {
			t.Fatalf("%s of the suite is no result of a scenario", folder.Name())
		}
		scenario := Scenario{Name: name[1], Checks: checks(t, filepath.Join(results, folder.Name(), "checks.json"))}
		for _, c := range scenario.Checks {
			unmet = unmet || c.Status == "FAILURE"
		}
		scenarios = append(scenarios, scenario)
	}
	count := announced.FindSubmatch(printed.Bytes())
	if count == nil || len(scenarios) == 0 || string(count[1]) != strconv.Itoa(len(scenarios)) || (ended != nil) != unmet {
		t.Fatalf("%s: the results of %d scenarios, and %v\n%s%s", s, len(scenarios), command.ProcessState, &printed, &complaints)
	}
	return scenarios
}

// checks reads the result of a scenario. The suite writes none of one that it could
// not run to its end.
func checks(t testing.TB, path string) []Check {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		return []Check{{ID: "result", Description: "The scenario has a result", Status: "FAILURE", ErrorMessage: "it was not run to its end"}}
	}
	var list []Check
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return list
}

// Serve serves next to the suite on a port of its own, and returns its URL. Every
// request gets the access token, and is otherwise what the suite sent: Host, Origin
// and the loopback address that it came in on included.
func Serve(t testing.TB, token string, next http.Handler) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token)
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Forward hands requests on to the server that listens at an address, with the Host
// that they came with.
func Forward(address string) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", address, r.In.Host
	}}
}

// Authorization runs the scenarios for authorization servers against an issuer, as a
// client that is registered with the redirect URI http://127.0.0.1:<port>/callback.
// The suite prints a URL for a person to sign in and consent at, and waits; open has
// that done.
func (s Suite) Authorization(t testing.TB, issuer, clientID, resource string, port int, open func(url string)) []Scenario {
	t.Helper()
	return s.run(t, func(line string) {
		if strings.HasPrefix(line, issuer) {
			open(line)
		}
	}, "authorization", "--url", issuer, "--client-id", clientID, "--resource", resource, "--port", fmt.Sprint(port))
}
