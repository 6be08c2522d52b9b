// Package npmtest installs the programs of npm that tests drive, and a Node to run
// them with: what package-lock.json pins by its hashes, once for a user, without
// running anybody's install script.
//
//   - axe-core looks for what keeps people out of our pages;
//   - conformance-0.1 and conformance-0.2 are the MCP conformance suite
//     (@modelcontextprotocol/conformance), the released and the coming one;
//   - @modelcontextprotocol/inspector and @modelcontextprotocol/sdk are MCP clients;
//   - @clerk/backend is Clerk's own library, for the development Clerk.
package npmtest

import (
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

//go:embed package.json package-lock.json
var pinned embed.FS

// Modules returns the node_modules folder that everything is installed in. A test
// that needs it is skipped where there is no npm, and fails in CI.
func Modules(t testing.TB) string {
	t.Helper()
	modules, err := install()
	if errors.Is(err, exec.ErrNotFound) {
		missing(t, "npm is not installed; install the package npm")
	}
	if err != nil {
		t.Fatalf("npmtest: %v", err)
	}
	return modules
}

// Node returns the path of the Node that is pinned with the programs. They need 22
// or newer; for a platform that npm has no such package for, it is the one on
// PATH, and a test is skipped where that is older.
func Node(t testing.TB) string {
	t.Helper()
	platform := runtime.GOOS + "-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
	own := filepath.Join(Modules(t), "node-"+platform, "bin", "node")
	if _, err := os.Stat(own); err == nil {
		return own
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "Node is not installed; install version 22 or newer")
	}
	if err := exec.CommandContext(t.Context(), node, "--eval", "process.exit(process.versions.node.split('.')[0] < 22)").Run(); err != nil {
		missing(t, "Node is older than 22; install a newer one")
	}
	return node
}

func missing(t testing.TB, sentence string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(sentence)
	}
	t.Skip(sentence)
}

// install is done once for all test programs of a user: they hold a lock meanwhile.
var install = sync.OnceValues(func() (string, error) {
	lock, err := pinned.ReadFile("package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "scaling-mcp-test", fmt.Sprintf("npm-%x", sha256.Sum256(lock))[:20])
	modules := filepath.Join(dir, "node_modules")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	guard, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer guard.Close()
	if err := syscall.Flock(int(guard.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(modules); !errors.Is(err, fs.ErrNotExist) {
		return modules, err
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", err
	}
	// Installed beside it and moved, so that what is there is whole.
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "npm-new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	if err := os.CopyFS(fresh, pinned); err != nil {
		return "", err
	}
	command := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	command.Dir = fresh
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return modules, os.Rename(fresh, dir)
})
