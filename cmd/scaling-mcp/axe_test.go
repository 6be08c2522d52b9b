package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"scaling.cloud/mcp/npmtest"
)

// axeSource returns axe-core, which looks for what keeps people out of a page.
func axeSource(t testing.TB) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(npmtest.Modules(t), "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// What axe-core looks for: all that WCAG 2.2 does not allow at level A or AA, or of
// that what depends on colours.
const (
	allRules    = `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]`
	colourRules = `{type: "rule", values: ["color-contrast", "link-in-text-block"]}`
)

// barriers returns what axe-core finds on the page, as it looks now, by rules.
func (b *tab) barriers(rules string) []string {
	b.t.Helper()
	if !evaluate[bool](b, `"axe" in window`) {
		if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](axeSource(b.t)+"; true")); err != nil {
			b.fatal(err)
		}
	}
	// axe-core waits for timers, which need scripts. The page has been loaded
	// without, and none of its own begins to run.
	b.allowScripts(true)
	defer b.allowScripts(false)
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](fmt.Sprintf(findBarriers, rules), chromedp.EvalAwaitPromise))
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
	runOnly: %s,
	resultTypes: ["violations"],
	preload: false, // it would fetch stylesheets, and may not
}).then(result => result.violations.flatMap(v => v.nodes.map(n =>
	v.id + ": " + n.target.join(" ") + ": " + n.failureSummary.replace(/\s+/g, " "))))`

// barriersAreFound: silence about our pages means something.
func barriersAreFound(t *testing.T, chromium context.Context) {
	b := newTab(t, chromium)
	b.open("data:text/html," + url.PathEscape(`<!doctype html><title>Page</title><button></button><p style="color: #bbb; background: #fff">Pale</p><input name="x">`))
	for rules, want := range map[string][]string{
		allRules:    {"html-has-lang", "button-name", "color-contrast", "label"},
		colourRules: {"color-contrast"},
	} {
		found := strings.Join(b.barriers(rules), "\n")
		for _, rule := range want {
			if !strings.Contains(found, rule+": ") {
				t.Errorf("%s is not found, but:\n%s", rule, found)
			}
		}
	}
}
