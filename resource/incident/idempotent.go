package incident

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store"
)

// A mutation is what an idempotency key stands for, and how its refusals speak
// of it.
type mutation struct {
	tool      string
	arguments any    // canonical: arguments that mean the same marshal alike
	doing     string // for the log: "creating"
	busy      string // what to say where others hold what it needs
}

// CodeReadOnly is the code of a mutation in an organization that lets clients
// read alone.
const CodeReadOnly = "read_only_organization"

// once runs effect in a transaction, at most once per idempotency key (design
// §11), if the organization lets clients change anything, and returns what it made, or what an earlier call with the same key and
// arguments made: replayed is true then. A result is read back from what is
// stored even where it has just been made, so that all answers to one key are
// equal to the last digit. T outlives the release that stored it by a day.
func once[T any](ctx context.Context, s *Service, a Actor, idempotencyKey string, m mutation, effect func(pgx.Tx) (T, error)) (result T, replayed bool, err error) {
	key, err := m.key(a, idempotencyKey)
	if err != nil {
		return result, false, err
	}
	stored, replayed, err := s.idempotency.Run(ctx, key, s.config.Now(), func(tx pgx.Tx) ([]byte, error) {
		if err := refuseReadOnly(s.store.ReadOnlyTx(ctx, tx, a.OrgID)); err != nil {
			return nil, err
		}
		made, err := effect(tx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(made)
	})
	if err == nil && replayed {
		// The rule holds for a replay, too, which had no effect to ask it.
		err = refuseReadOnly(s.store.ReadOnly(ctx, a.OrgID))
	}
	if err != nil {
		return result, false, m.refusal(err, idempotencyKey)
	}
	if err := json.Unmarshal(stored, &result); err != nil {
		return result, false, fmt.Errorf("incident: reading the result of %s: %w", m.tool, err)
	}
	return result, replayed, nil
}

// refuseReadOnly turns what the organization's policy says into a refusal.
func refuseReadOnly(readOnly bool, err error) error {
	if err == nil && readOnly {
		return refuse(CodeReadOnly, "The administrators of this organization let clients read, and change nothing. This call changed nothing, and no other call of this kind will. Tell the person; an administrator can end this under Settings, Policy.")
	}
	return err
}

func (m mutation) key(a Actor, idempotencyKey string) (store.IdempotencyKey, error) {
	canonical, err := json.Marshal(m.arguments)
	if err != nil {
		return store.IdempotencyKey{}, fmt.Errorf("incident: hashing arguments: %w", err)
	}
	return store.IdempotencyKey{
		OrgID: a.OrgID, UserID: a.UserID, Tool: m.tool, Key: idempotencyKey, ArgumentsHash: sha256.Sum256(canonical),
	}, nil
}

// refusal puts the outcomes of an idempotent call into words.
func (m mutation) refusal(err error, idempotencyKey string) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if errors.Is(err, store.ErrKeyReused) {
		return refuse(CodeKeyReused, "idempotencyKey %s was used with other arguments in the last 24 hours. Repeat the call with the same arguments to get its result, or use a new key for this one.", quote(idempotencyKey))
	}
	if errors.Is(err, store.ErrKeyInProgress) {
		return refuse(CodeKeyInProgress, "An earlier call with idempotencyKey %s is still running. Repeat this call with the same key and arguments in a few seconds to get its result.", quote(idempotencyKey))
	}
	if errors.Is(err, store.ErrBusy) {
		return refuse(CodeUnavailable, "%s Repeat the call in a few seconds, with the same idempotencyKey if it has one.", m.busy)
	}
	return fmt.Errorf("incident: %s: %w", m.doing, err)
}

func checkKey(p *problems, idempotencyKey string) {
	if len(idempotencyKey) > 255 || strings.ContainsFunc(idempotencyKey, func(r rune) bool { return r < '!' || r > '~' }) {
		p.add("idempotencyKey must be 1 to 255 visible ASCII characters, such as a UUID.")
	}
}
