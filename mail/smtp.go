package mail

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"scaling.cloud/mcp/loopback"
	"scaling.cloud/mcp/visible"
)

// patience is how long the server may take to greet us, and then again to accept
// the message. Whoever waits for both, and the farewell, waits half a minute at
// most.
const patience = 10 * time.Second

// SMTP is a Sender over SMTP (RFC 5321), a connection per message.
type SMTP struct {
	client *gomail.Client
	from   *mail.Address
	host   string // right of the @ in Message-IDs
}

// NewSMTP returns a Sender through the server at rawURL, in the name of from, an
// address such as "Scaling <pages@scaling.cloud>".
//
// smtps:// is TLS from the first byte, port 465 if it names none. smtp:// is port
// 587, and TLS from STARTTLS on: a server that does not offer it is not spoken to,
// unless it is this computer. User and password, if any, stand in the URL; they
// are in no error.
func NewSMTP(rawURL, from string) (*SMTP, error) {
	// What url.Parse says quotes the URL.
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("not a URL such as smtp://user:password@mail.example.com:587")
	}
	sender, err := ParseAddress(from)
	if err != nil {
		return nil, err
	}
	options := []gomail.Option{gomail.WithTimeout(patience)}
	switch u.Scheme {
	case "smtps":
		options = append(options, gomail.WithSSL(), gomail.WithPort(465))
	case "smtp":
		policy := gomail.TLSMandatory
		if loopback.Host(u.Hostname()) {
			policy = gomail.TLSOpportunistic
		}
		options = append(options, gomail.WithTLSPolicy(policy), gomail.WithPort(587))
	default:
		return nil, errors.New("neither smtp:// nor smtps://")
	}
	if u.Port() != "" {
		port, err := strconv.Atoi(u.Port())
		if err != nil || port < 1 || port > 65535 {
			return nil, errors.New("a URL with a port that is none")
		}
		options = append(options, gomail.WithPort(port))
	}
	if u.User != nil {
		password, _ := u.User.Password()
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	client, err := gomail.NewClient(u.Hostname(), options...)
	if err != nil {
		return nil, err
	}
	_, host, _ := strings.Cut(sender.Address, "@")
	return &SMTP{client, sender, host}, nil
}

// ParseAddress reads an address with or without a name.
func ParseAddress(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return nil, errors.New(`not an address such as "Scaling <pages@example.com>"`)
	}
	return a, nil
}

// Send sends a message, with the server's consent as the proof.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	message, err := s.compose(m)
	if err != nil {
		return err
	}
	connection, err := s.client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("mail: connecting: %w", err)
	}
	defer s.client.CloseWithSMTPClient(connection) // sent is sent, whatever the farewell
	if err := s.client.SendWithSMTPClient(connection, message); err != nil && !message.IsDelivered() {
		return fmt.Errorf("mail: sending: %w", err)
	}
	return nil
}

// compose writes the headers. Names and subject come from strangers: what shows
// nothing is taken out of them, line breaks first of all, and the rest is encoded
// by RFC 2047.
func (s *SMTP) compose(m Message) (*gomail.Msg, error) {
	to, err := mail.ParseAddress(m.Address)
	if err != nil || to.Address != m.Address {
		return nil, errors.New("mail: the recipient's address is none")
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(s.from)
	message.ToMailAddress(&mail.Address{Name: visible.Only(m.Name), Address: to.Address})
	message.Subject(visible.Only(m.Subject))
	message.SetMessageIDWithValue(m.ID + "@" + s.host)
	if m.Thread != "" {
		message.SetGenHeader(gomail.HeaderReferences, "<"+m.Thread+"@"+s.host+">")
	}
	message.SetDate()
	// RFC 3834 §5.1: nobody's vacation notice answers it.
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	return message, nil
}
