package ui_test

import (
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/web/ui"
)

func view(change ...func(*ui.ConsentView)) ui.ConsentView {
	v := ui.ConsentView{
		ClientName: "Claude", Verified: true, RedirectHost: "claude.ai",
		Account:          ui.Account{Name: "Ada Byron", Email: "ada@example.com"},
		SwitchAccountURL: "/sign-in?prompt=select_account",
		Orgs:             []ui.OrgChoice{{ID: "org_1", Name: "Acme", Checked: true}, {ID: "org_2", Name: "Globex"}},
		Scopes:           []ui.ScopeChoice{{"incidents:read", "See incidents", true}, {"incidents:publish", "Publish updates", false}},
		Action:           "/oauth/consent", Handle: "h4ndle",
	}
	for _, f := range change {
		f(&v)
	}
	return v
}

// values are what a browser would send if the button were pressed now.
func values(form *goquery.Selection) map[string][]string {
	sent := map[string][]string{}
	form.Find("input").Each(func(_ int, in *goquery.Selection) {
		_, checked := in.Attr("checked")
		if _, disabled := in.Attr("disabled"); disabled || in.AttrOr("type", "") != "hidden" && !checked {
			return
		}
		sent[in.AttrOr("name", "")] = append(sent[in.AttrOr("name", "")], in.AttrOr("value", ""))
	})
	return sent
}

func TestConsentFormSendsWhatIsTicked(t *testing.T) {
	page := render(t, ui.Consent(view()))
	form := page.Find(`form[method="post"][action="/oauth/consent"]`)
	want := map[string][]string{"request": {"h4ndle"}, "org_id": {"org_1"}, "scope": {"incidents:read"}}
	if diff := cmp.Diff(want, values(form)); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	for label, value := range map[string]string{"Allow": "allow", "Deny": "deny"} {
		button := form.Find(`button[name="action"][value="` + value + `"]`)
		if button.Text() != label {
			t.Errorf("button %s: got %q, want %q", value, button.Text(), label)
		}
	}
	if page.Find(`input[type="radio"][name="org_id"]`).Length() != 2 {
		t.Error("organizations are not a radio group")
	}
	page.Find("label.choice").Each(func(_ int, s *goquery.Selection) {
		if s.Find("input").Length() != 1 || text(s) == "" {
			t.Error("a choice without its words")
		}
	})
}

func TestConsentSaysWhoAsksAndWhereItLeads(t *testing.T) {
	for _, test := range []struct {
		name           string
		change         func(*ui.ConsentView)
		heading, badge string
		says, warns    string
	}{
		{"verified", func(*ui.ConsentView) {}, "Connect Claude?", "Verified",
			"We know this client. If you allow it, you go back to claude.ai.", ""},
		{"unverified", func(v *ui.ConsentView) { v.Verified, v.RedirectHost = false, "evil.example" }, "Connect “Claude”?", "Unverified",
			"Nobody has checked who is behind this name. If you allow it, you are sent to evil.example.",
			"Continue only if you started this yourself, just now, and trust that site with your incidents."},
		{"loopback", func(v *ui.ConsentView) { v.Verified, v.Loopback, v.RedirectHost = false, true, "localhost" }, "Connect “Claude”?", "Local app",
			"It says it is Claude, on your computer. If you allow it, you go back to that program (localhost).",
			"Continue only if you started this yourself, just now, on this computer."},
		{"loopback is never verified", func(v *ui.ConsentView) { v.Loopback, v.RedirectHost = true, "localhost" }, "Connect “Claude”?", "Local app",
			"It says it is Claude, on your computer. If you allow it, you go back to that program (localhost).",
			"Continue only if you started this yourself, just now, on this computer."},
	} {
		t.Run(test.name, func(t *testing.T) {
			page := render(t, ui.Consent(view(test.change)))
			for selector, want := range map[string]string{
				"h1": test.heading, ".asker .badge": test.badge, ".asker > div:first-child p:last-child": test.says, ".asker .notice": test.warns,
			} {
				if got := text(page.Find(selector)); got != want {
					t.Errorf("%s: got %q, want %q", selector, got, want)
				}
			}
		})
	}
}

func TestConsentNamesTheAccount(t *testing.T) {
	page := render(t, ui.Consent(view()))
	if got, want := text(page.Find(".whoami p")), "Signed in as Ada Byron ada@example.com"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	link := page.Find(`a[href="/sign-in?prompt=select_account"]`)
	if got, want := link.Text(), "Use another account"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSingleOrganizationIsNotAQuestion(t *testing.T) {
	page := render(t, ui.Consent(view(func(v *ui.ConsentView) { v.Orgs = v.Orgs[:1] })))
	if page.Find(`input[type="radio"]`).Length() != 0 || text(page.Find(".only")) != "Acme" {
		t.Errorf("got %q", text(page.Find("fieldset")))
	}
	if diff := cmp.Diff([]string{"org_1"}, values(page.Find("form"))["org_id"]); diff != "" {
		t.Errorf("org_id (-want +got):\n%s", diff)
	}
}

func TestDisabledOrganizationCannotBeChosen(t *testing.T) {
	blocked := ui.OrgChoice{ID: "org_3", Name: "Initech", Checked: true, Disabled: true, Reason: "Blocked by its administrators."}
	page := render(t, ui.Consent(view(func(v *ui.ConsentView) { v.Orgs = append(v.Orgs[1:], blocked) })))
	choice := page.Find(`input[value="org_3"]`)
	if choice.Filter("[disabled]").Length() != 1 || choice.Filter("[checked]").Length() != 0 {
		t.Error("it can be chosen")
	}
	if got := text(page.Find(".choice.off small")); got != blocked.Reason {
		t.Errorf("got %q, want %q", got, blocked.Reason)
	}
	if page.Find("button[value=allow][disabled]").Length() != 0 {
		t.Error("the other organization cannot be allowed")
	}
}

func TestNothingToAllowLeavesOnlyDeny(t *testing.T) {
	for name, orgs := range map[string][]ui.OrgChoice{
		"no organization": nil,
		"one, disabled":   {{ID: "org_3", Name: "Initech", Disabled: true, Reason: "Blocked."}},
	} {
		page := render(t, ui.Consent(view(func(v *ui.ConsentView) { v.Orgs = orgs })))
		if page.Find("button[value=allow]:not([disabled])").Length() != 0 || page.Find("button[value=deny]:not([disabled])").Length() != 1 {
			t.Errorf("%s: the buttons are wrong", name)
		}
		if page.Find("[name=org_id], [name=scope]").Length() != 0 {
			t.Errorf("%s: there is something to choose", name)
		}
	}
}

func TestConsentShowsItsErrorAboveTheForm(t *testing.T) {
	page := render(t, ui.Consent(view(func(v *ui.ConsentView) { v.Error = "Tick at least one." })))
	if got := text(page.Find(`.sheet > [role="alert"] + form`).Prev()); got != "Tick at least one." {
		t.Errorf("got %q", got)
	}
}

func TestHostileNamesStayText(t *testing.T) {
	hostile := `</title><script>alert(1)</script><img src=x onerror=alert(1)>`
	page := render(t, ui.Consent(view(func(v *ui.ConsentView) {
		v.ClientName, v.RedirectHost, v.Error, v.Handle, v.SwitchAccountURL = hostile, hostile, hostile, `"><b>`, "javascript:alert(1)"
		v.Orgs = append(v.Orgs, ui.OrgChoice{ID: hostile, Name: hostile})
	})))
	if page.Find("script, img").Length() > 0 || page.Find(`[href^="javascript"]`).Length() > 0 {
		html, _ := page.Html()
		t.Errorf("markup got through:\n%s", html)
	}
	if !strings.Contains(page.Find("h1").Text(), hostile) {
		t.Errorf("got heading %q", page.Find("h1").Text())
	}
}
