// Package mail sends messages to people: over SMTP, or into an outbox that dev
// shows, or nowhere, with a line in the log. What is said to whom, and what
// becomes of a message that could not be sent, is its callers' business: a
// Sender tries once. Whoever writes a message need not fear that a name or a
// subject becomes a header, whatever it holds.
package mail

import (
	"context"
	"log/slog"
)

// Message is a message to one person, in plain text.
type Message struct {
	// ID tells a message from every other, and is the same whenever it is sent
	// again, so that a mail program may show it once. Letters, digits, dots and
	// hyphens.
	ID string
	// Thread is the ID of what the message belongs to; mail programs show those
	// of one thread together. It may be empty.
	Thread string

	Name, Address string // of whom it goes to; the name may be empty
	Subject       string
	Text          string
}

// Sender sends messages. It is safe for concurrent use.
type Sender interface {
	// Send returns nil once somebody has taken responsibility for the message.
	// After an error it may have been sent all the same.
	Send(context.Context, Message) error
}

// Log is a Sender for a server that has no mail server: it notes that a message
// was not sent.
type Log struct{ *slog.Logger }

// Send writes a line, without what the message says or to whom.
func (l Log) Send(ctx context.Context, m Message) error {
	l.WarnContext(ctx, "mail is not sent: no mail server is configured", "message", m.ID)
	return nil
}
