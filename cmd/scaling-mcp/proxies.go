package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// proxies are the networks of the proxies in front of us, SCALING_TRUSTED_PROXIES.
// Anybody can write X-Forwarded-For; they are believed.
type proxies []netip.Prefix

// parseProxies reads CIDRs. The error says what is wrong with each that cannot be
// used.
func parseProxies(cidrs []string) (proxies, error) {
	var trusted proxies
	var problems []error
	for _, cidr := range cidrs {
		prefix, err := netip.ParsePrefix(cidr)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%q is not a network such as 10.0.0.0/8 or 2001:db8::/32; one address is written 10.1.2.3/32", cidr))
		case prefix.Bits() == 0:
			problems = append(problems, fmt.Errorf("%q is everybody: anybody could then claim any address", cidr))
		case prefix.Addr().Is4In6():
			problems = append(problems, fmt.Errorf("%q is a network of IPv4 in the form of IPv6: write it as IPv4", cidr))
		case prefix != prefix.Masked():
			problems = append(problems, fmt.Errorf("%q is not the beginning of its network, which is %s", cidr, prefix.Masked()))
		default:
			trusted = append(trusted, prefix)
		}
	}
	return trusted, errors.Join(problems...)
}

func (p proxies) trust(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// client returns the address of the client that r comes from, without a zone and
// never IPv4 in the form of IPv6. It is that of the connection, unless a proxy of
// ours holds that: each proxy writes at the right end of X-Forwarded-For whom it
// heard from, so the first one from the right that is none of ours is the client,
// and what is left of it is the client's own invention. Where a proxy of ours
// wrote no address, its own is all that is known. The zero address means that not
// even the connection has one.
func (p proxies) client(r *http.Request) netip.Addr {
	peer, ok := hop(r.RemoteAddr)
	if !ok || !p.trust(peer) {
		return peer
	}
	client := peer
	lines := r.Header.Values("X-Forwarded-For")
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			entry := rest
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, entry = rest[:comma], rest[comma+1:]
			} else {
				more = false
			}
			if client, ok = hop(strings.Trim(entry, " \t")); !ok {
				return peer
			}
			if !p.trust(client) {
				return client
			}
		}
	}
	return client
}

// hop reads an address as proxies write it: with or without a port.
func hop(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = withPort.Addr()
	}
	return a.Unmap().WithZone(""), true
}
