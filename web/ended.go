package web

import (
	"time"

	"scaling.cloud/mcp/store"
)

// ended reports whether the connection's client is refused: for good, or within
// a minute.
func ended(c *store.ListedConnection, now time.Time) bool {
	return c.Revoked() || !c.ExpiresAt.After(now)
}

// endedAt is when an ended connection ended.
func endedAt(c *store.ListedConnection) time.Time {
	if c.Revoked() {
		return *c.RevokedAt
	}
	return c.ExpiresAt
}

// endedBecause says in a sentence why an ended connection ended, to the viewer
// with the given user id.
func endedBecause(c *store.ListedConnection, viewer string) string {
	if !c.Revoked() {
		return "It reached its maximum age."
	}
	owner, has := c.UserName, "has"
	if c.UserID == viewer {
		owner, has = "you", "have"
	}
	name := c.ClientName
	switch *c.RevokeReason {
	case store.RevokedByUser:
		if c.UserID == viewer {
			return "You revoked it."
		}
		return "Revoked by " + owner + "."
	case store.RevokedByAdmin:
		if c.RevokedBy != nil && *c.RevokedBy == viewer {
			return "You revoked it, as an administrator of " + c.OrgName + "."
		}
		if c.RevokedByName == nil {
			return "Revoked by an administrator of " + c.OrgName + "."
		}
		return "Revoked by " + *c.RevokedByName + ", an administrator of " + c.OrgName + "."
	case store.RevokedByClient:
		return name + " disconnected itself, as clients do when you sign out of them."
	case store.RevokedByReuse:
		return "Ended for safety: a key that " + name + " had already replaced was used again, which can mean that somebody copied it."
	case store.RevokedByReplay:
		return "Ended for safety: the one-time code that made this connection was used a second time."
	case store.RevokedByClerk:
		return "Ended because " + owner + " no longer " + has + " access to " + c.OrgName + "."
	case store.RevokedByPolicy:
		switch {
		case c.RevokedBy != nil && *c.RevokedBy == viewer:
			return "Ended by a rule that you set for " + c.OrgName + "."
		case c.RevokedByName != nil:
			return "Ended by a rule that " + *c.RevokedByName + " set for " + c.OrgName + "."
		}
		return "Ended by a rule of " + c.OrgName + "’s administrators."
	case store.RevokedSuperseded:
		return "Replaced when " + owner + " connected " + name + " again."
	case store.RevokedByOperator:
		return "Ended by the people who run scaling.cloud."
	}
	return "Ended."
}
