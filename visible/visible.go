// Package visible makes text that strangers wrote safe to look at: characters
// that a reader would not see, or that change how others are shown, are written
// out as \u{202e}. A title can then not hide an instruction from the person and
// show it to a model, nor read as something else than it says.
//
// It changes nothing else. Escaping for HTML, or for whatever the text goes
// into, is the caller's.
package visible

import (
	"fmt"
	"strings"
	"unicode"
)

// Line returns text as one line: line breaks and tabs are written out, too.
func Line(text string) string { return escape(text, "") }

// Text returns text that may have several lines. It keeps tabs and line
// breaks, and makes one of those of Windows.
func Text(text string) string {
	return escape(strings.ReplaceAll(text, "\r\n", "\n"), "\t\n")
}

// Only returns text on one line, without what Line would write out and with one
// space for any white space: for a name, which is better short than exact.
func Only(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case hidden(r):
			return -1
		}
		return r
	}, text)), " ")
}

func escape(text, kept string) string {
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var b strings.Builder
	previous := rune(0)
	for _, r := range text {
		// The emoji form of a symbol, as in a warning sign, hides nothing.
		emoji := r == '\uFE0F' && unicode.Is(unicode.So, previous)
		if hidden(r) && !emoji && !strings.ContainsRune(kept, r) {
			fmt.Fprintf(&b, `\u{%x}`, r)
		} else {
			b.WriteRune(r)
		}
		previous = r
	}
	return b.String()
}

// hidden reports whether r shows nothing, or changes how other characters show:
// controls, zero-width and bidirectional formatting, tag characters, variation
// selectors, fillers, private use, unassigned.
func hidden(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	return !unicode.IsGraphic(r) ||
		unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) ||
		r == '\u2800' // a Braille pattern without dots
}
