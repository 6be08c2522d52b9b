package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is what one phase measured.
type result struct {
	Phase     string         `json:"phase"`
	Clients   int            `json:"clients"`
	Requests  int            `json:"requests"` // with a good answer
	PerSecond float64        `json:"requests_per_second"`
	P50       float64        `json:"p50_ms"` // of good answers
	P99       float64        `json:"p99_ms"`
	Errors    map[string]int `json:"errors"` // by kind
	CPU       []cpuShare     `json:"cpu,omitempty"`
}

// cpuShare is the processor time that a process and its descendants used during
// a phase.
type cpuShare struct {
	PID                int     `json:"pid"`
	Name               string  `json:"name"`
	Seconds            float64 `json:"cpu_seconds"`
	MicrosPerRequest   float64 `json:"cpu_us_per_request"`
	RequestsPerSeconds float64 `json:"requests_per_cpu_second"`
}

// newResult sums up a phase that took elapsed.
func newResult(phase string, clients int, elapsed time.Duration, latencies []time.Duration, failures map[string]int) result {
	slices.Sort(latencies)
	return result{
		Phase:     phase,
		Clients:   clients,
		Requests:  len(latencies),
		PerSecond: float64(len(latencies)) / elapsed.Seconds(),
		P50:       milliseconds(percentile(latencies, 50)),
		P99:       milliseconds(percentile(latencies, 99)),
		Errors:    failures,
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// percentile returns the smallest of sorted that p percent of them do not
// exceed (the nearest rank), and zero if there are none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// share divides a process's time by the good answers of r.
func (r result) share(pid int, name string, used time.Duration) cpuShare {
	s := cpuShare{PID: pid, Name: name, Seconds: used.Seconds()}
	if r.Requests > 0 {
		s.MicrosPerRequest = float64(used.Microseconds()) / float64(r.Requests)
	}
	if used > 0 {
		s.RequestsPerSeconds = float64(r.Requests) / used.Seconds()
	}
	return s
}

// printTable writes the results for a person.
func printTable(w io.Writer, results []result) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "phase\trequests\trequests/s\tp50 ms\tp99 ms\terrors\t\n")
	for _, r := range results {
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%.2f\t%.2f\t%s\t\n", r.Phase, r.Requests, r.PerSecond, r.P50, r.P99, kinds(r.Errors))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		for _, s := range r.CPU {
			if _, err := fmt.Fprintf(w, "%s: %s (%d) used %.0f cpu-µs a request, %.0f requests per CPU-second\n",
				r.Phase, s.Name, s.PID, s.MicrosPerRequest, s.RequestsPerSeconds); err != nil {
				return err
			}
		}
	}
	return nil
}

// kinds lists failures by kind, the commonest first.
func kinds(failures map[string]int) string {
	if len(failures) == 0 {
		return "none"
	}
	names := make([]string, 0, len(failures))
	for name := range failures {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if failures[a] != failures[b] {
			return failures[b] - failures[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", failures[name], name)
	}
	return strings.Join(names, ", ")
}
