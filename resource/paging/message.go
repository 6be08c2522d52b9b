package paging

import (
	"fmt"
	"strings"

	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/visible"
)

// Bounds of what a mail shows of strangers' text, in characters.
const (
	mostOfTitle       = 60 // in the subject, as much as a locked telephone shows
	mostOfDescription = 600
)

// message is the mail of a page. Who wakes up to it sees the subject alone at
// first, so that the title is in it: after words of ours, cut short, and without
// characters that nobody sees. In the text, everything that strangers wrote is
// quoted line by line, and cannot pass for a sentence of ours.
func message(p store.Page, d *store.PageDetails, publicURL string) mail.Message {
	organization := beginning(visible.Only(d.Organization), mostOfTitle)
	var text strings.Builder
	fmt.Fprintf(&text, "You are paged for incident %d of %s, severity %s.\n\n", d.SequentialID, organization, d.Severity)
	quote(&text, visible.Line(d.Title))
	if description := strings.TrimSpace(visible.Text(d.Description)); description != "" {
		quote(&text, "")
		quote(&text, beginning(description, mostOfDescription))
	}
	fmt.Fprintf(&text, "\nTo take it, tell your assistant: Acknowledge incident %d of %s.\n", d.SequentialID, organization)
	fmt.Fprintf(&text, "To see it: %s/incidents/%s\n\n", publicURL, p.IncidentID)
	fmt.Fprintf(&text, "This is layer %d of the incident's escalation policy.", p.Layer)
	if d.NextPageAt != nil {
		fmt.Fprintf(&text, " Unless somebody acknowledges, it goes on at %s.", d.NextPageAt.UTC().Format("15:04 UTC on 2 January"))
	}
	text.WriteString("\n")
	return mail.Message{
		ID:     fmt.Sprintf("page.%s.%d.%s", p.IncidentID, p.Layer, idPart(p.PersonID)),
		Thread: "incident." + p.IncidentID.String(),
		Name:   d.Name, Address: d.Email,
		Subject: fmt.Sprintf("[%s] %s incident %d: %s", d.Severity, organization, d.SequentialID, beginning(visible.Only(d.Title), mostOfTitle)),
		Text:    text.String(),
	}
}

// idPart leaves of a person's id what may stand in a Message-ID: all of it, for
// Clerk's.
func idPart(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '-' {
			return r
		}
		return '.'
	}, id)
}

// quote writes text as mail programs quote it.
func quote(b *strings.Builder, text string) {
	for line := range strings.Lines(text + "\n") {
		b.WriteString("> " + line)
	}
}

// beginning cuts text to the given number of characters.
func beginning(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
