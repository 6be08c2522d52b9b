package conformance

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResultsAreAllThatWasAnnounced(t *testing.T) {
	t.Parallel()
	const (
		passes = "server-ping-2026-11-26T01-20-20-382Z"
		fails  = "server-tools-list-2026-11-26T01-20-21-007Z"
		lost   = "authorization-server-code-grant-2026-11-26T01-20-22-110Z"
		good   = `[{"id":"a","status":"SUCCESS"}]`
		bad    = `[{"id":"a","status":"SUCCESS"},{"id":"b","status":"FAILURE","errorMessage":"m"}]`
	)
	one, two := "Running all suite (1 scenarios) against x\n", "Running all suite (2 scenarios) against x\n"
	for _, row := range []struct {
		name    string
		dir     map[string]string // folder → checks.json, none if empty
		printed string
		content bool
		want    map[string]int // scenario → checks; nil: an error
	}{
		{"all well", map[string]string{passes: good}, one, true, map[string]int{"ping": 1}},
		{"one failed", map[string]string{passes: good, fails: bad}, two, false, map[string]int{"ping": 1, "tools-list": 2}},
		{"one was not run to its end", map[string]string{lost: ""}, one, false, map[string]int{"code-grant": 1}},
		{"nothing", nil, "Running all suite (0 scenarios) against x\n", true, nil},
		{"fewer than announced", map[string]string{passes: good}, two, true, nil},
		{"nothing announced", map[string]string{passes: good}, "", true, nil},
		{"one failed, and the suite is content", map[string]string{fails: bad}, one, true, nil},
		{"none failed, and the suite is not content", map[string]string{passes: good}, one, false, nil},
		{"not JSON", map[string]string{passes: "{"}, one, true, nil},
		{"something else", map[string]string{"tmp": good}, one, true, nil},
	} {
		dir := t.TempDir()
		for folder, checks := range row.dir {
			if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
				t.Fatal(err)
			}
			if checks == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, folder, "checks.json"), []byte(checks), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		scenarios, err := results(dir, row.printed, row.content)
		if (err == nil) != (row.want != nil) {
			t.Errorf("%s: got error %v", row.name, err)
			continue
		}
		var got map[string]int
		for _, s := range scenarios {
			if got == nil {
				got = map[string]int{}
			}
			got[s.Name] = len(s.Checks)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// TestOnlyTheTokenIsAddedOnTheWay: scenarios about DNS rebinding are about the Host
// and the Origin that they send.
func TestOnlyTheTokenIsAddedOnTheWay(t *testing.T) {
	t.Parallel()
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, Serve(t, "secret", Forward(server.Listener.Addr().String()))+"/mcp?q", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	r.Header.Set("Origin", "http://evil.example")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if got == nil || got.Host != "evil.example" || got.Header.Get("Origin") != "http://evil.example" ||
		got.Header.Get("Authorization") != "Bearer secret" || got.Method != http.MethodPost || got.URL.String() != "/mcp?q" {
		t.Errorf("got %+v", got)
	}
	if forwarded := got.Header.Get("X-Forwarded-For"); forwarded != "" {
		t.Errorf("got X-Forwarded-For %s", forwarded)
	}
}
