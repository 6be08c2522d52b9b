package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

func signingKey(kid string, state store.KeyState) store.SigningKey {
	return store.SigningKey{KID: kid, Alg: "ES256", PublicJWK: []byte(`{}`), PrivateSealed: []byte("sealed " + kid), State: state}
}

// withKeys returns a store with the active key k0 and the next key k1.
func withKeys(t *testing.T) *store.Store {
	t.Helper()
	s := storetest.Open(t)
	must(t, s.CreateSigningKey(t.Context(), signingKey("k0", store.KeyActive), now))
	must(t, s.CreateSigningKey(t.Context(), signingKey("k1", store.KeyNext), now))
	return s
}

// states returns the signing keys in their order, as "kid state".
func states(t *testing.T, s *store.Store) []string {
	t.Helper()
	keys, err := s.SigningKeys(t.Context())
	must(t, err)
	var list []string
	for _, k := range keys {
		list = append(list, k.KID+" "+string(k.State))
		if retired := k.State == store.KeyRetired; retired != (k.PrivateSealed == nil) {
			t.Errorf("%s is %s and its private half is %q", k.KID, k.State, k.PrivateSealed)
		}
	}
	return list
}

func TestRotationPromotesTheNextKeyOnceItIsOldEnough(t *testing.T) {
	t.Parallel()
	s, ctx := withKeys(t), t.Context()
	err := s.RotateSigningKeys(ctx, signingKey("k2", ""), time.Minute, now.Add(time.Minute-time.Second))
	if young, ok := errors.AsType[*store.TooYoungError](err); !ok || young.Wait != time.Second {
		t.Errorf("error is %v, want that a second is missing", err)
	}
	if diff := cmp.Diff([]string{"k0 active", "k1 next"}, states(t, s)); diff != "" {
		t.Errorf("after a refusal (-want +got):\n%s", diff)
	}
	must(t, s.RotateSigningKeys(ctx, signingKey("k2", ""), time.Minute, now.Add(time.Minute)))
	if diff := cmp.Diff([]string{"k1 active", "k2 next", "k0 retired"}, states(t, s)); diff != "" {
		t.Errorf("after a rotation (-want +got):\n%s", diff)
	}
	// The operator's clock may be behind that of who made the key.
	must(t, s.RotateSigningKeys(ctx, signingKey("k3", ""), 0, now.Add(-time.Hour)))
	if diff := cmp.Diff([]string{"k2 active", "k3 next", "k0 retired", "k1 retired"}, states(t, s)); diff != "" {
		t.Errorf("after a forced rotation (-want +got):\n%s", diff)
	}
}

func TestOperatorsThatRotateAtOnceTakeTurns(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		published time.Duration
		want      int // rotations
	}{"as usual": {time.Minute, 1}, "forced": {0, 8}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withKeys(t)
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					err := s.RotateSigningKeys(t.Context(), signingKey(fmt.Sprint("fresh", i), ""), row.published, now.Add(time.Hour))
					if _, young := errors.AsType[*store.TooYoungError](err); err != nil && !(young && row.want == 1) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			count := map[store.KeyState]int{}
			keys, err := s.SigningKeys(t.Context())
			must(t, err)
			for _, k := range keys {
				count[k.State]++
			}
			if diff := cmp.Diff(map[store.KeyState]int{store.KeyActive: 1, store.KeyNext: 1, store.KeyRetired: row.want}, count); diff != "" {
				t.Errorf("keys by state (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyARetiredKeyIsDeleted(t *testing.T) {
	t.Parallel()
	s, ctx := withKeys(t), t.Context()
	is(t, "the active key", s.DeleteRetiredSigningKey(ctx, "k0"), store.ErrConflict)
	is(t, "the next key", s.DeleteRetiredSigningKey(ctx, "k1"), store.ErrConflict)
	is(t, "no key", s.DeleteRetiredSigningKey(ctx, "k9"), store.ErrNotFound)
	must(t, s.RotateSigningKeys(ctx, signingKey("k2", ""), 0, now))
	must(t, s.DeleteSigningKeysRetired(ctx, now))
	if diff := cmp.Diff([]string{"k1 active", "k2 next", "k0 retired"}, states(t, s)); diff != "" {
		t.Errorf("before its time (-want +got):\n%s", diff)
	}
	must(t, s.RotateSigningKeys(ctx, signingKey("k3", ""), 0, now.Add(time.Hour)))
	must(t, s.DeleteSigningKeysRetired(ctx, now.Add(time.Second)))
	if diff := cmp.Diff([]string{"k2 active", "k3 next", "k1 retired"}, states(t, s)); diff != "" {
		t.Errorf("in its time (-want +got):\n%s", diff)
	}
	must(t, s.DeleteRetiredSigningKey(ctx, "k1"))
	if diff := cmp.Diff([]string{"k2 active", "k3 next"}, states(t, s)); diff != "" {
		t.Errorf("by the operator (-want +got):\n%s", diff)
	}
}

func TestKeyIsSealedAnewOnlyByTheFirst(t *testing.T) {
	t.Parallel()
	s, ctx := withKeys(t), t.Context()
	_, err := s.SealedKey(ctx, "mac", []byte("old"), now)
	must(t, err)
	for _, sealed := range []string{"first", "second"} {
		must(t, s.ResealKeys(ctx, []store.Reseal{
			{Name: "mac", Old: []byte("old"), New: []byte(sealed)},
			{KID: "k0", Old: []byte("sealed k0"), New: []byte(sealed)},
		}))
	}
	mac, err := s.SealedKey(ctx, "mac", []byte("late"), now)
	must(t, err)
	keys, err := s.SigningKeys(ctx)
	must(t, err)
	if got := []string{string(mac), string(keys[0].PrivateSealed), string(keys[1].PrivateSealed)}; !cmp.Equal(got, []string{"first", "first", "sealed k1"}) {
		t.Errorf("sealed are %q", got)
	}
}

func TestResourceServerIsGoneOnceDeleted(t *testing.T) {
	t.Parallel()
	s, ctx := storetest.Open(t), t.Context()
	want := store.ResourceServer{ID: "a", Name: "Gateway", SecretHash: hash("secret"), CreatedAt: now}
	must(t, s.CreateResourceServer(ctx, want))
	got, err := s.ResourceServer(ctx, "a")
	must(t, err)
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	must(t, s.DeleteResourceServer(ctx, "a"))
	is(t, "deleted twice", s.DeleteResourceServer(ctx, "a"), store.ErrNotFound)
	for _, id := range []string{"a", "", "\x00", "\xff"} {
		_, err = s.ResourceServer(ctx, id)
		is(t, fmt.Sprintf("%q", id), err, store.ErrNotFound)
	}
}
