package incident

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

// Codes of refusals of public updates.
const (
	CodePublicNotAllowed = "public_updates_not_allowed"
	CodeNotConfirmed     = "not_confirmed"
	CodeConfirmationUsed = "confirmation_used"
	CodeDraftDiscarded   = "draft_discarded"
	CodeDraftExpired     = "draft_expired"
)

// MaxUpdate is the most that an update may hold, in Unicode code points.
const MaxUpdate = 10_000

// Post describes an update to be posted.
type Post struct {
	SequentialID int
	Body         string // 1 to MaxUpdate characters, not only spaces
	Visibility   string // a store.Visibility
}

// Confirmation is what is known of the person's word on a public update. The
// zero value: nothing, and there is nobody to ask.
type Confirmation struct {
	// Possible says that the person can be asked in their client, and ByLink
	// that the client can only take them to a page.
	Possible, ByLink bool
	// Nonce names the question that the person said yes to, and ExpiresAt is
	// when that answer stops to count; uuid.Nil: there is no such answer.
	Nonce     uuid.UUID
	ExpiresAt time.Time
}

// ConfirmationRequired is the error of a public update that the person has to
// be asked about first. Nothing has happened, and no idempotency key is used.
type ConfirmationRequired struct {
	SequentialID  int
	Title         string
	AlreadyPublic bool   // strangers know of the incident, title included
	StatusPageURL string // where the text is going to be
}

func (*ConfirmationRequired) Error() string { return "the person must confirm this update first" }

// Posted is the answer to a post: either an update or a draft.
type Posted struct {
	Update *store.Update
	// Draft waits for its author: nothing has been published.
	Draft         *Draft
	StatusPageURL string // where a public update is; empty for an internal one
	// Replayed: this call did nothing, because an earlier one with the same key
	// did, or one with the same text that is kept as a draft.
	Replayed bool
}

// PostUpdate posts an update on an open incident. What is public reaches
// customers: it takes a status page that shows the incident, and an organization
// whose rule on public updates allows it (design §11). By that rule it is posted
// at once, or the person has confirmed it, or a *ConfirmationRequired is
// returned, or it becomes a draft that the person publishes in the dashboard.
//
// With an idempotency key it does so once. Without one each call posts anew;
// only a draft is never made twice of one text.
func (s *Service) PostUpdate(ctx context.Context, a Actor, in Post, asked Confirmation, idempotencyKey string) (*Posted, error) {
	if err := in.check(idempotencyKey); err != nil {
		return nil, err
	}
	if in.public() {
		// The scope and the rule hold for a replay, too.
		if !a.MayPublish {
			return nil, refuse(CodePublicNotAllowed, "This connection may not publish. Post the update with visibility internal, or ask the person to reconnect this client and allow: %s.",
				store.ScopeWords([]string{store.ScopeIncidentsPublish})[0])
		}
		rule, err := s.store.PublicUpdates(ctx, a.OrgID)
		if err != nil {
			return nil, fmt.Errorf("incident: posting an update: %w", err)
		}
		if rule == store.PublicUpdatesNever {
			return nil, publicNotAllowed()
		}
	}
	bodyHash := sha256.Sum256([]byte(in.Body))
	repeated := false // a draft of the text was there
	m := mutation{
		tool: "post_incident_update", arguments: storedPost(in), doing: "posting an update",
		busy: "The incident is being changed by others, which takes too long. This call posted nothing.",
	}
	stored, replayed, err := once(ctx, s, a, idempotencyKey, m, func(tx pgx.Tx) (storedPosted, error) {
		stored, did, err := s.postTx(ctx, tx, a, in, bodyHash, asked)
		if repeated = !did; err == nil && did {
			err = s.recordTx(ctx, tx, a, in.SequentialID)
		}
		return stored, err
	})
	if required, ok := errors.AsType[*ConfirmationRequired](err); ok {
		return nil, required
	}
	if err != nil {
		return nil, err
	}
	posted, err := s.posted(ctx, a, stored)
	if err != nil {
		return nil, err
	}
	posted.Replayed = replayed || repeated
	return posted, nil
}

// DeclineUpdate is the answer to a post whose person was asked and did not say
// yes: always a refusal. The question, if it was one of ours, is used up, so that
// no later yes goes with it.
func (s *Service) DeclineUpdate(ctx context.Context, a Actor, asked Confirmation) error {
	if asked.Nonce != uuid.Nil {
		if err := s.store.SpendConfirmation(ctx, a.OrgID, asked.Nonce, asked.ExpiresAt); err != nil && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("incident: declining an update: %w", err)
		}
	}
	return refuse(CodeNotConfirmed, "The person was asked and did not confirm this text: it has not been published. Do not repeat the call. Ask the person what they want to change, or post it with visibility internal if they agree.")
}

func (in Post) public() bool { return in.Visibility == string(store.VisibilityPublic) }

// check reports everything that is wrong with the arguments in themselves.
func (in Post) check(idempotencyKey string) error {
	var p problems
	checkSequentialID(&p, in.SequentialID)
	if strings.TrimSpace(in.Body) == "" {
		p.add("body must say something: it is empty.")
	}
	checkText(&p, "body", in.Body, MaxUpdate)
	oneOf(&p, "visibility", in.Visibility, store.Visibilities())
	checkKey(&p, idempotencyKey)
	return p.err()
}

// postTx posts the update or keeps it as a draft. did is false where it did
// neither, because a draft of the text was there.
func (s *Service) postTx(ctx context.Context, tx pgx.Tx, a Actor, in Post, bodyHash [32]byte, asked Confirmation) (stored storedPosted, did bool, err error) {
	i, err := s.lockTx(ctx, tx, a.OrgID, in.SequentialID)
	if err != nil {
		return stored, false, err
	}
	if in.public() {
		return s.publishTx(ctx, tx, a, i, in.Body, bodyHash, asked)
	}
	if i.Status == store.StatusResolved {
		return stored, false, resolved(i)
	}
	u, err := s.store.PostUpdateTx(ctx, tx, a.OrgID, i.ID, in.Body, store.VisibilityInternal, a.change(s.config.Now()))
	if err != nil {
		return stored, false, err
	}
	return storedPosted{Update: newStoredUpdate(u)}, true, nil
}

// publishTx is postTx for a public update.
func (s *Service) publishTx(ctx context.Context, tx pgx.Tx, a Actor, i *store.Incident, body string, bodyHash [32]byte, asked Confirmation) (stored storedPosted, did bool, err error) {
	at := s.config.Now()
	draft := store.NewDraft{
		OrgID: a.OrgID, IncidentID: i.ID, Body: body, BodyHash: bodyHash, AuthorID: a.UserID, Via: a.ClientName, At: at,
	}
	draftID, decided, err := s.store.DraftOfTextTx(ctx, tx, draft)
	waits := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return stored, false, err
	}
	if decided {
		return storedPosted{DraftID: &draftID}, false, nil
	}
	if i.Status == store.StatusResolved {
		return stored, false, resolved(i)
	}
	slug, byDraft, err := s.publishableTx(ctx, tx, a, i, asked)
	if err != nil {
		return stored, false, err
	}
	if byDraft && !waits {
		draftID, err = s.store.KeepDraftTx(ctx, tx, draft)
	}
	if byDraft {
		return storedPosted{DraftID: &draftID}, !waits, err
	}
	u, err := s.store.PostUpdateTx(ctx, tx, a.OrgID, i.ID, body, store.VisibilityPublic, a.change(at))
	if err != nil {
		return stored, false, err
	}
	if waits {
		// Or the person would publish it a second time.
		err = s.store.PublishedDraftTx(ctx, tx, a.OrgID, draftID, u.ID, at)
	}
	return storedPosted{Update: newStoredUpdate(u), StatusPage: slug}, true, err
}

func resolved(i *store.Incident) error {
	return refuse(CodeIncidentResolved, "Incident %d is resolved, which is final: nothing can be posted on it any more. If the problem is back, create a new incident.", i.SequentialID)
}

// publishableTx decides whether a public update may be posted, by draft or at
// once. slug is that of the status page that shows the incident. Rule and status
// page are those of this instant: they may have changed since the person was
// asked.
func (s *Service) publishableTx(ctx context.Context, tx pgx.Tx, a Actor, i *store.Incident, asked Confirmation) (slug string, byDraft bool, err error) {
	rule, err := s.store.PublicUpdatesTx(ctx, tx, a.OrgID)
	if err != nil {
		return "", false, err
	}
	if rule == store.PublicUpdatesNever {
		return "", false, publicNotAllowed()
	}
	slug, err = s.store.StatusSurfaceTx(ctx, tx, a.OrgID, i.ID)
	if errors.Is(err, store.ErrNotFound) {
		return "", false, refuse(CodeNoPublicSurface, "No published status page shows a component that incident %d affects, so nobody would see a public update. Post it with visibility internal.", i.SequentialID)
	}
	if err != nil {
		return "", false, err
	}
	if asked.Nonce != uuid.Nil {
		// It counts once, whether or not the rule asks for it by now.
		err := s.store.SpendConfirmationTx(ctx, tx, a.OrgID, asked.Nonce, asked.ExpiresAt)
		if errors.Is(err, store.ErrConflict) {
			return "", false, refuse(CodeConfirmationUsed, "The person's answer was used by an earlier call: if it was a yes, the update is posted. Look at get_incident_timeline before anything else.")
		}
		return slug, false, err
	}
	if rule != store.PublicUpdatesAllow && asked.Possible {
		return "", false, &ConfirmationRequired{
			SequentialID: i.SequentialID, Title: i.Title, AlreadyPublic: i.PublicAt != nil, StatusPageURL: s.statusPageURL(slug),
		}
	}
	byDraft = rule == store.PublicUpdatesConfirmAlways || rule == store.PublicUpdatesConfirmWhenPossible && asked.ByLink
	return slug, byDraft, nil
}

// publicFromTheBeginningTx reports whether an incident that the actor creates is
// public at once: they may publish, and nobody needs to confirm it.
func (s *Service) publicFromTheBeginningTx(ctx context.Context, tx pgx.Tx, a Actor) (bool, error) {
	if !a.MayPublish {
		return false, nil
	}
	rule, err := s.store.PublicUpdatesTx(ctx, tx, a.OrgID)
	return rule == store.PublicUpdatesAllow, err
}

func publicNotAllowed() error {
	return refuse(CodePublicNotAllowed, "The administrators of this organization do not allow clients to publish updates. This call published nothing. Post it with visibility internal.")
}

// statusPageURL is the public status page of the given slug.
func (s *Service) statusPageURL(slug string) string { return s.config.PublicURL + "/status/" + slug }
