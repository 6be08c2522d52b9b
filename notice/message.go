package notice

import (
	"fmt"
	"regexp"
	"strings"

	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/visible"
	"scaling.cloud/mcp/web/ui"
)

const (
	// mostOfName is how much of a name is shown, in characters.
	mostOfName = 64
	// mostListed is how many connections one mail names.
	mostListed = 10
)

// message is the mail of a notice. The names in it are strangers': each stands
// quoted on a line of its own or after a word of ours, is one line, short, and
// nothing that a mail program would make a link. The one link is ours.
func message(kind store.NoticeKind, connections []*store.NoticedConnection, publicURL string) mail.Message {
	first := connections[0]
	subject, opening := "A client was connected in your name", "A client was connected to scaling.cloud, and can now act in your name:"
	if len(connections) > 1 {
		subject, opening = "Clients were connected in your name", "Clients were connected to scaling.cloud, and can now act in your name:"
	}
	if kind == store.NoticeRevoked {
		subject, opening = "A connection of yours has ended", "A client can no longer act in your name on scaling.cloud:"
		if len(connections) > 1 {
			subject, opening = "Connections of yours have ended", "These clients can no longer act in your name on scaling.cloud:"
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\n", opening)
	for i, c := range connections {
		if i == mostListed && len(connections) > mostListed+1 {
			fmt.Fprintf(&text, "and %d more\n", len(connections)-mostListed)
			break
		}
		fmt.Fprintf(&text, "> %s\n", name(c.ClientName))
		if place, local := ui.RedirectPlace(c.RedirectURI); local {
			fmt.Fprintf(&text, "  on a computer of yours (%s)\n", name(strings.TrimSuffix(place, "://")))
		} else {
			fmt.Fprintf(&text, "  which sends people to %s\n", name(place))
		}
	}
	fmt.Fprintf(&text, "\nOrganization: %s\nWhen: %s\n", name(first.OrgName), first.MadeAt.UTC().Format("15:04 UTC on 2 January 2006"))
	if kind == store.NoticeRevoked {
		fmt.Fprintf(&text, "Why: %s\n", because(first))
	}
	fmt.Fprintf(&text, "\n%s\n%s/settings/connections\n", whatToDo(kind, first), publicURL)
	return mail.Message{
		ID:   fmt.Sprintf("notice.%s.%s", kind, first.ID),
		Name: first.UserName, Address: first.UserEmail,
		Subject: subject,
		Text:    text.String(),
	}
}

// because says why the connections of one notice ended, which is the same of
// all.
func because(c *store.NoticedConnection) string {
	organization := name(c.OrgName)
	switch *c.RevokeReason {
	case store.RevokedByAdmin:
		if c.RevokedByName == nil {
			return "An administrator of " + organization + " ended it."
		}
		return name(*c.RevokedByName) + ", an administrator of " + organization + ", ended it."
	case store.RevokedByReuse:
		return "For safety: a key that the client had already replaced was used again, which can mean that somebody copied it."
	case store.RevokedByReplay:
		return "For safety: the one-time code that made this connection was used a second time, which can mean that somebody copied it."
	case store.RevokedByClerk:
		return "You no longer have access to " + organization + "."
	case store.RevokedByPolicy:
		return "A rule of the administrators of " + organization + " does not allow it."
	case store.RevokedByOperator:
		return "The people who run scaling.cloud ended it."
	}
	return "It was ended."
}

// whatToDo is the sentence before the link to the connections page.
func whatToDo(kind store.NoticeKind, c *store.NoticedConnection) string {
	if kind == store.NoticeConnected {
		return "If that was you, there is nothing to do. If it was not, end it now and tell your administrator:"
	}
	switch *c.RevokeReason {
	case store.RevokedByReuse, store.RevokedByReplay:
		return "If you use this client, connect it again. If you do not know why this happened, look through what else is connected:"
	}
	return "If you have questions, ask an administrator of your organization. What is connected in your name:"
}

// linkable finds what a mail program would make a link or an address of: the
// dot of a domain, in any of its forms, the colon of a scheme, and the at sign.
var linkable = regexp.MustCompile(`([.。．｡])(\pL)|(:)(\S)|(@)()`)

// name is a stranger's name as it may stand in a mail.
func name(text string) string {
	text = visible.Only(text)
	if runes := []rune(text); len(runes) > mostOfName {
		text = string(runes[:mostOfName-1]) + "…"
	}
	return linkable.ReplaceAllString(text, "[$1$3$5]$2$4")
}
