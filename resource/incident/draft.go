package incident

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

// Draft is a public update that waits for its author in the dashboard.
type Draft struct {
	ID        uuid.UUID
	URL       string // where its author publishes or discards it
	ExpiresAt time.Time
}

// posted returns the answer that was stored, or what has become of the draft
// that it was.
func (s *Service) posted(ctx context.Context, a Actor, stored storedPosted) (*Posted, error) {
	if stored.DraftID != nil {
		return s.postedAsDraft(ctx, a, *stored.DraftID)
	}
	p := &Posted{Update: stored.Update.update()}
	if stored.StatusPage != "" {
		p.StatusPageURL = s.statusPageURL(stored.StatusPage)
	}
	return p, nil
}

func (s *Service) postedAsDraft(ctx context.Context, a Actor, id uuid.UUID) (*Posted, error) {
	d, err := s.store.Draft(ctx, []string{a.OrgID}, a.UserID, id)
	if err != nil {
		return nil, fmt.Errorf("incident: reading a draft: %w", err)
	}
	switch d.State(s.config.Now()) {
	case store.DraftDiscarded:
		return nil, refuse(CodeDraftDiscarded, "The person discarded this text in the dashboard: it has not been published. Do not post it again. Ask the person what they want to change.")
	case store.DraftExpired:
		return nil, refuse(CodeDraftExpired, "This text waited a day in the dashboard and nobody published it. If it still holds, post it again with a new idempotencyKey.")
	case store.DraftPublished:
		u, err := s.store.Update(ctx, d.OrgID, d.IncidentID, *d.UpdateID)
		if err != nil {
			return nil, fmt.Errorf("incident: reading an update: %w", err)
		}
		p := &Posted{Update: u}
		if d.StatusPage != nil {
			p.StatusPageURL = s.statusPageURL(*d.StatusPage)
		}
		return p, nil
	}
	return &Posted{Draft: &Draft{ID: d.ID, URL: s.config.PublicURL + "/settings/drafts/" + d.ID.String(), ExpiresAt: d.ExpiresAt}}, nil
}

// Draft returns a draft that a person wrote in one of the given organizations,
// else store.ErrNotFound.
func (s *Service) Draft(ctx context.Context, orgIDs []string, authorID string, id uuid.UUID) (*store.Draft, error) {
	return s.store.Draft(ctx, orgIDs, authorID, id)
}

// PublishDraft publishes a draft of the person's, if it can be published now: of
// any number of calls one does, and no other changes anything. What stands in
// the way, or has happened before, is in the draft. The organization is one that
// the person belongs to. It returns store.ErrNotFound if there is no such draft.
func (s *Service) PublishDraft(ctx context.Context, orgID, authorID string, id uuid.UUID, requestID string) error {
	now := s.config.Now()
	return pgx.BeginFunc(ctx, s.store.Pool(), func(tx pgx.Tx) error {
		d, err := s.store.LockDraftTx(ctx, tx, orgID, authorID, id)
		if err != nil {
			return err
		}
		if !d.Publishable(now) {
			return nil
		}
		// The words came from the client, and are shown as those of the person
		// through it.
		a := Actor{UserID: authorID, ClientName: d.Via, OrgID: orgID}
		u, err := s.store.PostUpdateTx(ctx, tx, orgID, d.IncidentID, d.Body, store.VisibilityPublic, a.change(now))
		if err != nil {
			return err
		}
		if err := s.store.PublishedDraftTx(ctx, tx, orgID, d.ID, u.ID, now); err != nil {
			return err
		}
		return s.recordTx(ctx, tx, inDashboard(orgID, authorID, "publish_draft", requestID, now), d.SequentialID)
	})
}

// DiscardDraft ends a draft of the person's without publishing it, if it waits.
// It returns store.ErrNotFound if there is no such draft.
func (s *Service) DiscardDraft(ctx context.Context, orgID, authorID string, id uuid.UUID, requestID string) error {
	now := s.config.Now()
	return pgx.BeginFunc(ctx, s.store.Pool(), func(tx pgx.Tx) error {
		d, err := s.store.LockDraftTx(ctx, tx, orgID, authorID, id)
		if err != nil {
			return err
		}
		if d.State(now) != store.DraftWaiting {
			return nil
		}
		if err := s.store.DiscardDraftTx(ctx, tx, orgID, d.ID, now); err != nil {
			return err
		}
		return s.recordTx(ctx, tx, inDashboard(orgID, authorID, "discard_draft", requestID, now), d.SequentialID)
	})
}

// inDashboard is a person who does something without a client.
func inDashboard(orgID, userID, action, requestID string, at time.Time) Actor {
	return Actor{UserID: userID, OrgID: orgID, Call: Call{Tool: action, RequestID: requestID, At: at}}
}
