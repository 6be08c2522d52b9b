package store

// ActivityStatement lets a test ask for the plan of a statement.
var ActivityStatement = ActivityQuery.statement
