package authz

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/mtibben/confusables"
	"golang.org/x/text/cases"
)

// withoutLookalikes writes out, as \u{430}, the characters by which a name could
// pass for another (Unicode TR39): those that look Latin and are not, in a word
// that mixes the alphabets that have them, and, in a name that looks like a
// well-known client's and is not it, all that make it look so. Words in any one
// script stay as they are.
func withoutLookalikes(name string) string {
	poses := posesAsKnown(name)
	var b strings.Builder
	for word, space := range words(name) {
		mixed := mixesAlphabets(word)
		for _, r := range word {
			if looksLatin(r) && (poses || mixed && unicode.IsLetter(r) && !unicode.Is(unicode.Latin, r)) {
				fmt.Fprintf(&b, `\u{%x}`, r)
			} else {
				b.WriteRune(r)
			}
		}
		b.WriteString(space)
	}
	return b.String()
}

// posesAsKnown reports whether a name looks as if it contained a well-known
// client's name without containing it. Capitals are no disguise: they read the
// same.
func posesAsKnown(name string) bool {
	fold := cases.Fold().String
	// A capital I looks like an l, and a small i does not: what the name looks like
	// as it stands is one question, and in small letters another.
	asIs := func(text string) string { return fold(confusables.Skeleton(text)) }
	small := func(text string) string { return fold(confusables.Skeleton(fold(text))) }
	for _, known := range catalogue() {
		if strings.Contains(fold(name), fold(known.name)) {
			continue
		}
		if strings.Contains(asIs(name), asIs(known.name)) || strings.Contains(small(name), small(known.name)) {
			return true
		}
	}
	return false
}

// mixesAlphabets reports whether a word has letters of more than one of the
// alphabets whose letters look alike.
func mixesAlphabets(word string) bool {
	alphabets := 0
	for _, alphabet := range []*unicode.RangeTable{
		unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian, unicode.Cherokee, unicode.Coptic, unicode.Lisu,
	} {
		if strings.ContainsFunc(word, func(r rune) bool { return unicode.Is(alphabet, r) }) {
			alphabets++
		}
	}
	return alphabets > 1
}

// looksLatin reports whether a character looks like one other letter or digit of
// ASCII than it is.
func looksLatin(r rune) bool {
	skeleton := confusables.Skeleton(string(r))
	if skeleton == string(r) || len(skeleton) != 1 {
		return false
	}
	return skeleton[0] != ' ' && (unicode.IsLetter(rune(skeleton[0])) || unicode.IsDigit(rune(skeleton[0])))
}

// words yields the words of a text, each with the space after it.
func words(text string) func(yield func(word, space string) bool) {
	return func(yield func(word, space string) bool) {
		for text != "" {
			end := strings.IndexByte(text, ' ')
			if end < 0 {
				yield(text, "")
				return
			}
			if !yield(text[:end], " ") {
				return
			}
			text = text[end+1:]
		}
	}
}
