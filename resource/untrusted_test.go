package resource

import (
	"strings"
	"testing"
	"unicode"
)

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
