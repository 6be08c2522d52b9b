package resource

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/resource/incident"
	"scaling.cloud/mcp/store"
)

type postUpdateInput struct {
	SequentialID   sequentialID     `json:"sequentialId" jsonschema:"the incident's number within the organization"`
	Body           updateBody       `json:"body" jsonschema:"what to say, as it is to be read"`
	Visibility     store.Visibility `json:"visibility" jsonschema:"internal: only members of the organization read it. public: customers read it on the status page"`
	IdempotencyKey idempotencyKey   `json:"idempotencyKey,omitempty" jsonschema:"a value of your own, up to 255 visible ASCII characters, new for each update; repeating the call with it returns the first result"`
}

type postUpdateOutput struct {
	Update        *updateJSON `json:"update"`
	Draft         *draftJSON  `json:"draft"`
	StatusPageURL *string     `json:"statusPageUrl"`
	Replayed      bool        `json:"replayed"`
	incident      int
}

// updateJSON is an update on the wire (design §11).
type updateJSON struct {
	ID         uuid.UUID        `json:"id"`
	Body       string           `json:"body"`
	Visibility store.Visibility `json:"visibility"`
	PostedBy   actorJSON        `json:"postedBy"`
	PostedAt   time.Time        `json:"postedAt"`
}

// draftJSON is a public update that waits for the person in the dashboard.
type draftJSON struct {
	ID        uuid.UUID `json:"id"`
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func (s *Server) postIncidentUpdate(ctx context.Context, c *call, in postUpdateInput) (*postUpdateOutput, error) {
	c.annotate(slog.String("visibility", string(in.Visibility)))
	actor, err := s.actor(ctx, c)
	if err != nil {
		return nil, err
	}
	asked, declined := s.confirmation(c, in)
	if declined {
		return nil, s.Incidents.DeclineUpdate(ctx, actor, asked)
	}
	posted, err := s.Incidents.PostUpdate(ctx, actor,
		incident.Post{SequentialID: int(in.SequentialID), Body: string(in.Body), Visibility: string(in.Visibility)},
		asked, string(in.IdempotencyKey))
	if required, ok := errors.AsType[*incident.ConfirmationRequired](err); ok {
		return nil, s.askToPublish(c, in, required)
	}
	if err != nil {
		return nil, err
	}
	if posted.Draft != nil && asked.ByLink && !visited(c) {
		return nil, askToVisit(in.SequentialID, posted.Draft)
	}
	out := &postUpdateOutput{Replayed: posted.Replayed, incident: int(in.SequentialID)}
	if u := posted.Update; u != nil {
		out.Update = &updateJSON{
			ID: u.ID, Body: string(in.Body), Visibility: u.Visibility, PostedBy: newActorJSON(u.PostedBy), PostedAt: u.PostedAt.UTC(),
		}
	}
	if d := posted.Draft; d != nil {
		out.Draft = &draftJSON{d.ID, d.URL, d.ExpiresAt.UTC()}
	}
	if posted.StatusPageURL != "" {
		out.StatusPageURL = &posted.StatusPageURL
	}
	return out, nil
}

// The text that was posted is in structuredContent; whoever called knows it.
func (o *postUpdateOutput) writeText(t *transcript) {
	if d := o.Draft; d != nil {
		t.linef("NOTHING has been published on incident #%d. In this organization a person confirms public updates, so the text is kept as a draft.", o.incident)
		t.linef("Ask the person to open this link, where they read the text and publish or discard it: %s", d.URL)
		t.linef("It waits until %s. Repeat this call with the same arguments to learn what became of it; it makes no second draft.", clock(d.ExpiresAt))
		return
	}
	if o.Replayed {
		t.linef("This text was posted before, by an earlier call with the same idempotencyKey or by the person in the dashboard; nothing was done again.")
	}
	switch {
	case o.Update.Visibility == store.VisibilityInternal:
		t.linef("Posted an update on incident #%d at %s. Only members of the organization see it.", o.incident, clock(o.Update.PostedAt))
	case o.StatusPageURL == nil:
		t.linef("Published an update on incident #%d at %s. No status page shows the incident at the moment.", o.incident, clock(o.Update.PostedAt))
	default:
		t.linef("Published an update on incident #%d at %s, on %s", o.incident, clock(o.Update.PostedAt), *o.StatusPageURL)
	}
}

func untrustedInPosted() []string {
	return []string{"update.body", "update.postedBy.name", "update.postedBy.email", "update.postedBy.via"}
}
