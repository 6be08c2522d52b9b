package store_test

import (
	"testing"
	"time"

	"scaling.cloud/mcp/store"
)

// TestWithdrawnClientsStayWhileAConnectionNamesThem: the dashboard tells of ended
// connections, and a row that cannot go must not keep others from going.
func TestWithdrawnClientsStayWhileAConnectionNamesThem(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	for _, id := range []string{"kept", "gone"} {
		_, err := s.RegisterClient(ctx, store.Client{
			ID: id, Kind: store.ClientRegistered, AuthMethod: store.AuthMethodBasic, SecretHash: hash(id), RegistrationTokenHash: hash(id),
			RedirectURIs: []string{"https://" + id + ".example/cb"}, GrantTypes: []string{store.GrantCode}, Name: id, CreatedAt: now,
		}, hash(id))
		must(t, err)
	}
	c := connected(t, s, "user_bob", acme.ID, "kept")
	for _, id := range []string{"kept", "gone"} {
		_, err := s.DeleteClient(ctx, id, hash(id), now)
		must(t, err)
	}
	must(t, s.DeleteExpired(ctx, now.Add(store.UnusedClientLifetime+time.Hour)))
	var left []string
	must(t, s.Pool().QueryRow(ctx, `SELECT array_agg(id) FROM oauth_clients WHERE withdrawn_at IS NOT NULL`).Scan(&left))
	if len(left) != 1 || left[0] != "kept" {
		t.Errorf("withdrawn clients that are left: %v, want the one with a connection", left)
	}
	if _, err := s.ConnectionVisibleTo(ctx, c.ID, "user_bob", nil, now); err != nil {
		t.Errorf("the ended connection: %v", err)
	}
}
