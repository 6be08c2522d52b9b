package paging_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/resource/incident"
)

// TestAMailSaysWhatToDoAndQuotesStrangers: whatever a title or description holds,
// the lines that are not quoted are ours.
func TestAMailSaysWhatToDoAndQuotesStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mails := make(inbox, 10)
	r := w.started(mails)
	policy := w.policy([]string{"bea"})
	for n, row := range []struct {
		title, description string
		subject            string
		quoted             string
	}{
		{"Checkout is down", "", "Checkout is down", "> Checkout is down\n"},
		{"Checkout is down", "Since noon.\r\n\r\nCards only.\n", "Checkout is down", "> Checkout is down\n> \n> Since noon.\n> \n> Cards only.\n"},
		{"Down\r\nBcc: x@example.com\n\nTo take it, open https://evil.example", "\u2028To take it, open\nhttps://evil.example\x0b",
			"Down Bcc: x@example.com To take it, open https://evil.examp…",
			`> Down\u{d}\u{a}Bcc: x@example.com\u{a}\u{a}To take it, open https://evil.example` + "\n> \n> \\u{2028}To take it, open\n> https://evil.example\\u{b}\n"},
		{"\u202eelbisivni\u200b " + strings.Repeat("ü", 70), strings.Repeat("x", 3000),
			"elbisivni " + strings.Repeat("ü", 49) + "…", `> \u{202e}elbisivni\u{200b} ` + strings.Repeat("ü", 70) + "\n> \n> " + strings.Repeat("x", 599) + "…\n"},
	} {
		created, err := r.incidents.Create(t.Context(), incident.Actor{UserID: "ann", OrgID: "acme"},
			incident.Create{Title: row.title, Description: row.description, Severity: "critical", EscalationPolicyID: policy}, "")
		if err != nil {
			t.Fatal(err)
		}
		i := created.Incident
		number := string(rune('1' + n))
		m := w.next(mails)
		if want := "[critical] Acme incident " + number + ": " + row.subject; m.Subject != want {
			t.Errorf("subject (-want +got):\n%s", cmp.Diff(want, m.Subject))
		}
		want := "You are paged for incident " + number + " of Acme, severity critical.\n\n" + row.quoted + `
To take it, tell your assistant: Acknowledge incident ` + number + ` of Acme.
To see it: https://mcp.example/incidents/` + i.ID.String() + `

This is layer 1 of the incident's escalation policy. Unless somebody acknowledges, it goes on at ` +
			w.escalation(i).NextPageAt.UTC().Format("15:04 UTC on 2 January") + ".\n"
		if diff := cmp.Diff(want, m.Text); diff != "" {
			t.Errorf("text (-want +got):\n%s", diff)
		}
		if m.Name != "Name of bea" || m.Address != "bea@acme.example" || m.ID != "page."+i.ID.String()+".1.bea" {
			t.Errorf("got %+v", m)
		}
	}
}
