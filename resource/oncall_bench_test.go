package resource_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"
)

// BenchmarkWhoIsOnCall is who_is_on_call through the whole server, for an
// organization with 200 schedules of three layers, each with an override that
// stands. The processor time is this process's, without Postgres.
func BenchmarkWhoIsOnCall(b *testing.B) {
	st := newStore(b)
	manySchedules(b, st, 200, "Schedule ")
	f := newFixture(b, st, nil)
	header := f.bearer(b, everything...)
	header.Set("Mcp-Protocol-Version", "2025-11-25")
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	b.ReportAllocs()
	before := used()
	for b.Loop() {
		if w := f.record(header, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"who_is_on_call"}}`); w.Code != http.StatusOK {
			b.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
	b.ReportMetric(float64((used()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}
