package npmtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Script returns the name of a copy of script that imports what is installed: Node
// looks for node_modules beside it, and above.
func Script(t testing.TB, script string) string {
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
