package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/store"
)

// BenchmarkStatusPage is the page of a bad day: 20 components, 10 active
// incidents, 40 that ended within 90 days, six public updates on each. anew reads
// it from the database and renders it; copy is what all but one visitor get.
func BenchmarkStatusPage(b *testing.B) {
	s := openStatusSite(b)
	var components []store.Component
	for n := range 20 {
		components = append(components, store.Component{Name: fmt.Sprintf("Component %d", n), GroupLabel: fmt.Sprintf("Group %d", n/5)})
	}
	o := s.org("acme", components...)
	for n := range 50 {
		ago := time.Duration(n) * 30 * time.Hour
		id := o.incident(fmt.Sprintf("Incident %d", n), store.SeverityHigh, ago, components[n%20].Name, components[(n+7)%20].Name)
		for u := range 6 {
			o.says(id, strings.Repeat("Some of our customers cannot pay. ", 8), ago)
			o.post(id, fmt.Sprintf("Internal %d", u), store.VisibilityInternal, ago)
		}
		if n >= 10 {
			o.resolve(id, store.StatusInvestigating, ago)
		}
	}
	_, err := s.store.Pool().Exec(b.Context(), `ANALYZE`)
	s.must(err)
	n := time.Duration(0)
	for name, later := range map[string]time.Duration{"anew": 5 * time.Second, "copy": 0} {
		b.Run(name, func(b *testing.B) {
			var size int
			for b.Loop() {
				n++
				s.at(n * later)
				w := s.do(http.MethodGet, "/status/acme", http.Header{})
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
