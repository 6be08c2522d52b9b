package store

// IncidentStatement lets a test ask for the plan of a list.
var IncidentStatement = IncidentQuery.statement

// TimelineStatement lets it ask for that of a timeline.
var TimelineStatement = timelineStatement
