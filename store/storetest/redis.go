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
	return StartRedis(t).URL
}

// RedisServer is a redis-server that a test stops and starts.
type RedisServer struct {
	URL    string
	t      testing.TB
	path   string // of the program
	dir    string
	socket string
	child  *lifeline.Child // nil: stopped
}

// StartRedis starts a redis-server of the test's own, which keeps nothing on disk
// and ends with the test.
func StartRedis(t testing.TB) *RedisServer {
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
	r := &RedisServer{URL: "unix://" + socket, t: t, path: path, dir: dir, socket: socket}
	t.Cleanup(func() {
		r.Stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("storetest: %v", err)
		}
	})
	r.Start()
	return r
}

// Start starts a stopped server, empty, at the same URL, and waits until it
// answers.
func (r *RedisServer) Start() {
	r.t.Helper()
	cmd := exec.Command(r.path, "--port", "0", "--unixsocket", r.socket, "--save", "", "--appendonly", "no", "--dir", r.dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	child, err := lifeline.Start(cmd, r.dir)
	if err != nil {
		r.t.Fatalf("storetest: redis-server: %v", err)
	}
	r.child = child
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: r.socket, MaxRetries: -1})
	defer client.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	for client.Ping(ctx).Err() != nil {
		select {
		case <-child.Done():
			r.t.Fatalf("storetest: redis-server did not start (%v):\n%s", child.Wait(), said.String())
		case <-ctx.Done():
			r.t.Fatalf("storetest: redis-server did not answer")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Stop ends the server, if it runs.
func (r *RedisServer) Stop() {
	r.t.Helper()
	if r.child == nil {
		return
	}
	if err := r.child.Stop(); err != nil {
		r.t.Errorf("storetest: redis-server ended with %v", err)
	}
	r.child = nil
}

// Stopped reports whether the server is stopped.
func (r *RedisServer) Stopped() bool { return r.child == nil }
