package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
)

// BenchmarkActivity shows pages of an organization's 100,000 calls in a year, and
// exports all of them.
func BenchmarkActivity(b *testing.B) {
	d := open(b)
	for month := range 13 {
		d.must(d.store.PrepareAuditLog(b.Context(), 24, now.AddDate(0, -month, 0)))
	}
	c := d.connect(bob, acme)
	d.exec(`INSERT INTO audit_events (org_id, id, at, user_id, connection_id, client_id, client_name, action, outcome, duration_us, request_id)
	        SELECT 'org_acme', gen_random_uuid(), $1::timestamptz - n * interval '5 minutes', 'user_bob', $2, 'client', 'Claude', 'get_incident', 'ok', 1000, gen_random_uuid()::text
	        FROM generate_series(1, 100000) n`, now, c)
	d.exec(`ANALYZE`)
	for name, target := range map[string]string{
		"first page": "/settings/activity",
		"deep page":  fmt.Sprintf("/settings/activity?after=%d.%s", now.Add(-95_000*5*time.Minute).UnixMicro(), uuid.New()),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if w := d.download(alice, target); w.Code != http.StatusOK || w.Body.Len() < 10_000 {
					b.Fatal(w.Code, w.Body.Len())
				}
			}
		})
	}
	for name, target := range map[string]string{"CSV": "/settings/activity.csv", "JSON": "/settings/activity.jsonl"} {
		b.Run(name, func(b *testing.B) {
			var bytes, most uint64
			for b.Loop() {
				w := &counted{header: http.Header{}}
				r := httptest.NewRequest(http.MethodGet, target, nil)
				r.AddCookie(&http.Cookie{Name: "user", Value: alice})
				runtime.GC()
				d.handler.ServeHTTP(w, r)
				bytes, most = w.bytes, max(most, w.heap)
			}
			b.SetBytes(int64(bytes))
			b.ReportMetric(float64(most)/1e6, "MB-heap")
		})
	}
}

// counted counts what is written, and looks at the heap now and then.
type counted struct {
	header             http.Header
	bytes, heap, wrote uint64
}

func (w *counted) Header() http.Header { return w.header }
func (w *counted) WriteHeader(int)     {}

func (w *counted) Write(p []byte) (int, error) {
	w.bytes += uint64(len(p))
	if w.wrote++; w.wrote%1000 == 0 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		w.heap = max(w.heap, stats.HeapAlloc)
	}
	return len(p), nil
}
