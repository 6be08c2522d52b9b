package main

import (
	"time"

	"scaling.cloud/mcp/store"
)

// demoAcmeIncidents are Acme's last 90 days.
func demoAcmeIncidents(alice, bob string) []demoIncident {
	const m, h, day = time.Minute, time.Hour, 24 * time.Hour
	return []demoIncident{
		{
			ago: 88*day + 5*h, severity: store.SeverityHigh, title: "Search returns no results for German umlauts",
			description: "Since this morning's index rebuild, \"Küche\" finds nothing and \"Kuche\" finds everything. About a fifth of all searches in the German shop carry an umlaut.",
			by:          bob, components: []string{"Search"}, policy: "Platform",
			then: []demoStep{
				{after: 4 * m},
				{after: 12 * m, by: bob, says: "The new index was built without the ICU analyzer plugin. It is in the old image and missing from the one we switched to last night.", to: store.StatusIdentified},
				{after: 18 * m, by: alice, public: true, says: "Searches that contain umlauts find no products at the moment. We know the cause and are rebuilding the search index; expect normal results within the hour."},
				{after: 51 * m, by: bob, says: "Alias points at the rebuilt index. Spot checks on twenty umlaut terms are fine.", to: store.StatusMonitoring},
				{after: 84 * m, by: alice, public: true, says: "Search works again for all terms. We are sorry for the trouble.", to: store.StatusResolved, note: "Index rebuilt with the ICU analyzer. The image build now fails without the plugin."},
			},
		},
		{
			ago: 80*day + 14*h, severity: store.SeverityCritical, title: "Checkout API answers 503 to every request",
			description: "All checkout pods restart in a loop after release 2026.31. Orders per minute dropped from 140 to 0 at 20:06.",
			by:          alice, components: []string{"Checkout API", "Storefront"}, policy: "Platform",
			then: []demoStep{
				{after: 2 * m},
				{after: 5 * m, by: alice, public: true, says: "Checkout is down: carts cannot be paid for. Our engineers are on it. Carts are kept."},
				{after: 7 * m, by: bob, says: "Pods die reading PRICE_ROUNDING: the release expects the variable, the Helm values of production lack it. Staging has had it for a week, which is why nobody saw it there.", to: store.StatusIdentified},
				{after: 11 * m, by: bob, says: "Rolled back to 2026.30, first pods are ready.", to: store.StatusMonitoring},
				{after: 15 * m, by: alice, public: true, says: "Checkout works again. We are watching it closely."},
				{after: 55 * m, by: alice, says: "Order rate is back at 150 a minute. 612 carts were abandoned during the outage; marketing sends them a reminder.", to: store.StatusResolved, note: "Rolled back. Follow-up: start-up validates configuration in CI against production's values."},
			},
		},
		{
			ago: 73*day + 2*h, severity: store.SeverityLow, title: "Parcel tracking links in Polish e-mails point to the test carrier",
			description: "Reported by customer care, three tickets. The links open the carrier's sandbox, which asks for a login.",
			by:          bob, owner: bob, components: []string{"Notifications"},
			then: []demoStep{
				{after: 40 * m, by: bob, says: "Template variable for the carrier's host falls back to the sandbox where a country has none of its own. Only Poland was added without one.", to: store.StatusIdentified},
				{after: 95 * m, by: bob, says: "Fixed and deployed. The 41 customers get the mail again.", to: store.StatusMonitoring},
				{after: 26 * h, by: bob, to: store.StatusResolved, note: "No new tickets. The fallback is gone: a missing host now fails the build."},
			},
		},
		{
			ago: 65*day + 9*h, severity: store.SeverityMedium, title: "Order confirmation e-mails delayed by up to 40 minutes",
			description: "Queue notifications-email is at 18,000 messages and growing by 300 a minute. Consumers are healthy, throughput is half of normal.",
			by:          alice, via: "Claude", components: []string{"Notifications"}, policy: "Platform",
			then: []demoStep{
				{after: 9 * m},
				{after: 22 * m, by: alice, via: "Claude", says: "The provider throttles us to 5 mails a second: their status page says that our region runs at reduced capacity since 06:10 UTC.", to: store.StatusIdentified},
				{after: 30 * m, by: alice, public: true, says: "Order confirmations currently arrive up to 40 minutes late. Orders themselves are not affected: if you see your order under \"My orders\", we have it."},
				{after: 105 * m, by: bob, says: "Moved password resets and confirmations to the second provider; newsletters wait. Backlog is falling.", to: store.StatusMonitoring},
				{after: 190 * m, by: bob, public: true, says: "E-mails arrive on time again.", to: store.StatusResolved, note: "Split by priority stays on. Ticket 4471 open with the provider."},
			},
		},
		{
			ago: 56*day + 11*h, severity: store.SeverityHigh, title: "Card payments with 3-D Secure fail for one issuer group",
			description: "Declines of cards from one group of banks rose from 4 % to 71 % at 14:20. All of them stop at the 3-D Secure challenge with \"transStatus U\".",
			by:          bob, components: []string{"Payments"}, policy: "Payments",
			then: []demoStep{
				{after: 3 * m},
				{after: 16 * m, by: bob, says: "The group's access control server times out. Other merchants report the same; our acquirer confirms it.", to: store.StatusIdentified},
				{after: 20 * m, by: alice, public: true, says: "Some card payments fail at the bank's confirmation step. This concerns several shops and is caused by the banks' service. Other cards, wallets and invoice work."},
				{after: 27 * m, by: bob, says: "Storefront now lists wallets first for the affected card ranges."},
				{after: 170 * m, by: bob, says: "Declines are back under 5 %.", to: store.StatusMonitoring},
				{after: 260 * m, by: alice, public: true, says: "The banks have repaired their service, and all cards work again.", to: store.StatusResolved, note: "Third party. Keep the re-ordering switch; it took six minutes to find."},
			},
		},
		{
			ago: 48*day + 7*h, severity: store.SeverityMedium, title: "Warehouse Leipzig stopped sending stock levels",
			description: "Last file from Leipzig is four hours old. The shop sells from stale stock: 12 orders so far cannot be fulfilled.",
			by:          alice, components: []string{"Warehouse sync", "Order pipeline"}, policy: "Platform",
			then: []demoStep{
				{after: 6 * m},
				{after: 35 * m, by: alice, says: "Their SFTP account is locked after the password rotation on Friday: the export job still has the old one.", to: store.StatusIdentified},
				{after: 50 * m, by: bob, says: "Leipzig's articles are marked \"available on request\" until the sync is back."},
				{after: 130 * m, by: alice, says: "Leipzig updated the job, first file is in.", to: store.StatusMonitoring},
				{after: 5 * h, by: alice, to: store.StatusResolved, note: "Keys instead of passwords for all three warehouses, planned for next sprint. An alert now fires after 30 minutes without a file."},
			},
		},
		{
			ago: 39*day + 20*h, severity: store.SeverityLow, title: "Nightly load of the data warehouse took nine hours",
			description: "The dashboards showed the day before yesterday until noon. No customer impact.",
			by:          bob, via: "Cursor", owner: bob, components: []string{"Data warehouse"},
			then: []demoStep{
				{after: 2 * h, by: bob, via: "Cursor", says: "Statistics on order_items are from before the partition was added, so the planner reads all of it. ANALYZE brought the query from 7 h to 11 min.", to: store.StatusIdentified},
				{after: 3 * h, by: bob, to: store.StatusMonitoring},
				{after: 27 * h, by: bob, to: store.StatusResolved, note: "Last night's load took 48 minutes. ANALYZE is now a step of the load."},
			},
		},
		{
			ago: 30*day + 16*h, severity: store.SeverityCritical, title: "Storefront shows other customers' names in the header",
			description: "Two customers report being greeted with somebody else's name. Orders and addresses could not be opened, as far as we know. Treat as a privacy incident until shown otherwise.",
			by:          alice, components: []string{"Storefront"}, policy: "Platform",
			then: []demoStep{
				{after: 1 * m},
				{after: 4 * m, by: alice, says: "CDN caching of HTML switched off everywhere. This costs us latency and is worth it."},
				{after: 19 * m, by: bob, says: "Confirmed: the header fragment went out with Cache-Control public after yesterday's change to the edge configuration. Nothing but the first name is in that fragment.", to: store.StatusIdentified},
				{after: 32 * m, by: alice, public: true, says: "For some visitors the shop showed another customer's first name in the page header. No other data was visible and no account could be opened. We have removed the cause and are reviewing the logs."},
				{after: 48 * m, by: bob, says: "Fragment is private, no-store; caches purged; a synthetic check compares two sessions every minute.", to: store.StatusMonitoring},
				{after: 23 * h, by: alice, public: true, says: "Our review of the logs is complete: first names only, in 214 page views within 17 hours. The customers concerned have been informed.", to: store.StatusResolved, note: "Data protection officer informed within 24 h. Post-mortem on Thursday."},
			},
		},
		{
			ago: 21*day + 3*h, severity: store.SeverityMedium, title: "Refunds above 500 EUR stuck in review",
			description: "Customer care sees 63 refunds in state \"review\" for more than two days. Usually there are two or three.",
			by:          bob, components: []string{"Payments"}, policy: "Payments",
			then: []demoStep{
				{after: 5 * m},
				{after: 55 * m, by: bob, says: "The approval job runs as a user that lost its role in the clean-up of service accounts. It logs a warning and goes on.", to: store.StatusIdentified},
				{after: 80 * m, by: alice, says: "Role restored; the job works through the list.", to: store.StatusMonitoring},
				{after: 7 * h, by: bob, says: "All 63 are paid out. Care has a text for those who asked.", to: store.StatusResolved, note: "The job now fails loudly. Alert on refunds older than 24 h."},
			},
		},
		{
			ago: 12*day + 13*h, severity: store.SeverityHigh, title: "Order pipeline: parcels printed with the wrong return address",
			description: "Labels from the Gdańsk line carry Leipzig's return address since the start of the late shift. About 900 parcels have left the building.",
			by:          alice, via: "Claude", components: []string{"Order pipeline", "Warehouse sync"}, policy: "Platform",
			then: []demoStep{
				{after: 7 * m},
				{after: 15 * m, by: alice, via: "Claude", says: "Line stopped. 380 parcels are still on the dock and get new labels."},
				{after: 44 * m, by: bob, says: "The label service caches the sender by tenant, not by warehouse, since 2026.38.", to: store.StatusIdentified},
				{after: 70 * m, by: bob, says: "Cache key has the warehouse in it. Line runs again.", to: store.StatusMonitoring},
				{after: 9 * h, by: alice, says: "The carrier redirects returns of the 900 parcels to Gdańsk at no charge.", to: store.StatusResolved, note: "Test with two warehouses added. Carrier reference 88-20417."},
			},
		},
		{
			ago: 4*day + 6*h, severity: store.SeverityMedium, title: "Storefront slow for mobile users in Spain and Portugal",
			description: "95th percentile of the first byte is 4.1 s on mobile networks in ES and PT, 0.6 s elsewhere. Began at 18:00 local time, as did last night's.",
			by:          bob, via: "Claude", components: []string{"Storefront"}, policy: "Platform",
			then: []demoStep{
				{after: 8 * m},
				{after: 38 * m, by: bob, via: "Claude", says: "Traffic of two mobile carriers reaches our CDN through Miami in the evening. The CDN has opened a ticket with their transit provider.", to: store.StatusIdentified},
				{after: 45 * m, by: alice, public: true, says: "The shop loads slowly for some customers on mobile networks in Spain and Portugal. We are working on it with our network provider."},
				{after: 120 * m, by: bob, says: "Madrid is announced directly to both carriers. First byte is at 0.7 s.", to: store.StatusMonitoring},
				{after: 2 * day, by: alice, public: true, says: "Loading times in Spain and Portugal have been normal for two evenings.", to: store.StatusResolved, note: "Peering in Madrid stays. Ask for a monthly routing report."},
			},
		},
		{
			ago: 23 * m, severity: store.SeverityHigh, title: "Checkout API: one in eight card payments times out",
			description: "Timeouts of POST /v2/payments rose from 0.1 % to 12 % at the top of the hour. Connection pool to the payments database is full on all pods; CPU and the database itself look calm. No release today.",
			by:          bob, components: []string{"Checkout API", "Payments"}, policy: "Platform",
			then: []demoStep{
				{after: 6 * m, by: bob, says: "Pool waits began within seconds of the hourly settlement report. It may hold connections while it waits for the object store."},
				{after: 11 * m, by: alice, public: true, says: "Some card payments take very long or fail. If a payment fails, you have not been charged; trying again usually works. We are investigating."},
			},
		},
	}
}
