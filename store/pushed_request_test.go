package store_test

import (
	"testing"
	"time"

	"scaling.cloud/mcp/store"
)

func TestPushedRequestIsTakenOnceByItsClient(t *testing.T) {
	t.Parallel()
	s := world(t)
	ctx := t.Context()
	must(t, s.CreatePushedRequest(ctx, hash("uri"), "claude", "a=b", now))
	for name, take := range map[string]func() (string, error){
		"another client": func() (string, error) { return s.TakePushedRequest(ctx, hash("uri"), "cursor", now) },
		"another URI":    func() (string, error) { return s.TakePushedRequest(ctx, hash("other"), "claude", now) },
		"expired": func() (string, error) {
			return s.TakePushedRequest(ctx, hash("uri"), "claude", now.Add(store.PushedRequestLifetime))
		},
	} {
		_, err := take()
		is(t, name, err, store.ErrNotFound)
	}
	form, err := s.TakePushedRequest(ctx, hash("uri"), "claude", now.Add(store.PushedRequestLifetime-time.Second))
	if err != nil || form != "a=b" {
		t.Errorf("taken %q, %v, want a=b", form, err)
	}
	_, err = s.TakePushedRequest(ctx, hash("uri"), "claude", now)
	is(t, "taken twice", err, store.ErrNotFound)
}
