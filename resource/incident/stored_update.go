package incident

import (
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// storedPost is the canonical form of Post.
type storedPost struct {
	SequentialID int    `json:"sequentialId"`
	Body         string `json:"body"`
	Visibility   string `json:"visibility"`
}

// storedPosted is what a post led to: an update, or a draft. Of a draft only its
// id is kept, because what became of it is the answer to the call that asks.
// The text is not here: the arguments hold it.
type storedPosted struct {
	Update     *storedUpdate `json:"update,omitempty"`
	StatusPage string        `json:"statusPage,omitempty"` // slug, where the update is public
	DraftID    *uuid.UUID    `json:"draftId,omitempty"`
}

type storedUpdate struct {
	ID         uuid.UUID        `json:"id"`
	Visibility store.Visibility `json:"visibility"`
	PostedBy   storedPerson     `json:"postedBy"`
	PostedVia  *string          `json:"postedVia"`
	PostedAt   time.Time        `json:"postedAt"`
}

func newStoredUpdate(u *store.Update) *storedUpdate {
	return &storedUpdate{u.ID, u.Visibility, storedPerson(u.PostedBy.Person), u.PostedBy.Via, u.PostedAt}
}

func (u *storedUpdate) update() *store.Update {
	return &store.Update{
		ID: u.ID, Visibility: u.Visibility, PostedAt: u.PostedAt,
		PostedBy: store.Actor{Person: store.Person(u.PostedBy), Via: u.PostedVia},
	}
}
