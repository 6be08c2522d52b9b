package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPercentileIsTheNearestRank(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for n := range 100 {
		hundred = append(hundred, time.Duration(n+1))
	}
	for _, tt := range []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{nil, 50, 0},
		{[]time.Duration{7}, 1, 7},
		{[]time.Duration{7}, 99, 7},
		{[]time.Duration{1, 2}, 50, 1},
		{[]time.Duration{1, 2, 3}, 50, 2},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred, 0, 1},
	} {
		if got := percentile(tt.sorted, tt.p); got != tt.want {
			t.Errorf("percentile %v of %d values is %d, want %d", tt.p, len(tt.sorted), got, tt.want)
		}
	}
}

func TestResultCountsGoodAnswersOnly(t *testing.T) {
	t.Parallel()
	r := newResult("refresh", 2, 2*time.Second, []time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond, 9 * time.Millisecond},
		map[string]int{"503 temporarily_unavailable": 1, "400 invalid_grant": 5})
	if r.Requests != 4 || r.PerSecond != 2 || r.P50 != 2 || r.P99 != 9 {
		t.Errorf("got %+v", r)
	}
	if got, want := kinds(r.Errors), "5 400 invalid_grant, 1 503 temporarily_unavailable"; got != want {
		t.Errorf("errors are %q, want %q", got, want)
	}
	if s := r.share(1, "server", 2*time.Millisecond); s.MicrosPerRequest != 500 || s.RequestsPerSeconds != 2000 {
		t.Errorf("share is %+v", s)
	}
}

// TestProcessorTimeIsOfAProcessAndItsOwnDescendants has a server (10) that
// started a PostgreSQL (20) with a backend (21), and a name that looks like the
// end of one.
func TestProcessorTimeIsOfAProcessAndItsOwnDescendants(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	for pid, line := range map[string]string{
		"10": "10 (scaling-mcp) S 1 0 0 0 0 0 0 0 0 0 100 50 0 0 20 0",
		"11": "11 (a ) b) S 10 0 0 0 0 0 0 0 0 0 1 0 0 0 20 0",
		"20": "20 (postgres) S 10 0 0 0 0 0 0 0 0 0 10 0 5 5 20 0",
		"21": "21 (postgres) S 20 0 0 0 0 0 0 0 0 0 200 100 0 0 20 0",
	} {
		dir := filepath.Join(proc, pid)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, err := processes(proc)
	if err != nil {
		t.Fatal(err)
	}
	roots := []int{10, 20}
	for pid, want := range map[int]time.Duration{10: 1510 * time.Millisecond, 20: 3200 * time.Millisecond} {
		if got := treeTime(all, pid, roots); got != want {
			t.Errorf("process %d used %v, want %v", pid, got, want)
		}
	}
	if all[11].name != "a ) b" {
		t.Errorf("name is %q", all[11].name)
	}
}

func TestNothingLeavesThisComputer(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https://mcp.scaling.cloud", "http://localhost.example:8080", "http://192.0.2.1", "localhost:8080"} {
		if err := run(t.Context(), []string{url}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "on this computer") {
			t.Errorf("%s: error is %v, want a refusal", url, err)
		}
	}
	// Nor by a redirect.
	here := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusSeeOther))
	defer here.Close()
	client := &http.Client{Transport: newTransport()}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, here.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(r); err == nil || !strings.Contains(err.Error(), "not on this computer") {
		t.Errorf("redirected elsewhere: error is %v, want a refusal", err)
	}
}
