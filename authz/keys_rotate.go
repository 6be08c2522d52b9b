package authz

import (
	"context"
	"time"
)

// MaxAccessTokenTTL bounds how long an access token may be set to live.
const MaxAccessTokenTTL = 24 * time.Hour

// RetiredKeyKept is how long a signing key stays published after it was retired:
// until no access token that it signed can live. The minutes are for replicas
// that have not noticed yet and for clocks that differ.
const RetiredKeyKept = MaxAccessTokenTTL + 5*time.Minute

// nextKeyPublished is how long the next signing key must have been published
// before it signs: until every replica has it and no verifier has a JWKS without
// it in its cache.
const nextKeyPublished = metadataMaxAge + KeysEvery

// Rotate makes the next signing key sign, retires the one that signs now, and
// makes a new next one. Tokens of the retired key go on to verify for
// RetiredKeyKept. Replicas follow at their next reading.
//
// It returns a *store.TooYoungError, and changes nothing, if somebody may not
// have the next key yet; so of two operators that rotate at once one is refused.
// force rotates nevertheless, for a key that was stolen: our own replicas look
// for a key that they do not know, others may refuse new tokens for some minutes.
func (k *Keys) Rotate(ctx context.Context, force bool, now time.Time) error {
	fresh, err := newSigningKey(k.master)
	if err != nil {
		return err
	}
	published := nextKeyPublished
	if force {
		published = 0
	}
	return k.store.RotateSigningKeys(ctx, fresh, published, now)
}
