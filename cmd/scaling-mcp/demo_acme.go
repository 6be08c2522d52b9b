package main

import (
	"time"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store"
)

// demoAcme is Acme, a web shop with its own warehouses.
func demoAcme() demoOrganization {
	const alice, bob = clerkdev.AliceID, clerkdev.BobID
	return demoOrganization{
		id:      clerkdev.AcmeID,
		founder: alice,
		components: []store.Component{
			{Name: "Storefront", Description: "The shop's pages and their CDN", GroupLabel: "Shop"},
			{Name: "Search", Description: "Product search and suggestions", GroupLabel: "Shop"},
			{Name: "Checkout API", Description: "Carts, prices, orders", GroupLabel: "Shop"},
			{Name: "Payments", Description: "Cards, wallets and refunds", GroupLabel: "Shop"},
			{Name: "Order pipeline", Description: "From a paid order to a packed parcel", GroupLabel: "Fulfilment"},
			{Name: "Warehouse sync", Description: "Stock levels from three warehouses", GroupLabel: "Fulfilment"},
			{Name: "Notifications", Description: "E-mail and SMS to customers", GroupLabel: "Fulfilment"},
			{Name: "Data warehouse", Description: "Nightly loads and dashboards, internal only"},
		},
		statusPage: demoStatusPage{
			slug: "acme", name: "Acme",
			components: []string{"Storefront", "Search", "Checkout API", "Payments", "Order pipeline", "Notifications"},
			overrides:  map[string]store.ComponentStatus{"Notifications": store.ComponentMaintenance},
		},
		schedules: []demoSchedule{
			{
				name: "Platform on-call", description: "Shop and fulfilment, around the clock", timezone: "Europe/Berlin",
				layers: []demoLayer{
					{name: "Primary", kind: store.RotationWeekly, days: 7, handoff: "09:00", people: []string{alice, bob}},
				},
			},
			{
				name: "Payments on-call", description: "Money in, money out", timezone: "America/New_York",
				layers: []demoLayer{
					{name: "Primary", kind: store.RotationCustom, days: 3, handoff: "10:00", people: []string{bob, alice}},
					{name: "Fraud desk", kind: store.RotationDaily, days: 1, handoff: "18:00", people: []string{alice, bob}},
				},
				override: &demoOverride{by: bob, since: 8 * time.Hour, lasted: 36 * time.Hour},
			},
		},
		policies: []demoPolicy{
			// Half an hour, so that dev pages the open incident's next layer a few
			// minutes after its first start.
			{name: "Platform", description: "Whoever has the pager, then everybody", layers: []demoEscalation{
				{schedule: "Platform on-call", minutes: 30},
				{people: []string{alice, bob}, minutes: 15},
			}},
			{name: "Payments", description: "Payments first, platform if they do not answer", layers: []demoEscalation{
				{schedule: "Payments on-call", minutes: 5},
				{schedule: "Platform on-call", minutes: 10},
				{people: []string{alice}, minutes: 30},
			}},
		},
		incidents: demoAcmeIncidents(alice, bob),
	}
}
