package clerk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"scaling.cloud/mcp/store"
)

// MembershipAge is how old an answer of Memberships may be: an admin who is
// demoted sees the organization's pages for at most this long.
const MembershipAge = time.Minute

// maxRemembered bounds the memory of Directory; an ordinary entry is under a
// kilobyte.
const maxRemembered = 10_000

// Directory is Clerk as the rest of the program sees it: what it says is in
// the store when it is returned. It is safe for concurrent use.
type Directory struct {
	client     *Client
	store      *store.Store
	remembered *lru.Cache[string, memory]
	asking     singleflight.Group
}

// memory is what Clerk said. at is when it was asked, not when it answered.
type memory struct {
	at          time.Time
	memberships []store.Membership
}

// NewDirectory returns a Directory that asks client and writes to s.
func NewDirectory(client *Client, s *store.Store) *Directory {
	remembered, err := lru.New[string, memory](maxRemembered)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Directory{client: client, store: s, remembered: remembered}
}

// Sync asks Clerk who a person is and where they belong, and stores both.
// Somebody who is banned is returned as such, with their memberships: refusing
// them is the caller's decision.
//
// It returns ErrNotFound for somebody Clerk does not know, ErrUnavailable if
// Clerk gave no answer, else the store's error.
func (d *Directory) Sync(ctx context.Context, userID string) (store.User, []store.Membership, error) {
	// Of two that overlap the one that asked later shall win in the store, so
	// the instant is taken before asking.
	asked := d.client.now()
	u, memberships, err := d.ask(ctx, userID)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			d.remembered.Remove(userID)
		}
		return store.User{}, nil, err
	}
	if err := d.store.SaveUser(ctx, u, asked); err != nil {
		return store.User{}, nil, err
	}
	if err := d.store.SaveMemberships(ctx, userID, memberships, asked); err != nil {
		return store.User{}, nil, err
	}
	m := memory{at: asked}
	if !u.Banned {
		m.memberships = memberships
	}
	d.remembered.Add(userID, m)
	return u, slices.Clone(memberships), nil
}

// ask reads the person and their memberships at the same time.
func (d *Directory) ask(ctx context.Context, userID string) (u store.User, memberships []store.Membership, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		u, err = d.client.User(ctx, userID)
		return err
	})
	group.Go(func() (err error) {
		memberships, err = d.client.Memberships(ctx, userID)
		return err
	})
	err = group.Wait()
	return u, memberships, err
}

// Memberships returns where a person belongs, as Clerk said at most
// MembershipAge ago, by the organization's name. Somebody who is banned
// belongs nowhere. Errors are those of Sync; there is no older answer in place
// of ErrUnavailable.
func (d *Directory) Memberships(ctx context.Context, userID string) ([]store.Membership, error) {
	if m, ok := d.fresh(userID); ok {
		return slices.Clone(m.memberships), nil
	}
	// One question for everybody who asks it now, and it outlives whoever came
	// first: the others still wait for it. Client bounds it in time.
	answer := d.asking.DoChan(userID, func() (any, error) {
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
	return m, ok && d.client.now().Sub(m.at) < MembershipAge
}
