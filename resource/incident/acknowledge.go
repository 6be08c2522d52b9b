package incident

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

// Acknowledged is the answer to an acknowledgment.
type Acknowledged struct {
	Incident *store.Incident
	Already  bool // somebody had acknowledged it before
	Replayed bool // an earlier call with the same key did it
}

// Acknowledge records that the actor has taken an incident, which stops its
// escalation. The first acknowledgment stands: another one changes nothing, and
// neither does one of an incident that is resolved, which pages nobody any more.
func (s *Service) Acknowledge(ctx context.Context, a Actor, sequentialID int, idempotencyKey string) (*Acknowledged, error) {
	var p problems
	checkSequentialID(&p, sequentialID)
	checkKey(&p, idempotencyKey)
	if err := p.err(); err != nil {
		return nil, err
	}
	m := move("acknowledge_incident", "acknowledging", storedMove{SequentialID: sequentialID})
	stored, replayed, err := once(ctx, s, a, idempotencyKey, m, func(tx pgx.Tx) (storedAcknowledged, error) {
		done, err := s.acknowledgeTx(ctx, tx, a, sequentialID)
		if err != nil {
			return storedAcknowledged{}, err
		}
		return newStoredAcknowledged(done), s.recordTx(ctx, tx, a, sequentialID)
	})
	if err != nil {
		return nil, err
	}
	done := stored.acknowledged()
	done.Replayed = replayed
	return done, nil
}

func (s *Service) acknowledgeTx(ctx context.Context, tx pgx.Tx, a Actor, sequentialID int) (*Acknowledged, error) {
	i, err := s.lockTx(ctx, tx, a.OrgID, sequentialID)
	if err != nil {
		return nil, err
	}
	if i.AcknowledgedAt != nil || i.Status == store.StatusResolved {
		return &Acknowledged{Incident: i, Already: i.AcknowledgedAt != nil}, nil
	}
	if err := s.store.AcknowledgeIncidentTx(ctx, tx, a.OrgID, i.ID, a.change(s.config.Now())); err != nil {
		return nil, err
	}
	if i, err = s.store.IncidentTx(ctx, tx, a.OrgID, i.ID); err != nil {
		return nil, err
	}
	return &Acknowledged{Incident: i}, nil
}

// move is the mutation of a call that moves an incident on.
func move(tool, doing string, arguments storedMove) mutation {
	return mutation{
		tool: tool, arguments: arguments, doing: doing,
		busy: "The incident is being changed by others, which takes too long. This call changed nothing.",
	}
}

// lockTx returns the incident with the given number, which nobody else can
// change until the transaction ends; or a not_found refusal. Of several calls at
// once each is judged on what the one before it left.
func (s *Service) lockTx(ctx context.Context, tx pgx.Tx, orgID string, sequentialID int) (*store.Incident, error) {
	i, err := s.store.LockIncidentTx(ctx, tx, orgID, sequentialID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknownIncident(sequentialID)
	}
	return i, err
}
