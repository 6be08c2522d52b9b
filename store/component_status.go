package store

import "slices"

// ComponentStatus is what customers are told of a component.
type ComponentStatus string

// The component statuses.
const (
	ComponentOperational   ComponentStatus = "operational"
	ComponentMaintenance   ComponentStatus = "maintenance"
	ComponentDegraded      ComponentStatus = "degraded"
	ComponentPartialOutage ComponentStatus = "partial_outage"
	ComponentMajorOutage   ComponentStatus = "major_outage"
)

// Status is what the component's administrator says it is, else what the worst
// of its open incidents makes it, else operational.
func (c *StatusComponent) Status() ComponentStatus {
	if c.Override != nil {
		return *c.Override
	}
	for _, severity := range Severities() {
		if slices.Contains(c.Severities, severity) {
			return severity.componentStatus()
		}
	}
	return ComponentOperational
}

// componentStatus is what an open incident makes of the components that it
// affects (design §11).
func (s Severity) componentStatus() ComponentStatus {
	switch s {
	case SeverityCritical:
		return ComponentMajorOutage
	case SeverityHigh:
		return ComponentPartialOutage
	}
	return ComponentDegraded
}

// Status is that of the worst component. Maintenance is planned, and no worse
// than operational; a page without components is operational.
func (p *StatusPage) Status() ComponentStatus {
	worst := ComponentOperational
	badness := []ComponentStatus{ComponentOperational, ComponentDegraded, ComponentPartialOutage, ComponentMajorOutage}
	for _, c := range p.Components {
		if status := c.Status(); slices.Index(badness, status) > slices.Index(badness, worst) {
			worst = status
		}
	}
	return worst
}
