package incident

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// Components returns at most limit components of an organization, those after
// the one with the given id; uuid.Nil begins at the first.
func (s *Service) Components(ctx context.Context, orgID string, after uuid.UUID, limit int) ([]*store.Component, error) {
	components, err := s.store.ComponentsAfter(ctx, orgID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("incident: listing components: %w", err)
	}
	return components, nil
}
