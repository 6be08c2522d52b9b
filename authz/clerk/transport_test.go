package clerk

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script answers in turn; a status of 0 is a network error.
type script struct {
	statuses   []int
	retryAfter string
	asked      []time.Duration // since the start
	start      time.Time
}

func (s *script) RoundTrip(*http.Request) (*http.Response, error) {
	s.asked = append(s.asked, time.Since(s.start))
	status := s.statuses[len(s.asked)-1]
	if status == 0 {
		return nil, errors.New("connection reset")
	}
	h := http.Header{}
	if s.retryAfter != "" {
		h.Set("Retry-After", s.retryAfter)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func TestRetries(t *testing.T) {
	for name, test := range map[string]struct {
		method     string
		statuses   []int
		retryAfter string
		attempts   int
		least      time.Duration // before the last attempt
		most       time.Duration
	}{
		"success":                                {"GET", []int{200}, "", 1, 0, 0},
		"network error, then success":            {"GET", []int{0, 200}, "", 2, 100 * time.Millisecond, 200 * time.Millisecond},
		"gives up after three":                   {"GET", []int{503, 502, 504}, "", 3, 300 * time.Millisecond, 600 * time.Millisecond},
		"Retry-After in seconds":                 {"GET", []int{429, 200}, "2", 2, 2 * time.Second, 2 * time.Second},
		"Retry-After as a date":                  {"GET", []int{429, 200}, "Sat, 01 Jan 2000 00:00:03 GMT", 2, 3 * time.Second, 3 * time.Second},
		"Retry-After in the past":                {"GET", []int{429, 200}, "Fri, 31 Dec 1999 00:00:00 GMT", 2, 0, 0},
		"Retry-After past the deadline":          {"GET", []int{429}, "10", 1, 0, 0},
		"Retry-After that means nothing":         {"GET", []int{429, 200}, "soon", 2, 100 * time.Millisecond, 200 * time.Millisecond},
		"500 is not a matter of patience":        {"GET", []int{500}, "", 1, 0, 0},
		"404 is an answer":                       {"GET", []int{404}, "", 1, 0, 0},
		"what changes something is not repeated": {"POST", []int{503}, "", 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // starts on 2000-01-01
				base := &script{statuses: test.statuses, retryAfter: test.retryAfter, start: time.Now()}
				client := http.Client{
					Transport: &retrier{base: base, log: slog.New(slog.DiscardHandler), now: time.Now},
					Timeout:   10 * time.Second,
				}
				r, err := http.NewRequestWithContext(t.Context(), test.method, "http://clerk.example/", nil)
				if err != nil {
					t.Fatal(err)
				}
				if response, err := client.Do(r); err == nil {
					response.Body.Close()
				}
				if len(base.asked) != test.attempts {
					t.Fatalf("got %d attempts, want %d", len(base.asked), test.attempts)
				}
				if last := base.asked[test.attempts-1]; last < test.least || last > test.most {
					t.Errorf("last attempt after %v, want between %v and %v", last, test.least, test.most)
				}
			})
		})
	}
}
