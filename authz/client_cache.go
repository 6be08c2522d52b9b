package authz

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"scaling.cloud/mcp/store"
)

// clientFresh is how long the endpoints that programs call go by a client as it
// was read. Only public clients are kept that long: they have no secret that
// could have been withdrawn, and what else those endpoints take from a client is
// its grant types. A client that was deleted or changed is refused when this is
// over; its codes and refresh tokens die with its rows at once, since the
// database looks at those each time.
const clientFresh = 5 * time.Second

// rememberedClients bounds the clients kept in memory, at about a kilobyte each.
const rememberedClients = 4096

// clientCache saves a refresh the reading of its client, which is half of what
// it asks of the database.
type clientCache struct {
	store *store.Store
	now   func() time.Time
	read  *lru.Cache[string, readClient]
}

type readClient struct {
	client *store.Client // shared, not to be changed
	at     time.Time
}

func newClientCache(s *store.Store, now func() time.Time) *clientCache {
	read, err := lru.New[string, readClient](rememberedClients)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &clientCache{s, now, read}
}

// client returns a client, or store.ErrNotFound.
func (c *clientCache) client(ctx context.Context, id string) (*store.Client, error) {
	now := c.now() // before the row is read: what is kept is never younger than it says
	if r, ok := c.read.Get(id); ok && now.Sub(r.at) < clientFresh {
		return r.client, nil
	}
	stored, err := c.store.Client(ctx, id)
	if err == nil && stored.Public() {
		c.read.Add(id, readClient{stored, now})
	}
	return stored, err
}
