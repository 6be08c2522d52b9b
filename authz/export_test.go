package authz

import (
	"context"

	"github.com/go-jose/go-jose/v4"
)

// SigningKey is what an attacker does not have.
func (k *Keys) SigningKey() jose.JSONWebKey { return k.signing() }

// Read reads the signing keys, as Run does at each tick.
func (k *Keys) Read(ctx context.Context) error { return k.read(ctx) }
