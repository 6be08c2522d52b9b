package store

// The statements, so that a test may ask for their plans.
var (
	ConnectionPageStatement   = ConnectionQuery.page
	ConnectionGroupsStatement = ConnectionQuery.groups
)
