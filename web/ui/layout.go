package ui

import (
	"strings"
	"unicode"
)

// Account is the person who is signed in.
type Account struct {
	Name, Email string
	// Administers: they are offered the pages for administrators.
	Administers bool
}

// initials are one or two letters to know oneself by.
func (a Account) initials() string {
	words := strings.FieldsFunc(a.Name, func(r rune) bool { return !unicode.IsLetter(r) })
	if len(words) == 0 {
		words = []string{a.Email, ""}
	}
	var letters []rune
	for _, word := range []string{words[0], words[len(words)-1]} {
		for _, r := range word {
			letters = append(letters, unicode.ToUpper(r))
			break
		}
	}
	if len(words) == 1 {
		letters = letters[:1]
	}
	return string(letters)
}

// PageData is what the layout of a page needs to know.
type PageData struct {
	Title string
	// Current is the path of the entry of the navigation that the page belongs
	// to, or empty.
	Current string
	// Account is nil where nobody is signed in; the page then offers signing in.
	Account *Account
	// Script is the path of a script of the page's own, or empty. It runs before the
	// page is drawn.
	Script string
}

type entry struct{ path, name string }

func (a Account) navigation() []entry {
	entries := []entry{
		{"/settings/connections", "Connections"},
		{"/settings/activity", "Activity"},
		{"/settings/connect", "Connect"},
	}
	if a.Administers {
		entries = append(entries, entry{"/settings/policy", "Policy"})
	}
	return entries
}
