package clerk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"scaling.cloud/mcp/store"
)

// maxRemembered bounds the memory of Directory; an ordinary entry is under a
// kilobyte.
const maxRemembered = 10_000

// Revocations makes revocations known that the database has committed.
type Revocations interface {
	Publish(ctx context.Context, revoked ...*store.Revocation) (confirmed bool)
}

// Directory is Clerk as the rest of the program sees it: what it says has taken
// effect when it is returned. It is in the store, and the connections that it no
// longer covers are revoked. It is safe for concurrent use.
type Directory struct {
	client      *Client
	store       *store.Store
	revocations Revocations
	remembered  *lru.Cache[string, memory]
	asking      singleflight.Group
}

// memory is what Clerk said. at is when it was asked, not when it answered.
type memory struct {
	at          time.Time
	memberships []store.Membership
}

// NewDirectory returns a Directory that asks client, writes to s, and publishes
// what that revokes.
func NewDirectory(client *Client, s *store.Store, revocations Revocations) *Directory {
	remembered, err := lru.New[string, memory](maxRemembered)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Directory{client: client, store: s, revocations: revocations, remembered: remembered}
}

// Sync asks Clerk who a person is and where they belong, and lets the answer
// take effect. Somebody who is banned is returned as such, with their
// memberships: refusing them is the caller's decision.
//
// It returns ErrNotFound for somebody Clerk does not know, and who is forgotten
// here, too, by then; ErrUnavailable, without any effect, if Clerk gave no
// answer; else the store's error.
func (d *Directory) Sync(ctx context.Context, userID string) (store.User, []store.Membership, error) {
	return d.sync(ctx, userID, "")
}

// sync is Sync at the word of a webhook, or of nobody. It returns
// store.ErrConflict if the webhook has had its effect.
func (d *Directory) sync(ctx context.Context, id string, delivery store.Delivery) (store.User, []store.Membership, error) {
	// Of two that overlap the one that asked later shall win in the store, so
	// the instant is taken before asking.
	asked := d.client.now()
	u, memberships, err := d.ask(ctx, id)
	if errors.Is(err, ErrNotFound) && userID.MatchString(id) {
		if failed := d.forgetUser(ctx, id, asked, delivery); failed != nil {
			return store.User{}, nil, failed
		}
	}
	if err != nil {
		return store.User{}, nil, err
	}
	revoked, err := d.store.SavePerson(ctx, u, memberships, asked, delivery)
	if err != nil {
		return store.User{}, nil, err
	}
	d.publish(ctx, revoked)
	m := memory{at: asked}
	if !u.Banned {
		m.memberships = memberships
	}
	d.remembered.Add(id, m)
	return u, slices.Clone(memberships), nil
}

// forgetUser ends everything of a person who is not at Clerk any more.
func (d *Directory) forgetUser(ctx context.Context, id string, asked time.Time, delivery store.Delivery) error {
	d.remembered.Remove(id)
	revoked, err := d.store.ForgetUser(ctx, id, asked, delivery)
	d.publish(ctx, revoked)
	return err
}

// removeMember ends a membership of which Clerk told us, and could not be asked.
func (d *Directory) removeMember(ctx context.Context, orgID, id string, told time.Time, delivery store.Delivery) error {
	d.remembered.Remove(id)
	revoked, err := d.store.RemoveMember(ctx, orgID, id, told, delivery)
	d.publish(ctx, revoked)
	return err
}

// forgetOrganization ends everybody's connections to an organization that is not
// at Clerk any more. Memberships of it are remembered for a minute at most.
func (d *Directory) forgetOrganization(ctx context.Context, orgID string, asked time.Time, delivery store.Delivery) error {
	revoked, err := d.store.ForgetOrganization(ctx, orgID, asked, delivery)
	d.publish(ctx, revoked)
	return err
}

// publish makes revocations known. Whether they are confirmed decides nothing
// here: the database has them, and whoever waits for it is a page.
func (d *Directory) publish(ctx context.Context, revoked []*store.Revocation) {
	if len(revoked) > 0 {
		d.revocations.Publish(ctx, revoked...)
	}
}

// ask reads the person and their memberships at the same time. Only the answer
// about the person says whether there is one: a list that is not found leaves
// that open.
func (d *Directory) ask(ctx context.Context, userID string) (store.User, []store.Membership, error) {
	var memberships []store.Membership
	var failed error
	var reading sync.WaitGroup
	reading.Go(func() { memberships, failed = d.client.Memberships(ctx, userID) })
	u, err := d.client.User(ctx, userID)
	reading.Wait()
	switch {
	case err != nil:
		return store.User{}, nil, err
	case errors.Is(failed, ErrNotFound):
		return store.User{}, nil, fmt.Errorf("%w: a person without a list of memberships", ErrUnavailable)
	case failed != nil:
		return store.User{}, nil, failed
	}
	return u, memberships, nil
}

// Memberships returns where a person belongs, as Clerk said at most
// store.MembershipAge ago, by the organization's name. Somebody who is banned
// belongs nowhere. Errors are those of Sync; there is no older answer in place
// of ErrUnavailable.
func (d *Directory) Memberships(ctx context.Context, userID string) ([]store.Membership, error) {
	if m, ok := d.fresh(userID); ok {
		return slices.Clone(m.memberships), nil
	}
	// One question for everybody who asks it now, and it outlives whoever came
	// first: the others still wait for it. Client bounds it in time.
	answer := d.asking.DoChan(userID, func() (any, error) {
		if m, ok := d.fresh(userID); ok { // of a question that ended just now
			return m.memberships, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		u, memberships, err := d.Sync(ctx, userID)
		if err != nil || u.Banned {
			return []store.Membership(nil), err
		}
		return memberships, nil
	})
	select {
	case result := <-answer:
		return slices.Clone(result.Val.([]store.Membership)), result.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("clerk: waiting for memberships: %w: %w", ErrUnavailable, ctx.Err())
	}
}

func (d *Directory) fresh(userID string) (memory, bool) {
	m, ok := d.remembered.Get(userID)
	return m, ok && d.client.now().Sub(m.at) < store.MembershipAge
}
