package incident

import (
	"context"
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
	stored, replayed, err := once(ctx, s, a, idempotencyKey, in.mutation(), func(tx pgx.Tx) (storedCreated, error) {
		created, err := s.createTx(ctx, tx, a, in, components)
		if err != nil {
			return storedCreated{}, err
		}
		return newStoredCreated(created), s.recordTx(ctx, tx, a, created.Incident.SequentialID)
	})
	if err != nil {
		return nil, err
	}
	created := stored.created()
	created.Replayed = replayed
	return created, nil
}

// mutation is what a key of this call stands for.
func (in Create) mutation() mutation {
	return mutation{
		tool: "create_incident", arguments: storedCreate(in), doing: "creating",
		busy: "Other incidents of this organization are being created, which takes too long. Nothing was created and nobody was paged.",
	}
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
	checkKey(&p, idempotencyKey)
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
	public, err := s.publicFromTheBeginningTx(ctx, tx, a)
	if err != nil {
		return nil, err
	}

	// From here on other incidents of the organization wait.
	n := store.NewIncident{
		OrgID: a.OrgID, Title: in.Title, Description: in.Description, Severity: store.Severity(in.Severity), ComponentIDs: components,
		Public: public,
	}
	if owner != nil {
		n.OwnerID = &owner.ID
	}
	if policy != nil {
		n.EscalationPolicyID = &policy.ID
	}
	i, err := s.store.CreateIncidentTx(ctx, tx, n, a.change(at))
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
