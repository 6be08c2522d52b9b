// Package loopback is the one rule for which hosts mean this computer. What that
// permits is its callers' business; redirect URIs have a narrower rule of their
// own in authz (RFC 8252 §7.3).
package loopback

import (
	"net"
	"strings"
)

// Host reports whether a host, without a port or brackets, means this computer:
// localhost, 127.0.0.0/8 or ::1.
func Host(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
