package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/store/volatile"
)

func newProxies(t testing.TB, cidrs ...string) proxies {
	t.Helper()
	p, err := parseProxies(cidrs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestClientIsTheFirstHopThatIsNotOurs: what a client writes into the header
// itself is never believed.
func TestClientIsTheFirstHopThatIsNotOurs(t *testing.T) {
	t.Parallel()
	p := newProxies(t, "10.0.0.0/8", "2001:db8:ffff::/48")
	for _, tt := range []struct {
		name, peer string
		header     []string
		want       string
	}{
		{"no proxy", "203.0.113.7:5", nil, "203.0.113.7"},
		{"no proxy, and a lie", "203.0.113.7:5", []string{"198.51.100.1"}, "203.0.113.7"},
		{"no proxy, and a lie about a proxy", "203.0.113.7:5", []string{"198.51.100.1, 10.0.0.1"}, "203.0.113.7"},
		{"one proxy", "10.0.0.1:5", []string{"203.0.113.7"}, "203.0.113.7"},
		{"one proxy, and a lie", "10.0.0.1:5", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7"},
		{"one proxy, and a lie that is none", "10.0.0.1:5", []string{"unknown, ,\t, 203.0.113.7"}, "203.0.113.7"},
		{"one proxy, and a lie in a line of its own", "10.0.0.1:5", []string{"198.51.100.1", "203.0.113.7"}, "203.0.113.7"},
		{"two proxies", "10.0.0.1:5", []string{"203.0.113.7, 10.9.9.9"}, "203.0.113.7"},
		{"two proxies, a line each", "10.0.0.1:5", []string{"203.0.113.7", "10.9.9.9"}, "203.0.113.7"},
		{"two proxies, and lies about three", "10.0.0.1:5", []string{"10.1.1.1, 198.51.100.1, 203.0.113.7, 10.9.9.9"}, "203.0.113.7"},
		{"a client among our own", "10.0.0.1:5", []string{"10.7.7.7, 10.9.9.9"}, "10.7.7.7"},
		{"a proxy that wrote nothing", "10.0.0.1:5", nil, "10.0.0.1"},
		{"a proxy that wrote an empty line", "10.0.0.1:5", []string{""}, "10.0.0.1"},
		{"a proxy that wrote no address", "10.0.0.1:5", []string{"203.0.113.7, unknown"}, "10.0.0.1"},
		{"a second proxy that wrote no address", "10.0.0.1:5", []string{"203.0.113.7, _hidden, 10.9.9.9"}, "10.0.0.1"},
		{"a trailing comma", "10.0.0.1:5", []string{"203.0.113.7,"}, "10.0.0.1"},
		{"with a port", "10.0.0.1:5", []string{"203.0.113.7:4711"}, "203.0.113.7"},
		{"without spaces", "10.0.0.1:5", []string{"198.51.100.1,203.0.113.7,10.9.9.9"}, "203.0.113.7"},
		{"IPv6", "[2001:db8:ffff::1]:5", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 with a port", "[2001:db8:ffff::1]:5", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"IPv6 with a zone", "[2001:db8:ffff::1]:5", []string{"fe80::7%made-up"}, "fe80::7"},
		{"IPv4 in the form of IPv6", "[::ffff:10.0.0.1]:5", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"a proxy in the form of IPv6", "10.0.0.1:5", []string{"203.0.113.7, ::ffff:10.9.9.9"}, "203.0.113.7"},
		{"a number that is none", "10.0.0.1:5", []string{"203.0.113.07"}, "10.0.0.1"},
		{"a network", "10.0.0.1:5", []string{"203.0.113.0/24"}, "10.0.0.1"},
		{"no address at all", "@", []string{"203.0.113.7"}, "invalid IP"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tt.peer
		r.Header["X-Forwarded-For"] = tt.header
		if got := p.client(r).String(); got != tt.want {
			t.Errorf("%s: from %s with %q: client is %s, want %s", tt.name, tt.peer, tt.header, got, tt.want)
		}
		if got, _, _ := strings.Cut(proxies(nil).client(r).String(), "%"); tt.want != "invalid IP" && !strings.HasPrefix(strings.NewReplacer("[", "", "::ffff:", "").Replace(tt.peer), got) {
			t.Errorf("%s: without trusted proxies the client is %s, want the peer %s", tt.name, got, tt.peer)
		}
	}
}

func TestProxiesThatCannotBeTrustedAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	newProxies(t) // none is fine
	newProxies(t, "10.1.2.3/32", "172.16.0.0/12", "fd00::/8", "::1/128")
	for cidr, want := range map[string]string{
		"10.1.2.3":          "10.1.2.3/32",
		"":                  "not a network",
		"proxy.example":     "not a network",
		"10.0.0.0/33":       "not a network",
		"10.0.0.0/8 ":       "not a network",
		"fe80::%eth0/64":    "not a network",
		"0.0.0.0/0":         "everybody",
		"::/0":              "everybody",
		"10.1.2.3/8":        "10.0.0.0/8",
		"2001:db8::1/32":    "2001:db8::/32",
		"::ffff:10.0.0.0/8": "IPv4",
	} {
		p, err := parseProxies([]string{"192.0.2.0/24", cidr})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: trusted are %v, error is %v, want one that says %q", cidr, p, err, want)
		}
	}
}

// FuzzForwardedFor: nothing in the header panics, nothing left of the last hop
// that is not ours has a say, and nobody whom we do not trust has any.
func FuzzForwardedFor(f *testing.F) {
	p := newProxies(f, "10.0.0.0/8", "2001:db8:ffff::/48")
	for _, seed := range []string{"", ",", "203.0.113.7", "10.0.0.1,", "[::1]:80", "[::1", "1.2.3.4:99999", "fe80::1%a,b", "::ffff:10.0.0.1", "10.1.1.1, 10.2.2.2", "\x00", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		client := func(peer string, lines ...string) netip.Addr {
			return p.client(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": lines}})
		}
		if got := client("203.0.113.7:5", header).String(); got != "203.0.113.7" {
			t.Errorf("%q from a stranger: client is %s", header, got)
		}
		for _, lines := range [][]string{{header + ",198.51.100.1"}, {header, "198.51.100.1"}, {header + ", 198.51.100.1:7 , 10.9.9.9"}} {
			if got := client("10.0.0.1:5", lines...).String(); got != "198.51.100.1" {
				t.Errorf("%q left of the client: client is %s", lines, got)
			}
		}
		got := client("10.0.0.1:5", header)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("%q from a proxy: client is %s", header, got)
		}
		if got.String() != "10.0.0.1" && !strings.Contains(header, ".") && !strings.Contains(header, ":") {
			t.Errorf("%q from a proxy: client is %s", header, got)
		}
	})
}

// TestRequestsAreCountedForTheClientsNetwork spends what one network may do, and
// sees who is refused for it.
func TestRequestsAreCountedForTheClientsNetwork(t *testing.T) {
	t.Parallel()
	const peer, client, invented = "127.0.0.1/32", "203.0.113.7/32", "198.51.100.1/32"
	for _, tt := range []struct {
		name, counted string
		args          []string
	}{
		{"behind a proxy that is trusted", client, []string{"--trusted-proxies", "127.0.0.0/8,::1/128"}},
		{"nobody is trusted", peer, nil},
	} {
		redisURL := storetest.Redis(t)
		s := startDev(t, append([]string{"--database-url", storetest.OpenURL(t), "--redis-url", redisURL}, tt.args...)...)
		redis, err := volatile.Open(redisURL)
		if err != nil {
			t.Fatal(err)
		}
		defer redis.Close()
		for _, request := range []struct{ bucket, method, path, contentType, body string }{
			{"sign-in", "GET", "/sign-in", "", ""},
			{"sign-in", "GET", "/sign-in/callback?state=x", "", ""},
			{"authorize", "GET", "/oauth/authorize", "", ""},
			{"consent", "GET", "/oauth/consent", "", ""},
			{"token-net", "POST", "/oauth/token", "application/x-www-form-urlencoded", "grant_type=refresh_token&client_id=x&refresh_token=x"},
			{"revoke-net", "POST", "/oauth/revoke", "application/x-www-form-urlencoded", "client_id=x&token=x"},
			{"register", "POST", "/oauth/register", "application/json", `{"redirect_uris":["https://a.example/cb"]}`},
		} {
			for _, network := range []string{peer, client, invented} {
				spent := "rl:" + request.bucket + ":" + network
				if err := redis.Set(t.Context(), spent, time.Now().Add(time.Hour).UnixMicro(), time.Minute).Err(); err != nil {
					t.Fatal(err)
				}
				r, err := http.NewRequestWithContext(t.Context(), request.method, "http://"+s.address+request.path, strings.NewReader(request.body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", request.contentType)
				r.Header.Set("X-Forwarded-For", "198.51.100.1, 203.0.113.7")
				response, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if got, want := response.StatusCode == http.StatusTooManyRequests, network == tt.counted; got != want {
					t.Errorf("%s: %s with all spent of %s: %d, refused is %v, want %v", tt.name, request.path, network, response.StatusCode, got, want)
				}
				if err := redis.Del(t.Context(), spent).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
