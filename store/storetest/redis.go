package storetest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"scaling.cloud/mcp/store/pgdev/lifeline"
)

// Redis returns the URL of a redis-server of the test's own, which keeps
// nothing on disk and ends with the test.
func Redis(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, "redis-server is not installed; install the package redis-server (on dnf, pacman, apk and brew: redis)")
	}
	// Not t.TempDir: its path may be longer than a socket's may be.
	dir, err := os.MkdirTemp("", "scaling-redis-")
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	socket := filepath.Join(dir, "redis.sock")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	child, err := lifeline.Start(cmd, dir)
	if err != nil {
		t.Fatalf("storetest: redis-server: %v", err)
	}
	t.Cleanup(func() {
		if err := child.Stop(); err != nil {
			t.Errorf("storetest: redis-server ended with %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("storetest: %v", err)
		}
	})
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1})
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for client.Ping(ctx).Err() != nil {
		select {
		case <-child.Done():
			t.Fatalf("storetest: redis-server did not start (%v):\n%s", child.Wait(), said.String())
		case <-ctx.Done():
			t.Fatalf("storetest: redis-server did not answer")
		case <-time.After(5 * time.Millisecond):
		}
	}
	return "unix://" + socket
}
