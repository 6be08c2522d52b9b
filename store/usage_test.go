package store_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

func TestUseIsWrittenDownBehindTheRequestsBacks(t *testing.T) {
	t.Parallel()
	s := world(t)
	c := connected(t, s, "user_bob", acme.ID, "claude")
	usage := store.NewUsage(s, slog.New(slog.DiscardHandler))
	lastUsed := func() *time.Time {
		seen, err := s.ConnectionVisibleTo(t.Context(), c.ID, "user_bob", nil, now)
		must(t, err)
		return seen.LastUsedAt
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = usage.Run(ctx)
	}()
	first := now.Add(time.Minute)
	usage.Touch(c.ID, first)
	usage.Touch(c.ID, now) // of two requests side by side the older may come later
	usage.Touch(uuid.New(), now)
	bound, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	for at := lastUsed(); at == nil; at = lastUsed() {
		select {
		case <-bound.Done():
			t.Fatal("it was not written down within 20 seconds")
		case <-time.After(20 * time.Millisecond):
		}
	}
	if got := lastUsed(); !got.Equal(first) {
		t.Errorf("last used at %v, want %v", got, first)
	}
	last := now.Add(time.Hour)
	usage.Touch(c.ID, last)
	cancel()
	<-done
	if got := lastUsed(); !got.Equal(last) {
		t.Errorf("after the server stopped: last used at %v, want %v", got, last)
	}
}

func TestUseIsNotLostWhenTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	s := world(t)
	c := connected(t, s, "user_bob", acme.ID, "claude")
	usage := store.NewUsage(s, slog.New(slog.DiscardHandler))
	usage.Touch(c.ID, now)
	_, err := s.Pool().Exec(t.Context(), `ALTER TABLE connections RENAME TO away`)
	must(t, err)
	store.Flush(t.Context(), usage)
	_, err = s.Pool().Exec(t.Context(), `ALTER TABLE away RENAME TO connections`)
	must(t, err)
	store.Flush(t.Context(), usage)
	seen, err := s.ConnectionVisibleTo(t.Context(), c.ID, "user_bob", nil, now)
	must(t, err)
	if seen.LastUsedAt == nil {
		t.Error("the use was lost")
	}
}
