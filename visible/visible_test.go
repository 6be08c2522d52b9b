package visible_test

import (
	"testing"

	"scaling.cloud/mcp/visible"
)

func TestLineShowsWhatIsNotSeen(t *testing.T) {
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
			if got := visible.Line(row.text); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestTextKeepsItsLines(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"lines and tabs", "a\n\tb\n", "a\n\tb\n"},
		{"lines of Windows", "a\r\n\r\nb", "a\n\nb"},
		{"a carriage return alone", "a\rb", `a\u{d}b`},
		{"other line breaks", "a\u2028b\u0085c\vd", `a\u{2028}b\u{85}c\u{b}d`},
		{"what is not seen", "a\n\u202eb", "a\n" + `\u{202e}b`},
	} {
		if got := visible.Text(row.text); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestOnlyLeavesWhatIsSeenOnOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"Claude":                               "Claude",
		"  Claude\n\tDesktop\u3000 ":           "Claude Desktop",
		"Cla\u200bu\u1160de\u202e\u3164\ufe0f": "Claude",
		"\u2800\u200b\x00":                     "",
		"<b>Ä</b>":                             "<b>Ä</b>",
	} {
		if got := visible.Only(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
