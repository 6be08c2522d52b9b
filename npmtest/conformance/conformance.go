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
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// run runs the suite and returns what it wrote down. It hands line, if any, each
// line that the suite prints.
func (s Suite) run(t testing.TB, line func(string), args ...string) []Scenario {
	t.Helper()
	m, dir := s.manifest(t), t.TempDir()
	args = append([]string{filepath.Join(m.dir, m.Bin["conformance"])}, append(args, "--output-dir", dir)...)
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
	scenarios, err := results(dir, printed.String(), ended == nil)
	if err != nil {
		t.Fatalf("%s: %v, %v\n%s%s", s, err, command.ProcessState, &printed, &complaints)
	}
	return scenarios
}

// announced is how the suite says how many scenarios it is going to run.
var announced = regexp.MustCompile(`(?m)^Running .*\((\d+) scenarios\)`)

// resultDir is the name of the folder with the result of a scenario.
var resultDir = regexp.MustCompile(`^(?:authorization-)?server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$`)

// results reads what the suite wrote into dir. It is an error if that is nothing, not
// all that the suite announced, or not how it ended.
func results(dir, printed string, content bool) ([]Scenario, error) {
	folders, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var scenarios []Scenario
	failed := false
	for _, folder := range folders {
		name := resultDir.FindStringSubmatch(folder.Name())
		if name == nil {
			return nil, fmt.Errorf("%s is no result of a scenario", folder.Name())
		}
		s := Scenario{Name: name[1]}
		switch raw, err := os.ReadFile(filepath.Join(dir, folder.Name(), "checks.json")); {
		case errors.Is(err, fs.ErrNotExist): // something was thrown
			s.Checks = []Check{{ID: "result", Description: "The scenario is run to its end", Status: "FAILURE", ErrorMessage: "it has no result"}}
		case err != nil:
			return nil, err
		default:
			if err := json.Unmarshal(raw, &s.Checks); err != nil {
				return nil, fmt.Errorf("%s: %w", folder.Name(), err)
			}
		}
		failed = failed || slices.ContainsFunc(s.Checks, func(c Check) bool { return c.Status == "FAILURE" })
		scenarios = append(scenarios, s)
	}
	count := announced.FindStringSubmatch(printed)
	switch {
	case len(scenarios) == 0:
		return nil, errors.New("no scenario has run")
	case count == nil || count[1] != strconv.Itoa(len(scenarios)):
		return nil, fmt.Errorf("%d scenarios have run, not as many as were announced", len(scenarios))
	case failed == content:
		return nil, errors.New("the suite did not end as its results say")
	}
	return scenarios, nil
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
