package incident

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/resource/paging"
	"scaling.cloud/mcp/store"
)

// Create describes an incident to be created. Empty fields are not given.
type Create struct {
	Title       string // 1 to MaxTitle characters, not only spaces
	Severity    string
	Description string // at most MaxDescription characters
	// OwnerID is a member who owns the incident.
	OwnerID string
	// OwnerScheduleID is a schedule whose person on call owns the incident,
	// unless OwnerID does; its escalation policy pages, unless
	// EscalationPolicyID names another.
	OwnerScheduleID    string
	EscalationPolicyID string
	ComponentIDs       []string // at most MaxComponents, each once
}

// Limits of an incident's text, in Unicode code points, and of the components
// that it is created with.
const (
	MaxTitle       = 100
	MaxDescription = 10_000
	MaxComponents  = 100
)

// maxUserID is longer than any id of Clerk's.
const maxUserID = 255

// Created is the answer to a creation.
type Created struct {
	Incident *store.Incident
	Paged    []store.Person // who was paged; empty, never nil
	Replayed bool           // an earlier call with the same key did it
}

// Create creates an incident and pages the first layer of its escalation policy
// that reaches anybody. An incident without a policy pages nobody. Where nobody
// is on call, the incident has no owner, and is created all the same.
//
// With an idempotency key it does so once (design §11): the same key and
// arguments get the same answer for 24 hours. Pages are queued in the transaction
// and sent after it: who was paged is known before anybody was reached.
func (s *Service) Create(ctx context.Context, a Actor, in Create, idempotencyKey string) (*Created, error) {
	if err := in.check(idempotencyKey); err != nil {
		return nil, err
	}
	components, err := in.components()
	if err != nil {
		return nil, err
	}
	key, err := in.key(a, idempotencyKey)
	if err != nil {
		return nil, err
	}
	result, replayed, err := s.idempotency.Run(ctx, key, s.config.Now(), func(tx pgx.Tx) ([]byte, error) {
		created, err := s.createTx(ctx, tx, a, in, components)
		if err != nil {
			return nil, err
		}
		if err := s.recordTx(ctx, tx, a, created.Incident.SequentialID); err != nil {
			return nil, err
		}
		return created.encode()
	})
	if err != nil {
		return nil, refusal(err, idempotencyKey)
	}
	// The first answer is read back from what is stored, like every later one:
	// so they are equal to the last digit.
	created, err := decodeCreated(result)
	if err != nil {
		return nil, err
	}
	created.Replayed = replayed
	return created, nil
}

// check reports everything that is wrong with the arguments in themselves.
func (in Create) check(idempotencyKey string) error {
	var p problems
	if strings.TrimSpace(in.Title) == "" {
		p.add("title must say what is wrong: it is empty.")
	}
	checkText(&p, "title", in.Title, MaxTitle)
	oneOf(&p, "severity", in.Severity, store.Severities())
	checkText(&p, "description", in.Description, MaxDescription)
	checkText(&p, "ownerId", in.OwnerID, maxUserID)
	if n := len(in.ComponentIDs); n > MaxComponents {
		p.add("componentIds must name at most %d components, got %d.", MaxComponents, n)
	}
	if len(idempotencyKey) > 255 || strings.ContainsFunc(idempotencyKey, func(r rune) bool { return r < '!' || r > '~' }) {
		p.add("idempotencyKey must be 1 to 255 visible ASCII characters, such as a UUID.")
	}
	return p.err()
}

func checkText(p *problems, argument, text string, most int) {
	if n := utf8.RuneCountInString(text); n > most {
		p.add("%s must be at most %d characters, got %d.", argument, most, n)
	}
	if strings.ContainsRune(text, 0) {
		p.add("%s must not contain the character U+0000.", argument)
	}
	if !utf8.ValidString(text) {
		p.add("%s must be valid UTF-8.", argument)
	}
}

// components parses ComponentIDs. Whether they exist is asked in the
// transaction.
func (in Create) components() ([]uuid.UUID, error) {
	ids := make([]uuid.UUID, 0, len(in.ComponentIDs))
	seen := make(map[uuid.UUID]bool, len(in.ComponentIDs))
	for _, s := range in.ComponentIDs {
		// What is no UUID becomes the zero UUID, which is nobody's.
		id, _ := uuid.Parse(s)
		if id != uuid.Nil && seen[id] {
			return nil, refuse(CodeDuplicateComponentID, "componentIds holds %s more than once. Name each component once.", quote(s))
		}
		seen[id] = true
		ids = append(ids, id)
	}
	return ids, nil
}

// refusal puts the outcomes of an idempotent call into words.
func refusal(err error, idempotencyKey string) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if errors.Is(err, store.ErrKeyReused) {
		return refuse(CodeKeyReused, "idempotencyKey %s was used with other arguments in the last 24 hours. Repeat the call with the same arguments to get its result, or use a new key for a new incident.", quote(idempotencyKey))
	}
	if errors.Is(err, store.ErrKeyInProgress) {
		return refuse(CodeKeyInProgress, "An earlier call with idempotencyKey %s is still running. Repeat this call with the same key and arguments in a few seconds to get its result.", quote(idempotencyKey))
	}
	if errors.Is(err, store.ErrBusy) {
		return refuse(CodeUnavailable, "Other incidents of this organization are being created, which takes too long. Nothing was created and nobody was paged. Repeat the call in a few seconds, with the same idempotencyKey if it has one.")
	}
	return fmt.Errorf("incident: creating: %w", err)
}

func (s *Service) createTx(ctx context.Context, tx pgx.Tx, a Actor, in Create, components []uuid.UUID) (*Created, error) {
	at := s.config.Now()
	owner, policy, err := s.responsibleTx(ctx, tx, a.OrgID, in, at)
	if err != nil {
		return nil, err
	}
	if err := s.checkComponentsTx(ctx, tx, a.OrgID, in.ComponentIDs, components); err != nil {
		return nil, err
	}
	var first *paging.Layer
	if policy != nil {
		if first, err = s.config.Paging.FirstTx(ctx, tx, a.OrgID, policy, at); err != nil {
			return nil, err
		}
	}

	// From here on other incidents of the organization wait.
	n := store.NewIncident{
		OrgID: a.OrgID, Title: in.Title, Description: in.Description, Severity: store.Severity(in.Severity), ComponentIDs: components,
	}
	if owner != nil {
		n.OwnerID = &owner.ID
	}
	if policy != nil {
		n.EscalationPolicyID = &policy.ID
	}
	change := store.Change{UserID: a.UserID, At: at}
	if a.ClientName != "" {
		change.Via = &a.ClientName
	}
	i, err := s.store.CreateIncidentTx(ctx, tx, n, change)
	if err != nil {
		return nil, err
	}
	created := &Created{Incident: i, Paged: []store.Person{}}
	if policy == nil {
		return created, nil
	}
	if first != nil {
		created.Paged = first.People
	}
	return created, s.config.Paging.PageTx(ctx, tx, i.OrgID, i.ID, first, i.CreatedAt)
}
