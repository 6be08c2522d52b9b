package main

import (
	"time"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store"
)

// demoGlobex is Globex, which forecasts energy demand.
func demoGlobex() demoOrganization {
	const carol, alice = clerkdev.CarolID, clerkdev.AliceID
	const m, h, day = time.Minute, time.Hour, 24 * time.Hour
	return demoOrganization{
		id:      clerkdev.GlobexID,
		founder: carol,
		components: []store.Component{
			{Name: "Forecast API", Description: "Demand forecasts for grid operators", GroupLabel: "Product"},
			{Name: "Customer portal", Description: "Contracts, reports, downloads", GroupLabel: "Product"},
			{Name: "Meter ingest", Description: "Readings from 40,000 meters", GroupLabel: "Data"},
		},
		statusPage: demoStatusPage{slug: "globex", name: "Globex", components: []string{"Forecast API", "Customer portal"}},
		schedules: []demoSchedule{{
			name: "Grid operations", description: "Forecasts must be out by 05:00", timezone: "Australia/Sydney",
			layers: []demoLayer{
				{name: "Primary", kind: store.RotationDaily, days: 1, handoff: "06:30", people: []string{carol, alice}},
			},
		}},
		policies: []demoPolicy{{
			name: "Grid operations", description: "Whoever is on call, then Carol", layers: []demoEscalation{
				{schedule: "Grid operations", minutes: 15},
				{people: []string{carol}, minutes: 30},
			},
		}},
		incidents: []demoIncident{
			{
				ago: 61*day + 4*h, severity: store.SeverityHigh, title: "Forecasts for Victoria built from yesterday's weather",
				description: "The 04:00 run took the cached weather file. Error of the day-ahead forecast is 9 % instead of 2 %.",
				by:          carol, components: []string{"Forecast API"}, policy: "Grid operations",
				then: []demoStep{
					{after: 5 * m},
					{after: 25 * m, by: carol, says: "The weather bureau's download answered 200 with an empty body, and we kept the old file.", to: store.StatusIdentified},
					{after: 50 * m, by: carol, public: true, says: "The day-ahead forecast for Victoria published at 04:00 was inaccurate. A corrected one has been available since 06:10."},
					{after: 55 * m, by: carol, to: store.StatusMonitoring},
					{after: 26 * h, by: carol, to: store.StatusResolved, note: "Files are checked for age and size before a run."},
				},
			},
			{
				ago: 27*day + 8*h, severity: store.SeverityLow, title: "Portal shows contract dates in American order",
				description: "Since the upgrade of the table component, 03/04 may be either.",
				by:          alice, owner: alice, components: []string{"Customer portal"},
				then: []demoStep{
					{after: 3 * h, by: alice, says: "The component reads the browser's language, not the customer's.", to: store.StatusIdentified},
					{after: 5 * h, by: alice, to: store.StatusMonitoring},
					{after: 24 * h, by: alice, to: store.StatusResolved, note: "Dates are written out: 3 April 2026."},
				},
			},
			{
				ago: 6*day + 1*h, severity: store.SeverityMedium, title: "Meter readings from Tasmania arrive in bursts",
				description: "Nothing for twenty minutes, then everything at once. Ingest copes; the live view does not.",
				by:          carol, via: "ChatGPT", components: []string{"Meter ingest"}, policy: "Grid operations",
				then: []demoStep{
					{after: 11 * m},
					{after: 47 * m, by: carol, via: "ChatGPT", says: "The carrier's gateway batches since their maintenance. They undo it tonight.", to: store.StatusIdentified},
					{after: 14 * h, by: carol, to: store.StatusMonitoring},
					{after: 20 * h, by: carol, to: store.StatusResolved, note: "The live view now says how old its data is."},
				},
			},
		},
	}
}
