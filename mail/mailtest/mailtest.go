// Package mailtest gives a test a real SMTP server of its own, which keeps what
// it accepts and refuses what it is told to.
package mailtest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Server is an SMTP server on this computer.
type Server struct {
	Address string // host:port

	listener net.Listener

	mu       sync.Mutex
	refusals int // of messages that are still to come
	refused  chan struct{}
	accepted chan *Received
	user     string
	password string
}

// Received is a message as it came over the wire.
type Received struct {
	From, To string // of the envelope
	Header   mail.Header
	Raw      string
	TLS      bool
	User     string // who authenticated
}

// Option changes a server before it starts.
type Option func(*smtp.Server, *Server)

// TLS has the server offer STARTTLS.
func TLS(config *tls.Config) Option {
	return func(s *smtp.Server, _ *Server) { s.TLSConfig = config }
}

// ImplicitTLS has the server speak TLS from the first byte.
func ImplicitTLS(config *tls.Config) Option {
	return func(_ *smtp.Server, s *Server) { s.listener = tls.NewListener(s.listener, config) }
}

// Login has the server ask for a user and password.
func Login(user, password string) Option {
	return func(_ *smtp.Server, s *Server) { s.user, s.password = user, password }
}

// Start starts a server that ends with the test.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("mailtest: %v", err)
	}
	s := &Server{Address: listener.Addr().String(), listener: listener, refused: make(chan struct{}, 100), accepted: make(chan *Received, 100)}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{server: s, conn: c}, nil }))
	server.Domain = "mail.example"
	server.ErrorLog = discard{}
	for _, o := range options {
		o(server, s)
	}
	go server.Serve(s.listener)
	t.Cleanup(func() { _ = server.Close() })
	return s
}

// Refuse has the server refuse the next n messages, for now (RFC 5321 §4.2.1).
func (s *Server) Refuse(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = n
}

// Refused receives a value for each message that was refused.
func (s *Server) Refused() <-chan struct{} { return s.refused }

// Accepted receives the messages that were accepted, in order.
func (s *Server) Accepted() <-chan *Received { return s.accepted }

func (s *Server) refuse() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusals == 0 {
		return false
	}
	s.refusals--
	s.refused <- struct{}{}
	return true
}

// session is one connection.
type session struct {
	server         *Server
	conn           *smtp.Conn
	from, to, user string
}

func (s *session) AuthMechanisms() []string {
	if s.server.user == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.user || password != s.server.password {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.user != "" && s.user == "" {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.server.refuse() {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "come back later"}
	}
	message, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		return errors.Join(errors.New("not a message"), err)
	}
	_, secure := s.conn.TLSConnectionState()
	s.server.accepted <- &Received{s.from, s.to, message.Header, string(raw), secure, s.user}
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}
