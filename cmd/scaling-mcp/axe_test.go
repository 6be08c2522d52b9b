package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// axeSource returns axe-core, which looks for what keeps people out of a page.
// npm installs the one version that testdata/axe pins by its hash, and it stays
// in the user's cache. It is empty where there is no npm.
var axeSource = sync.OnceValues(func() (string, error) {
	lock, err := os.ReadFile("testdata/axe/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "scaling-mcp-test", fmt.Sprintf("axe-%x", sha256.Sum256(lock))[:20])
	script := filepath.Join("node_modules", "axe-core", "axe.min.js")
	if source, err := os.ReadFile(filepath.Join(dir, script)); err == nil {
		return string(source), nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	// Installed beside it and moved, so that what is there is whole.
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "axe-new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	if err := os.CopyFS(fresh, os.DirFS("testdata/axe")); err != nil {
		return "", err
	}
	install := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = fresh
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	source, err := os.ReadFile(filepath.Join(fresh, script))
	if err != nil {
		return "", err
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return string(source), nil
})

// needAxe skips the test where its pages cannot be checked with axe-core, or
// fails it where nothing may be skipped. Everything else has been checked then.
func needAxe(t *testing.T) {
	t.Helper()
	source, err := axeSource()
	if err != nil {
		t.Fatal(err)
	}
	if source != "" {
		return
	}
	const sentence = "npm is not installed, so that nobody has looked for barriers in the pages; install the package npm"
	if os.Getenv("CI") == "true" {
		t.Fatal(sentence)
	}
	t.Skip(sentence)
}

// barriers returns what axe-core finds on the page, as it looks now, that
// WCAG 2.2 does not allow at level A or AA.
func (b *tab) barriers() []string {
	b.t.Helper()
	source, err := axeSource()
	if err != nil {
		b.t.Fatal(err)
	}
	if source == "" {
		return nil // needAxe says so
	}
	if !evaluate[bool](b, `"axe" in window`) {
		if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](source+"; true")); err != nil {
			b.fatal(err)
		}
	}
	// axe-core waits for timers, which need scripts. The page has been loaded
	// without, and none of its own begins to run.
	b.allowScripts(true)
	defer b.allowScripts(false)
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](findBarriers, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fatal(err)
	}
	return found
}

func (b *tab) allowScripts(allowed bool) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !allowed})
	if err != nil {
		b.fatal(err)
	}
}

const findBarriers = `axe.run(document, {
	runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
	resultTypes: ["violations"],
	preload: false, // it would fetch stylesheets, and may not
}).then(result => result.violations.flatMap(v => v.nodes.map(n =>
	v.id + ": " + n.target.join(" ") + ": " + n.failureSummary.replace(/\s+/g, " "))))`

// barriersAreFound: silence about our pages means something.
func barriersAreFound(t *testing.T, chromium context.Context) {
	b := newTab(t, chromium)
	b.open("data:text/html," + url.PathEscape(`<!doctype html><title>Page</title><button></button><p style="color: #bbb; background: #fff">Pale</p><input name="x">`))
	found := strings.Join(b.barriers(), "\n")
	needAxe(t)
	for _, rule := range []string{"html-has-lang", "button-name", "color-contrast", "label"} {
		if !strings.Contains(found, rule+": ") {
			t.Errorf("%s is not found, but:\n%s", rule, found)
		}
	}
}
