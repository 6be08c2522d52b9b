package store_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

func TestComponentsAreKeptApartByOrganization(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	incidentOrg(t, s, "acme", "ann")
	incidentOrg(t, s, "globex", "gus")
	api := store.Component{Name: "API", Description: "Public", GroupLabel: "Core"}
	create := func(orgID string) func(context.Context, pgx.Tx) (uuid.UUID, error) {
		return func(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
			return s.CreateComponentTx(ctx, tx, orgID, api, noon)
		}
	}
	foreign := commit(t, s, create("globex"))
	queue := createComponent(t, s, "acme", "Queue")
	api.ID = commit(t, s, create("acme"))
	refused(t, s, store.ErrConflict, create("acme"))

	got := commit(t, s, func(ctx context.Context, tx pgx.Tx) ([]*store.Component, error) {
		return s.ComponentsTx(ctx, tx, "acme")
	})
	if diff := cmp.Diff([]*store.Component{&api, {ID: queue, Name: "Queue"}}, got); diff != "" {
		t.Errorf("components of acme (-want +got):\n%s", diff)
	}
	exist := commit(t, s, func(ctx context.Context, tx pgx.Tx) ([]uuid.UUID, error) {
		return s.ComponentsExistTx(ctx, tx, "acme", []uuid.UUID{foreign, uuid.Nil, queue})
	})
	if !slices.Equal(exist, []uuid.UUID{queue}) {
		t.Errorf("existing: got %v, want %v alone", exist, queue)
	}
}
