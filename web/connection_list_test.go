package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

const list = "/settings/connections"

func ofClient(identity, name string) func(*store.Connection) {
	return func(c *store.Connection) { c.ClientIdentity, c.ClientName = identity, name }
}

func lastUsed(ago time.Duration) func(*store.Connection) {
	return func(c *store.Connection) { c.LastUsedAt = new(now.Add(-ago)) }
}

func connected(ago time.Duration) func(*store.Connection) {
	return func(c *store.Connection) { c.ConnectedAt = new(now.Add(-ago)) }
}

func expired(c *store.Connection) { c.ExpiresAt = now.Add(-time.Hour) }

// clients are the clients of the list with their connections, in its order.
func (p *page) clients() map[string][]string {
	found := map[string][]string{}
	p.Find("#connections tbody").Each(func(_ int, body *goquery.Selection) {
		found[body.AttrOr("data-client", "")] = body.Find("[data-connection]").Map(func(_ int, row *goquery.Selection) string {
			return row.AttrOr("data-connection", "")
		})
	})
	return found
}

// allPages are the pages of a list, from the given one on.
func (d *dashboard) allPages(user, target string) []*page {
	d.t.Helper()
	var pages []*page
	for target != "" {
		p := d.get(user, target)
		expectStatus(d.t, p, http.StatusOK)
		if pages = append(pages, p); len(pages) > 30 {
			d.t.Fatal("the pages do not end")
		}
		target = p.Find(`nav[aria-label="Pages"] a[rel=next]`).AttrOr("href", "")
	}
	return pages
}

func TestConnectionsGoByClient(t *testing.T) {
	t.Parallel()
	d := open(t)
	laptop := d.connect(alice, acme, ofClient("name:code@localhost", "Code"), lastUsed(time.Hour))
	desk := d.connect(alice, acme, ofClient("name:code@localhost", "Code"), lastUsed(time.Minute))
	claude := d.connect(alice, globex, lastUsed(2*time.Minute))
	d.connect(bob, acme, ofClient("name:code@localhost", "Code"))

	p := d.get(alice, list)
	want := map[string][]string{"name:code@localhost": {desk.String(), laptop.String()}, "claude": {claude.String()}}
	if diff := cmp.Diff(want, p.clients()); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	expect(t, "heading", p.text("#connections .group .muted"), "2 connections")

	p = d.get(alice, list+"?org=acme")
	expect(t, "heading", p.text(`[data-client="name:code@localhost"] .group .muted`), "3 connections of 2 people")
}

func TestCallsOfAWeekAreCountedByDay(t *testing.T) {
	t.Parallel()
	d := open(t)
	busy := d.connect(alice, acme, lastUsed(time.Hour))
	idle := d.connect(alice, globex, lastUsed(30*24*time.Hour))
	unused := d.connect(alice, globex)
	var calls []store.AuditEvent
	for _, hours := range []int{1, 2, 25, 24*7 - 1, 24*7 + 1} {
		calls = append(calls, store.AuditEvent{ID: uuid.Must(uuid.NewV7()), OrgID: acme.ID, UserID: alice, ConnectionID: busy, ClientID: "client",
			Action: "list_incidents", Outcome: store.OutcomeOK, At: now.Add(-time.Duration(hours) * time.Hour)})
	}
	d.must(d.store.RecordAudit(t.Context(), calls))

	p := d.get(alice, list)
	calling := func(id uuid.UUID) string { return `[data-connection="` + id.String() + `"] .calls` }
	expect(t, "total", p.text(calling(busy)), "4 calls in 7 days")
	expect(t, "chart, read out", p.Find(calling(busy)+" svg[role=img]").AttrOr("aria-label", ""),
		"Calls on each of the last 7 days, today last: 1, 0, 0, 0, 0, 1, 2")
	if got := p.Find(calling(busy) + " rect").Length(); got != store.CallDays {
		t.Errorf("the chart has %d bars", got)
	}
	expect(t, "none of late", p.text(calling(idle)), "No calls in 7 days")
	expect(t, "none ever", p.text(`[data-connection="`+unused.String()+`"] [data-label="Last used"]`), "Not yet")
}

func TestSearchAndFilters(t *testing.T) {
	t.Parallel()
	d := open(t)
	ids := map[string]string{}
	for name, id := range map[string]uuid.UUID{
		"alice claude": d.connect(alice, acme),
		"bob claude":   d.connect(bob, acme),
		"bob code":     d.connect(bob, acme, ofClient("name:100%_sure@localhost", `100%_Sure`)),
		"bob ended":    d.connect(bob, acme, revoked(store.RevokedByReuse, "")),
		"alice aged":   d.connect(alice, acme, expired),
		"in globex":    d.connect(carol, globex),
	} {
		ids[id.String()] = name
	}
	for _, test := range []struct {
		query string
		want  []string
	}{
		{"", []string{"alice claude", "bob claude", "bob code", "bob ended", "alice aged"}},
		{"q=CLAU", []string{"alice claude", "bob claude", "bob ended", "alice aged"}},
		{"q=+sure+", []string{"bob code"}},
		{"q=%25_s", []string{"bob code"}},
		{"q=%25", []string{"bob code"}}, // is no wildcard
		{"q=baker", []string{"bob claude", "bob code", "bob ended"}},
		{"q=Alice@example", []string{"alice claude", "alice aged"}},
		{"q=carol", nil},
		{"q=nobody", nil},
		{"q=%00%ff", []string{"alice claude", "bob claude", "bob code", "bob ended", "alice aged"}},
		{"q=" + strings.Repeat("x", 5000), nil},
		{"client=claude", []string{"alice claude", "bob claude", "bob ended", "alice aged"}},
		{"client=name%3a100%25_sure%40localhost", []string{"bob code"}},
		{"client=none", nil},
		{"member=" + bob, []string{"bob claude", "bob code", "bob ended"}},
		{"member=" + bob + "&client=claude&state=live", []string{"bob claude"}},
		{"member=" + carol, nil},
		{"state=live", []string{"alice claude", "bob claude", "bob code"}},
		{"state=ended", []string{"bob ended", "alice aged"}},
		{"state=ended&q=alice", []string{"alice aged"}},
		{"state=nonsense&sort=nonsense&after=nonsense", []string{"alice claude", "bob claude", "bob code", "bob ended", "alice aged"}},
		{"after=" + "YQpi", []string{"alice claude", "bob claude", "bob code", "bob ended", "alice aged"}}, // "a\nb", no time
		{"client=claude&sort=name&after=YQpi", []string{"alice claude", "bob claude", "bob ended", "alice aged"}},
	} {
		p := d.get(alice, list+"?view=organization&org=acme&"+test.query)
		expectStatus(t, p, http.StatusOK)
		var got []string
		for _, id := range p.connections("main") {
			got = append(got, ids[id])
		}
		slices.Sort(got)
		slices.Sort(test.want)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%.60s (-want +got):\n%s", test.query, diff)
		}
		if p.Find("form[role=search]").Length() != 1 {
			t.Errorf("%.60s: there is no form to search anew", test.query)
		}
	}
	if got := d.get(bob, list+"?member="+alice).connections("main"); len(got) != 3 {
		t.Errorf("among one's own ?member changes the list to %d", len(got))
	}
}

// What was asked for stands in the form, and in every link from the list to
// another part of it.
func TestFormKeepsWhatWasAsked(t *testing.T) {
	t.Parallel()
	d := open(t)
	for range 51 {
		d.connect(bob, acme, ofClient("name:code@localhost", "Code"))
	}
	p := d.get(alice, list+"?view=organization&org=acme&q=co&state=live&sort=name&client=name%3Acode%40localhost&member="+bob)
	form := p.Find("form[role=search]")
	if form.AttrOr("method", "") != "get" || form.AttrOr("action", "") != list {
		t.Error("the form does not get the list")
	}
	for name, want := range map[string]string{"q": "co", "view": "organization", "org": "acme", "client": "name:code@localhost", "member": bob} {
		expect(t, name, form.Find(`input[name="`+name+`"]`).AttrOr("value", ""), want)
	}
	for name, want := range map[string]string{"state": "live", "sort": "name"} {
		expect(t, name, form.Find(`select[name="`+name+`"] option[selected]`).AttrOr("value", ""), want)
	}
	form.Find("input:not([type=hidden]), select").Each(func(_ int, field *goquery.Selection) {
		if strings.TrimSpace(field.Closest("label").Text()) == "" {
			t.Error("a field has no label")
		}
	})
	next, err := url.Parse(p.Find("a[rel=next]").AttrOr("href", ""))
	d.must(err)
	for name, want := range map[string]string{"q": "co", "state": "live", "sort": "name", "org": "acme", "client": "name:code@localhost", "member": bob} {
		expect(t, "next page's "+name, next.Query().Get(name), want)
	}
}

func TestPagesNeitherSkipNorRepeat(t *testing.T) {
	t.Parallel()
	d := open(t)
	var live, ofOne, ended []string
	for n := range 23 {
		// Ties in each order, and clients of one name.
		id := d.connect(alice, acme, ofClient(fmt.Sprintf("name:%d", n), fmt.Sprintf("Client %d", n/5)),
			lastUsed(time.Duration(n/3)*time.Hour), connected(time.Duration(n/4+8)*time.Hour))
		live = append(live, id.String())
	}
	for n := range 120 {
		same := ofClient("one", fmt.Sprintf("One %d", n/40))
		at := time.Duration(n/7) * time.Hour
		ofOne = append(ofOne, d.connect(alice, acme, same, lastUsed(at), connected(at+time.Hour)).String())
		ended = append(ended, d.connect(alice, acme, same, revoked(store.RevokedByClient, ""), connected(at+time.Hour)).String())
	}
	for _, sort := range []string{"used", "connected", "name"} {
		for name, test := range map[string]struct {
			query string
			want  []string
		}{
			"of one client": {"&client=one&state=live", ofOne},
			"ended":         {"&state=ended", ended},
		} {
			var got []string
			for _, p := range d.allPages(alice, list+"?sort="+sort+test.query) {
				shown := p.connections("main")
				if len(shown) > 50 {
					t.Errorf("%s by %s: a page has %d", name, sort, len(shown))
				}
				got = append(got, shown...)
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s by %s (-want +got):\n%s", name, sort, diff)
			}
		}
		var clients []string
		for _, p := range d.allPages(alice, list+"?state=live&sort="+sort) {
			p.Find("#connections tbody").Each(func(_ int, body *goquery.Selection) { clients = append(clients, body.AttrOr("data-client", "")) })
			if n := len(p.connections("main")); n > 50 {
				t.Errorf("clients by %s: a page has %d connections", sort, n)
			}
		}
		unique := slices.Compact(slices.Sorted(slices.Values(clients)))
		if len(clients) != 24 || len(unique) != 24 {
			t.Errorf("clients by %s: got %d, %d different, want 24", sort, len(clients), len(unique))
		}
	}
}

func TestSortOrders(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.connect(alice, acme, ofClient("b", "bravo"), connected(3*time.Hour), lastUsed(time.Minute))
	d.connect(alice, acme, ofClient("a", "Alpha"), connected(4*time.Hour), lastUsed(time.Hour))
	d.connect(alice, acme, ofClient("c", "Charlie"), connected(2*time.Hour)) // connecting counts as use, 2 hours ago
	for sort, want := range map[string]string{"": "b a c", "used": "b a c", "connected": "c b a", "name": "a b c"} {
		p := d.get(alice, list+"?sort="+sort)
		got := p.Find("#connections tbody").Map(func(_ int, body *goquery.Selection) string { return body.AttrOr("data-client", "") })
		expect(t, "by "+sort, strings.Join(got, " "), want)
	}
}

// While somebody turns the pages of one client, connections are used, made and
// revoked. Those that were not touched are each seen once.
func TestPagesHoldStillWhileOthersConnect(t *testing.T) {
	t.Parallel()
	d := open(t)
	var still []string
	for n := range 110 {
		still = append(still, d.connect(alice, acme, lastUsed(time.Duration(n)*time.Minute)).String())
	}
	first := d.get(alice, list+"?client=claude&state=live")
	d.connect(alice, acme, lastUsed(0))
	last, err := uuid.Parse(first.connections("#connections")[49]) // what the next page is found by
	d.must(err)
	_, err = d.store.RevokeOwnConnection(t.Context(), last, alice, now)
	d.must(err)
	got := first.connections("#connections")
	for _, p := range d.allPages(alice, first.Find("a[rel=next]").AttrOr("href", "")) {
		got = append(got, p.connections("#connections")...)
	}
	if diff := cmp.Diff(still, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestManyOfOneClientAreShownInPart(t *testing.T) {
	t.Parallel()
	d := open(t)
	for range 7 {
		d.connect(alice, acme)
	}
	for range 12 {
		d.connect(alice, acme, revoked(store.RevokedByUser, alice))
	}
	p := d.get(alice, list)
	if got := len(p.connections("#connections")); got != 5 {
		t.Errorf("got %d of one client, want 5", got)
	}
	all := p.Find(`#connections tr:last-child.group a`)
	expect(t, "link", strings.Join(strings.Fields(all.Text()), " "), "Show all 7 connections of Claude")
	if got := len(d.get(alice, all.AttrOr("href", "")).connections("#connections")); got != 7 {
		t.Errorf("the link shows %d, want 7", got)
	}
	if got := len(p.connections("#ended")); got != 10 {
		t.Errorf("got %d that ended, want 10", got)
	}
	if got := len(d.get(alice, p.Find(`a[href*="state=ended"]`).AttrOr("href", "")).connections("#ended")); got != 12 {
		t.Errorf("the link shows %d that ended, want 12", got)
	}
}
