package authz

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"scaling.cloud/mcp/store/volatile"
)

// newLimits returns limits that count by a clock that stands still, and an
// address that the test sets.
func newLimits(t *testing.T) (*Limits, *netip.Addr) {
	t.Helper()
	redis, err := volatile.Open("redis://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Close() })
	log, begun, from := slog.New(slog.DiscardHandler), time.Now(), new(netip.Addr)
	return &Limits{
		Limiter:       volatile.NewLimiter(redis, log, func() time.Time { return begun }),
		ClientAddress: func(*http.Request) netip.Addr { return *from },
		Log:           log,
	}, from
}

func TestNetworkIsWhatOneSubscriberHas(t *testing.T) {
	t.Parallel()
	l, from := newLimits(t)
	for address, want := range map[string]string{
		"203.0.113.7":            "203.0.113.7/32",
		"::ffff:203.0.113.7":     "203.0.113.7/32",
		"2001:db8:1:2::7":        "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1":   "2001:db8:1:2::/64",
		"2001:db8:1:3::7":        "2001:db8:1:3::/64",
		"fe80::1%an interface:x": "fe80::/64",
		"":                       "unknown",
	} {
		*from, _ = netip.ParseAddr(address)
		if got := l.network(httptest.NewRequest(http.MethodGet, "/", nil)); got != want {
			t.Errorf("%q is of network %q, want %q", address, got, want)
		}
	}
}

// TestRulesCanBeCounted: each has a bucket of its own, and an interval that is
// whole microseconds a hundred times over, as in dev.
func TestRulesCanBeCounted(t *testing.T) {
	t.Parallel()
	buckets := map[string]bool{}
	for i, all := 0, reflect.ValueOf(rules); i < all.NumField(); i++ {
		bucket, burst, every := all.Field(i).Field(0).String(), all.Field(i).Field(1).Int(), time.Duration(all.Field(i).Field(2).Int())
		if bucket == "" || buckets[bucket] {
			t.Errorf("%s: bucket %q is not its own", all.Type().Field(i).Name, bucket)
		}
		buckets[bucket] = true
		if burst < 1 || every < 100*time.Microsecond || every%(100*time.Microsecond) != 0 {
			t.Errorf("%s: %d at once and then one in %v", bucket, burst, every)
		}
	}
}

// TestNewClientsAreLimitedInAll: one network is stopped long before it has used up
// what others need, and then all together.
func TestNewClientsAreLimitedInAll(t *testing.T) {
	t.Parallel()
	l, from := newLimits(t)
	r := httptest.NewRequest(http.MethodPost, "/oauth/register", nil)
	register := func() (stored bool) {
		t.Helper()
		full, err := l.registration(r)
		if err != nil {
			t.Fatal(err)
		}
		if full == nil {
			l.registered(r)
		}
		return full == nil
	}
	total := 0
	for network := range 80 {
		*from = netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", network))
		ofThis := 0
		for range 100 {
			if register() {
				ofThis++
			}
		}
		if network < 50 && ofThis != 60 {
			t.Errorf("network %d registered %d new clients, want 60", network, ofThis)
		}
		total += ofThis
	}
	if total != 3000 {
		t.Errorf("80 networks registered %d new clients, want 3000", total)
	}
}
