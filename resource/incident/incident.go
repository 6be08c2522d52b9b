// Package incident holds the rules of incidents: what may be created, who owns
// it and who is paged, what a list or a record shows. It knows no HTTP and no
// MCP; its refusals are sentences written for a model. Races, single effect and
// separation of organizations are store's guarantees, and who is on call is
// package oncall's arithmetic.
package incident

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/resource/paging"
	"scaling.cloud/mcp/store"
)

// Config is what a Service needs besides the store.
type Config struct {
	Now       func() time.Time
	PublicURL string // origin of incident URLs, without a trailing slash
	Paging    *paging.Service
}

// Service applies the rules. It is safe for concurrent use. A process needs
// one: it bounds the calls that wait for an idempotency key.
type Service struct {
	config      Config
	store       *store.Store
	idempotency *store.Idempotency
}

// New returns a Service on s.
func New(s *store.Store, c Config) *Service {
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	return &Service{c, s, store.NewIdempotency(s)}
}

// Actor is on whose behalf a mutation is made: a person, in one organization,
// through a client.
type Actor struct {
	UserID     string
	ClientName string // shown as "Alice via Claude"; empty in the dashboard
	OrgID      string
	MayPublish bool // what strangers read
	Call       Call
}

// change is what the actor does at an instant, for the store.
func (a Actor) change(at time.Time) store.Change {
	c := store.Change{UserID: a.UserID, At: at}
	if a.ClientName != "" {
		c.Via = &a.ClientName
	}
	return c
}

// Call is the call of a tool that an Actor makes, for the audit log.
type Call struct {
	Tool         string
	ConnectionID uuid.UUID // uuid.Nil in the dashboard
	ClientID     string    // empty in the dashboard
	RequestID    string
	At           time.Time // it began
}

// recordTx records the actor's call in the transaction of its effect. The
// sequential id is that of the incident it was about. A mutation that found
// nothing to change is recorded here, too; replays, refusals and reads are by the
// caller of this package.
func (s *Service) recordTx(ctx context.Context, tx pgx.Tx, a Actor, sequentialID int) error {
	return s.store.RecordAuditTx(ctx, tx, store.AuditEvent{
		OrgID: a.OrgID, UserID: a.UserID, ConnectionID: a.Call.ConnectionID, ClientID: a.Call.ClientID,
		Action: a.Call.Tool, Outcome: store.OutcomeOK, At: a.Call.At, Duration: s.config.Now().Sub(a.Call.At),
		Incident: &sequentialID, RequestID: a.Call.RequestID,
	})
}

// URL is where a member of its organization finds an incident. It goes by id:
// whoever follows it may belong to several organizations, each with an incident
// of that number.
func (s *Service) URL(i *store.Incident) string {
	return s.config.PublicURL + "/incidents/" + i.ID.String()
}

// Get returns the incident with the given number, or a not_found refusal.
func (s *Service) Get(ctx context.Context, orgID string, sequentialID int) (*store.IncidentDetails, error) {
	var p problems
	checkSequentialID(&p, sequentialID)
	if err := p.err(); err != nil {
		return nil, err
	}
	d, err := s.store.Incident(ctx, orgID, sequentialID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknownIncident(sequentialID)
	}
	if err != nil {
		return nil, fmt.Errorf("incident: getting: %w", err)
	}
	return d, nil
}
