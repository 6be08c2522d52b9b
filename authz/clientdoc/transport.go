package clientdoc

import (
	"net"
	"net/http"

	"code.dny.dev/ssrf"
)

// NewTransport returns a transport that reaches the public internet alone, at
// port 443. A name is resolved first; each address is then checked at the moment
// it is dialled, literally, so that a name that resolves to something else the
// next time gains nothing (DNS rebinding). Special-use addresses (RFC 6890) are
// refused: this computer, private networks, the metadata service of a cloud. No
// proxy is taken from the environment: it would resolve the name anew.
func NewTransport() *http.Transport { return newTransport(net.DefaultResolver, 443) }

func newTransport(resolver *net.Resolver, port uint16) *http.Transport {
	dialer := &net.Dialer{
		Timeout:  fetchTimeout,
		Resolver: resolver,
		Control:  ssrf.New(ssrf.WithPorts(port), ssrf.WithNetworks("tcp4", "tcp6")).Safe,
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    fetchTimeout,
		ResponseHeaderTimeout:  fetchTimeout,
		MaxResponseHeaderBytes: maxDocument,
		// One document in five minutes is not worth a connection that stays.
		DisableKeepAlives: true,
	}
}
