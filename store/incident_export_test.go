package store

// The statements, so that a test may ask for their plans.
var (
	IncidentStatement        = IncidentQuery.statement
	IncidentDetailsStatement = incidentDetailsStatement
	TimelineStatement        = timelineStatement
)
