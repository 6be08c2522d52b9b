package mail

import (
	"crypto/tls"
	"crypto/x509"
)

// Trust has the sender believe in roots, in place of the system's.
func (s *SMTP) Trust(roots *x509.CertPool) error {
	return s.client.SetTLSConfig(&tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
}
