package mail

import (
	"context"
	"slices"
	"sync"
	"time"
)

// outboxSize is how many messages an Outbox keeps: more than anybody reads.
const outboxSize = 100

// Outbox is a Sender that keeps the newest messages in memory, for development.
type Outbox struct {
	now func() time.Time

	mu   sync.Mutex
	kept []Sent // oldest first
}

// Sent is a message in an Outbox.
type Sent struct {
	Message
	At time.Time
}

// NewOutbox returns an empty Outbox.
func NewOutbox(now func() time.Time) *Outbox { return &Outbox{now: now} }

// Send keeps a message.
func (o *Outbox) Send(_ context.Context, m Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = append(o.kept, Sent{m, o.now()})
	if more := len(o.kept) - outboxSize; more > 0 {
		o.kept = slices.Delete(o.kept, 0, more)
	}
	return nil
}

// Messages returns the messages, newest first.
func (o *Outbox) Messages() []Sent {
	o.mu.Lock()
	defer o.mu.Unlock()
	newest := slices.Clone(o.kept)
	slices.Reverse(newest)
	return newest
}
