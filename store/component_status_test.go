package store_test

import (
	"testing"

	"scaling.cloud/mcp/store"
)

func TestComponentStatusIsTheOverrideElseTheWorstIncident(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		override   store.ComponentStatus
		severities []store.Severity
		want       store.ComponentStatus
	}{
		{"", nil, store.ComponentOperational},
		{"", []store.Severity{store.SeverityLow}, store.ComponentDegraded},
		{"", []store.Severity{store.SeverityMedium}, store.ComponentDegraded},
		{"", []store.Severity{store.SeverityHigh}, store.ComponentPartialOutage},
		{"", []store.Severity{store.SeverityCritical}, store.ComponentMajorOutage},
		{"", []store.Severity{store.SeverityLow, store.SeverityCritical, store.SeverityHigh}, store.ComponentMajorOutage},
		{"", []store.Severity{store.SeverityMedium, store.SeverityHigh}, store.ComponentPartialOutage},
		{store.ComponentOperational, []store.Severity{store.SeverityCritical}, store.ComponentOperational},
		{store.ComponentMaintenance, []store.Severity{store.SeverityCritical}, store.ComponentMaintenance},
		{store.ComponentMajorOutage, nil, store.ComponentMajorOutage},
	} {
		c := store.StatusComponent{Severities: tc.severities}
		if tc.override != "" {
			c.Override = &tc.override
		}
		if got := c.Status(); got != tc.want {
			t.Errorf("override %q, incidents %v: got %s, want %s", tc.override, tc.severities, got, tc.want)
		}
	}
}

func TestPageStatusIsThatOfTheWorstComponent(t *testing.T) {
	t.Parallel()
	const operational, maintenance, degraded, partial, major = store.ComponentOperational, store.ComponentMaintenance,
		store.ComponentDegraded, store.ComponentPartialOutage, store.ComponentMajorOutage
	for _, tc := range []struct {
		components []store.ComponentStatus
		want       store.ComponentStatus
	}{
		{nil, operational},
		{[]store.ComponentStatus{operational, operational}, operational},
		{[]store.ComponentStatus{maintenance, maintenance}, operational},
		{[]store.ComponentStatus{operational, degraded, maintenance}, degraded},
		{[]store.ComponentStatus{degraded, partial, operational}, partial},
		{[]store.ComponentStatus{major, partial, degraded}, major},
	} {
		p := store.StatusPage{}
		for _, status := range tc.components {
			p.Components = append(p.Components, &store.StatusComponent{Override: &status})
		}
		if got := p.Status(); got != tc.want {
			t.Errorf("%v: got %s, want %s", tc.components, got, tc.want)
		}
	}
}
