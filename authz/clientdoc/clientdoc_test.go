package clientdoc

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

func TestFreshness(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC).Format(http.TimeFormat)
	later := time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC).Format(http.TimeFormat)
	for _, tt := range []struct {
		name    string
		headers http.Header
		want    time.Duration
	}{
		{"nothing said", nil, 5 * time.Minute},
		{"RFC 9111 §5.2.2.1: max-age", http.Header{"Cache-Control": {"public, max-age=3600"}}, time.Hour},
		{"RFC 9111 §4.2.3: less its age", http.Header{"Cache-Control": {"max-age=3600"}, "Age": {"1800"}}, 30 * time.Minute},
		{"older than it may get", http.Header{"Cache-Control": {"max-age=3600"}, "Age": {"9999"}}, 5 * time.Minute},
		{"RFC 9111 §5.2.2.10: s-maxage first", http.Header{"Cache-Control": {"max-age=600", "s-maxage=7200"}}, 2 * time.Hour},
		{"RFC 9111 §5.2.2.5: no-store", http.Header{"Cache-Control": {"max-age=3600, no-store"}}, 5 * time.Minute},
		{"RFC 9111 §5.3: Expires", http.Header{"Expires": {later}, "Date": {now}}, 2 * time.Hour},
		{"max-age before Expires", http.Header{"Expires": {later}, "Date": {now}, "Cache-Control": {"max-age=600"}}, 10 * time.Minute},
		{"RFC 9111 §5.3: Expires that is no date", http.Header{"Expires": {"0"}, "Date": {now}}, 5 * time.Minute},
		{"a year", http.Header{"Cache-Control": {"max-age=31536000, immutable"}}, 24 * time.Hour},
	} {
		if got := freshFor(tt.headers); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestOneDomainIsOnePlace: names in a domain are its owner's to make up, and all
// may lead to one address.
func TestOneDomainIsOnePlace(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newPace()
	ask := func(raw string, known bool) bool {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return p.allow(u, known, now)
	}
	for i := range paceBurst {
		if !ask("https://"+string(rune('a'+i))+".evil.example/x", false) {
			t.Fatalf("refused the %dth time", i+1)
		}
	}
	for raw, want := range map[string]bool{
		"https://z.evil.example/x":       false,
		"https://evil.example./x":        false,
		"https://EVIL.example/x":         false,
		"https://other.example/x":        true,
		"https://evil.co.uk/x":           true,
		"https://one.pages.dev/x":        true,
		"https://known.evil.example/doc": false,
	} {
		if got := ask(raw, false); got != want {
			t.Errorf("%s: %v, want %v", raw, got, want)
		}
	}
	if !ask("https://known.evil.example/doc", true) {
		t.Error("a well-known document waits for strangers")
	}
	now = now.Add(paceEvery)
	if !ask("https://z.evil.example/x", false) || ask("https://z.evil.example/x", false) {
		t.Error("a place is not asked again once in a while")
	}
}

// TestSlowServersHoldNobodyUp: their number is bounded, and well-known documents
// are not counted among them.
func TestSlowServersHoldNobodyUp(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	f := NewFetcher(roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-release
		}
		answer := httptest.NewRecorder()
		answer.Header().Set("Content-Type", "application/json")
		return answer.Result(), nil
	}), time.Now)
	done := make(chan error)
	for i := range maxFetches {
		go func() {
			_, err := f.Fetch(t.Context(), "https://"+string(rune('a'+i%26))+string(rune('a'+i/26))+".com/slow", false)
			done <- err
		}()
		<-arrived
	}
	if _, err := f.Fetch(t.Context(), "https://stranger.example/x", false); !errors.Is(err, ErrBusy) {
		t.Errorf("one more of a stranger's: %v, want ErrBusy", err)
	}
	if _, err := f.Fetch(t.Context(), "https://known.example/x", true); err != nil {
		t.Errorf("a well-known one: %v", err)
	}
	close(release)
	for range maxFetches {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if _, err := f.Fetch(t.Context(), "https://stranger.example/x", false); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
