package clientdoc

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"code.dny.dev/ssrf"
	"golang.org/x/net/dns/dnsmessage"
)

// specialUse is an address of each range that no document may be fetched from
// (RFC 6890 and its registries).
var specialUse = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.1.2.3",
	"169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1",
	"192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
	"239.255.255.255", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
	"64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "3fff::1",
	"5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
}

// TestNoSpecialUseAddressIsReached, neither as it is written nor behind a name.
func TestNoSpecialUseAddressIsReached(t *testing.T) {
	t.Parallel()
	for _, address := range specialUse {
		ip := netip.MustParseAddr(address)
		host := address
		if ip.Is6() {
			host = "[" + address + "]"
		}
		_, err := NewFetcher(NewTransport(), time.Now).Fetch(t.Context(), "https://"+host+"/client.json", false)
		if !errors.Is(err, ssrf.ErrProhibitedIP) || !errors.Is(err, ErrUnusable) {
			t.Errorf("%s: %v, want that the address is prohibited", address, err)
		}
		transport := newTransport(names(t, func(string) []netip.Addr { return []netip.Addr{ip} }), 443)
		if _, err := NewFetcher(transport, time.Now).Fetch(t.Context(), "https://client.example/client.json", false); !errors.Is(err, ssrf.ErrProhibitedIP) {
			t.Errorf("a name for %s: %v, want that the address is prohibited", address, err)
		}
	}
}

// TestOtherSpellingsOfThisComputer must not find a resolver that takes them.
func TestOtherSpellingsOfThisComputer(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost."} {
		if answer, err := NewFetcher(NewTransport(), time.Now).Fetch(t.Context(), "https://"+host+"/client.json", false); err == nil {
			t.Errorf("%s was reached: %s", host, answer.Body)
		}
	}
}

// TestNobodyIsKnockedAt has real listeners on this computer, at the one port that
// the transport may use. Not even a connection must reach them, whatever name
// leads there, and whether the name changes its mind (DNS rebinding).
func TestNobodyIsKnockedAt(t *testing.T) {
	t.Parallel()
	var knocks atomic.Int32
	listen := func(network, address string) *net.TCPAddr {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Skipf("cannot listen on %s: %v", address, err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				knocks.Add(1)
				c.Close()
			}
		}()
		return l.Addr().(*net.TCPAddr)
	}
	at := listen("tcp4", "127.0.0.1:0")
	here := netip.MustParseAddr("127.0.0.1")
	unreachable := netip.MustParseAddr("240.0.0.1")
	asked := map[string]int{}
	for name, resolver := range map[string]*net.Resolver{
		"a name for this computer":     names(t, func(string) []netip.Addr { return []netip.Addr{here} }),
		"a name with a second address": names(t, func(string) []netip.Addr { return []netip.Addr{unreachable, here} }),
		"a name that means something else the next time": names(t, func(question string) []netip.Addr {
			if asked[question]++; asked[question] == 1 {
				return []netip.Addr{unreachable}
			}
			return []netip.Addr{here}
		}),
	} {
		transport := newTransport(resolver, uint16(at.Port))
		for range 3 {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://client.example:"+portOf(at)+"/client.json", nil)
			if err != nil {
				t.Fatal(err)
			}
			if response, err := transport.RoundTrip(request); err == nil {
				response.Body.Close()
				t.Errorf("%s: got an answer", name)
			} else if !errors.Is(err, ssrf.ErrProhibitedIP) {
				t.Errorf("%s: %v, want that the address is prohibited", name, err)
			}
		}
	}
	if got := knocks.Load(); got != 0 {
		t.Errorf("the listener saw %d connections", got)
	}
	// The listener would have been seen: without the guard it is.
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Read(make([]byte, 1)) // until it has been accepted and closed
	c.Close()
	if got := knocks.Load(); got != 1 {
		t.Errorf("the listener saw %d connections of one", got)
	}
}

func TestNoOtherPortAndNoProxy(t *testing.T) {
	t.Parallel()
	transport := NewTransport()
	if transport.Proxy != nil {
		t.Error("a proxy is taken from somewhere")
	}
	for _, port := range []string{"80", "22", "8443", "6379"} {
		if _, err := transport.DialContext(t.Context(), "tcp", "93.184.215.14:"+port); !errors.Is(err, ssrf.ErrProhibitedPort) {
			t.Errorf("port %s: %v, want that it is prohibited", port, err)
		}
	}
}

func portOf(a *net.TCPAddr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// names returns a resolver that asks a name server of the test, which answers by
// resolve.
func names(t *testing.T, resolve func(name string) []netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if message.Unpack(buffer[:n]) != nil || len(message.Questions) == 0 {
				continue
			}
			q := message.Questions[0]
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: message.ID, Response: true}, Questions: message.Questions}
			for _, ip := range resolve(q.Name.String() + q.Type.String()) {
				header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
				switch {
				case q.Type == dnsmessage.TypeA && ip.Is4():
					answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}})
				case q.Type == dnsmessage.TypeAAAA && ip.Is6():
					answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
				}
			}
			packed, err := answer.Pack()
			if err == nil {
				_, _ = server.WriteTo(packed, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", server.LocalAddr().String())
	}}
}
