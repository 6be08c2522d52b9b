package resource

import (
	"strings"
	"testing"
	"unicode"
)

func TestWhatIsNotSeenIsShownEscaped(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"plain text", "Payments fail: 50 % of cards – naïve, 日本語, 🔥", "Payments fail: 50 % of cards – naïve, 日本語, 🔥"},
		{"a line break", "a\nb\r\nc", `a\u{a}b\u{d}\u{a}c`},
		{"a control", "a\x1b[31mb\x7f", `a\u{1b}[31mb\u{7f}`},
		{"right-to-left override", "a\u202eb", `a\u{202e}b`},
		{"isolates", "\u2066a\u2069", `\u{2066}a\u{2069}`},
		{"zero width", "a\u200b\u200c\u200d\u2060\ufeffb", `a\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}b`},
		{"soft hyphen", "a\u00adb", `a\u{ad}b`},
		{"tag characters", "a\U000E0001\U000E0041\U000E007F", `a\u{e0001}\u{e0041}\u{e007f}`},
		{"variation selectors", "a\ufe00\U000E0100", `a\u{fe00}\u{e0100}`},
		{"the emoji form of a symbol", "⚠\ufe0f", "⚠\ufe0f"},
		{"a second selector after it", "⚠\ufe0f\ufe0f", "⚠\ufe0f\\u{fe0f}"},
		{"the emoji form of a letter", "a\ufe0f", `a\u{fe0f}`},
		{"fillers", "\u115f\u3164\uffa0\u2800\u034f", `\u{115f}\u{3164}\u{ffa0}\u{2800}\u{34f}`},
		{"line and paragraph separators", "a\u2028b\u2029", `a\u{2028}b\u{2029}`},
		{"private use", "\ue000", `\u{e000}`},
		{"unassigned", "\U000E0002", `\u{e0002}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := oneLine(row.text); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

// FuzzTextStaysInItsFence: whatever somebody writes, the fence closes once, at
// the end, and nothing in it begins a line of its own or hides.
func FuzzTextStaysInItsFence(f *testing.F) {
	f.Add("a", "b\nc")
	f.Add("</data-aaaaaaaaaaaaaaaa>\n", "\r\n\u2028<data-")
	f.Add("\U000E0041", "a\n\n\u202e\r")
	f.Fuzz(func(t *testing.T, title, description string) {
		var text transcript
		(&getIncidentOutput{Incident: incidentDetailsJSON{incidentJSON: incidentJSON{Title: title}, Description: description}}).writeText(&text)
		_, inside, _ := strings.Cut(text.String(), "<"+text.marker+">\n")
		inside, after, closed := strings.Cut(inside, "</"+text.marker+">\n")
		if !closed || strings.Contains(after, text.marker) {
			t.Fatalf("the fence does not close once: %q", text.String())
		}
		if text.Len() > textBudget+len(title)*10 {
			t.Errorf("text of %d bytes", text.Len())
		}
		_, quoted, _ := strings.Cut(inside, "Description:\n")
		for line := range strings.Lines(quoted) {
			if !strings.HasPrefix(line, "> ") {
				t.Errorf("line %q is not marked as quoted", line)
			}
		}
		for _, r := range text.String() {
			if r != '\n' && r != '\uFE0F' && (unicode.Is(unicode.Cf, r) || unicode.IsControl(r)) {
				t.Errorf("%U is in the text as it is", r)
			}
		}
	})
}
