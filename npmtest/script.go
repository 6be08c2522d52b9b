package npmtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// runnable returns the name of a copy of script that imports what is installed: Node
// looks for node_modules beside it, and above.
func runnable(t testing.TB, script string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(Modules(t), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, filepath.Base(script))
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Start starts script, which is spoken to in lines of JSON: in are the orders, out
// its answers. It ends with the test, in whose output is what it complains about.
func Start(t testing.TB, script string, args ...string) (in *json.Encoder, out *json.Decoder) {
	t.Helper()
	command := exec.CommandContext(t.Context(), Node(t), append([]string{runnable(t, script)}, args...)...)
	command.Stderr = t.Output()
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait() // the end of the test has killed it
	})
	return json.NewEncoder(stdin), json.NewDecoder(stdout)
}

// Version returns the version that an installed package says it has.
func Version(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Modules(t), name, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Version string }
	if err := json.Unmarshal(text, &manifest); err != nil || manifest.Version == "" {
		t.Fatalf("%s has no version: %v", name, err)
	}
	return manifest.Version
}
