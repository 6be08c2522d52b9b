package ui_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"scaling.cloud/mcp/web/ui"
)

func stylesheet(t *testing.T) string {
	t.Helper()
	css, err := os.ReadFile("app.css")
	if err != nil {
		t.Fatal(err)
	}
	return string(css)
}

func TestStylesheetIsSmallAndOurOwn(t *testing.T) {
	w := httptest.NewRecorder()
	ui.Assets().ServeHTTP(w, httptest.NewRequest(http.MethodGet, ui.StylesheetPath(), nil))
	css := w.Body.String()
	if len(css) >= 20<<10 || len(css) < 10<<10 {
		t.Errorf("got %d bytes, want less than 20 KiB, and some", len(css))
	}
	if strings.Contains(css, "url(") || strings.Contains(css, "@import") {
		t.Error("it fetches something")
	}
}

// TestDarkIsALookAndNothingElse: what holds for a page in light, but for its
// colours, holds for it in dark.
func TestDarkIsALookAndNothingElse(t *testing.T) {
	css := stylesheet(t)
	blocks := regexp.MustCompile(`(?s)@media \(prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}\s*\}`).FindAllStringSubmatch(css, -1)
	if len(blocks) != 1 || strings.Count(css, "prefers-color-scheme") != 1 || strings.Contains(css, "light-dark(") {
		t.Fatalf("%d blocks for dark, want one, on :root alone", len(blocks))
	}
	colour := regexp.MustCompile(`^--(shadow|[a-z-]+: #[0-9a-f]{6}$)`)
	for declaration := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(blocks[0][1]), ";"), ";") {
		if declaration = strings.TrimSpace(declaration); !colour.MatchString(declaration) {
			t.Errorf("in dark there is %q, which is no colour", declaration)
		}
	}
}

// WCAG 2.2 §1.4.3: text has a contrast of 4.5 to 1; §1.4.11: what shows that
// there is a control, 3 to 1. In both themes.
func TestColoursHaveContrast(t *testing.T) {
	light, dark, _ := strings.Cut(stylesheet(t), "prefers-color-scheme: dark")
	themes := map[string]map[string]string{"light": colours(light), "dark": colours(dark)}
	for theme, colour := range themes {
		for _, pair := range []struct {
			fore, back string
			least      float64
		}{
			{"ink", "paper", 4.5}, {"ink", "card", 4.5}, {"ink", "sunken", 4.5},
			{"muted", "paper", 4.5}, {"muted", "card", 4.5}, {"muted", "sunken", 4.5},
			{"accent", "paper", 4.5}, {"accent", "card", 4.5}, {"accent", "accent-soft", 4.5},
			{"accent-strong", "card", 4.5}, {"on-accent", "accent", 4.5}, {"on-accent", "accent-strong", 4.5},
			{"danger", "card", 4.5}, {"danger", "danger-soft", 4.5}, {"danger-strong", "danger-soft", 4.5},
			{"on-danger", "danger", 4.5}, {"on-danger", "danger-strong", 4.5},
			{"warn", "warn-soft", 4.5}, {"ink", "warn-soft", 4.5}, {"ink", "danger-soft", 4.5}, {"ink", "accent-soft", 4.5},
			{"edge", "card", 3}, {"edge", "paper", 3},
		} {
			if got := contrast(t, colour[pair.fore], colour[pair.back]); got < pair.least {
				t.Errorf("%s: %s on %s has %.2f, want %.1f", theme, pair.fore, pair.back, got, pair.least)
			}
		}
	}
}

// colours reads the custom properties of the first rule in css.
func colours(css string) map[string]string {
	rule, _, _ := strings.Cut(css, "}")
	found := map[string]string{}
	for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]+);`).FindAllStringSubmatch(rule, -1) {
		found[m[1]] = m[2]
	}
	return found
}

// contrast is the contrast ratio of WCAG 2.2.
func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + .05) / (min(x, y) + .05)
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = hex[:1] + hex[:1] + hex[1:2] + hex[1:2] + hex[2:] + hex[2:]
	}
	var sum float64
	for i, weight := range []float64{.2126, .7152, .0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= .04045 {
			sum += weight * c / 12.92
		} else {
			sum += weight * math.Pow((c+.055)/1.055, 2.4)
		}
	}
	return sum
}
