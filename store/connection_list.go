package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ConnectionSort is an order of a list of connections, and of their clients.
type ConnectionSort string

// The orders. Connecting counts as use. What has ended is listed by when it
// ended where what lives is listed by its last use.
const (
	SortByUse     ConnectionSort = "used"      // the latest first
	SortByConnect ConnectionSort = "connected" // the latest first
	SortByName    ConnectionSort = "name"      // of the client, from A on
)

// ConnectionQuery chooses connections of a list, and their order.
type ConnectionQuery struct {
	// UserID or OrgID, and not both: whose connections. Whether the caller
	// administers the organization is the caller's question.
	UserID, OrgID string
	Ended         bool   // those that have ended, for EndedShownFor, and not those that live
	Search        string // in the client's name, and in an organization in the person's name and address
	Client        string // an identity; empty for all
	Member        string // a user id; empty for all
	Sort          ConnectionSort
	After         *ConnectionPosition // nil for the beginning
	Limit         int
}

// ConnectionPosition is a place in a list: that of the item with this key. It is
// a place also when the item has gone.
type ConnectionPosition struct {
	At   time.Time // SortByUse, SortByConnect
	Name string    // SortByName
	ID   string    // a connection's, or the identity of a client
}

// ConnectionGroup is a client, by its identity, with the connections of a list
// that it has.
type ConnectionGroup struct {
	Identity    string
	Name        string // one of those that it goes by
	Connections int
	People      int
	Position    ConnectionPosition
	Top         []*ListedConnection // the first ones
}

// ConnectionGroups returns clients that have connections in the list, of each the
// first ones, at most perGroup.
func (s *Store) ConnectionGroups(ctx context.Context, q ConnectionQuery, perGroup int, now time.Time) ([]*ConnectionGroup, error) {
	type row struct {
		Identity    string
		Name        string
		Connections int
		People      int
		At          time.Time
		Top         []uuid.UUID
	}
	sql, args := q.groups(perGroup, now)
	rows, err := many[row](s.pool.Query(ctx, sql, args...))
	if err != nil {
		return nil, wrap("listing clients", err)
	}
	var ids []uuid.UUID
	for _, r := range rows {
		ids = append(ids, r.Top...)
	}
	listed, err := s.listed(ctx, ids, now)
	if err != nil {
		return nil, err
	}
	groups := make([]*ConnectionGroup, len(rows))
	for i, r := range rows {
		groups[i] = &ConnectionGroup{Identity: r.Identity, Name: r.Name, Connections: r.Connections, People: r.People,
			Position: ConnectionPosition{Name: r.Name, ID: r.Identity, At: r.At}, Top: inOrder(r.Top, listed)}
	}
	return groups, nil
}

// ConnectionPage returns connections of the list, whatever their client.
func (s *Store) ConnectionPage(ctx context.Context, q ConnectionQuery, now time.Time) ([]*ListedConnection, error) {
	type row struct{ ID uuid.UUID }
	sql, args := q.page(now)
	rows, err := many[row](s.pool.Query(ctx, sql, args...))
	if err != nil {
		return nil, wrap("listing connections", err)
	}
	ids := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	listed, err := s.listed(ctx, ids, now)
	if err != nil {
		return nil, err
	}
	return inOrder(ids, listed), nil
}

// Position is the place of a connection in the list.
func (q ConnectionQuery) Position(c *ListedConnection) ConnectionPosition {
	p := ConnectionPosition{Name: c.ClientName, ID: c.ID.String(), At: *c.ConnectedAt}
	switch {
	case q.Sort == SortByConnect:
	case q.Ended && c.RevokedAt != nil:
		p.At = *c.RevokedAt
	case q.Ended:
		p.At = c.ExpiresAt
	case c.LastUsedAt != nil && c.LastUsedAt.After(p.At):
		p.At = *c.LastUsedAt
	}
	return p
}

// inOrder returns the connections that have the ids. One that has gone between
// two statements is left out.
func inOrder(ids []uuid.UUID, listed map[uuid.UUID]*ListedConnection) []*ListedConnection {
	cs := make([]*ListedConnection, 0, len(ids))
	for _, id := range ids {
		if c, ok := listed[id]; ok {
			cs = append(cs, c)
		}
	}
	return cs
}

// listed returns connections with the names that a page shows beside them.
func (s *Store) listed(ctx context.Context, ids []uuid.UUID, now time.Time) (map[uuid.UUID]*ListedConnection, error) {
	listed := make(map[uuid.UUID]*ListedConnection, len(ids))
	if len(ids) == 0 {
		return listed, nil
	}
	cs, err := many[ListedConnection](s.pool.Query(ctx, listedConnection+`AND c.id = ANY ($2)`, now, ids))
	for _, c := range cs {
		listed[c.ID] = c
	}
	return listed, wrap("listing connections", err)
}

// arguments collects those of a statement.
type arguments []any

// add adds one and returns what stands for it in the statement.
func (a *arguments) add(arg any) string {
	*a = append(*a, arg)
	return fmt.Sprintf("$%d", len(*a))
}

// where is what chooses connections c for the list. $1 is the instant.
func (q ConnectionQuery) where(args *arguments) string {
	and := []string{"c.connected_at IS NOT NULL"}
	if q.Ended {
		// Each branch is a range of an index of its own.
		and = append(and, `(c.revoked_at > $1::timestamptz - interval '90 days'
			OR c.revoked_at IS NULL AND c.expires_at <= $1 AND c.expires_at > $1::timestamptz - interval '90 days')`)
	} else {
		and = append(and, "c.revoked_at IS NULL AND c.expires_at > $1")
	}
	if q.OrgID != "" {
		and = append(and, "c.org_id = "+args.add(q.OrgID))
	} else {
		and = append(and, "c.user_id = "+args.add(q.UserID))
	}
	if q.Client != "" {
		and = append(and, "c.client_identity = "+args.add(q.Client))
	}
	if q.Member != "" {
		and = append(and, "c.user_id = "+args.add(q.Member))
	}
	if q.Search != "" {
		text := args.add(q.Search)
		found := "strpos(lower(c.client_name), lower(" + text + ")) > 0"
		if q.OrgID != "" {
			// The people first: of them there are fewer than of connections.
			found = "(" + found + ` OR c.user_id IN (
				SELECT u.id FROM users u
				WHERE u.id IN (SELECT p.user_id FROM connections p WHERE p.org_id = ` + args.add(q.OrgID) + ` AND p.connected_at IS NOT NULL)
				  AND (strpos(lower(u.name), lower(` + text + `)) > 0 OR strpos(lower(u.email), lower(` + text + `)) > 0)))`
		}
		and = append(and, found)
	}
	return strings.Join(and, " AND ")
}

// at is the instant that a connection c is listed by.
func (q ConnectionQuery) at() string {
	switch {
	case q.Sort == SortByConnect:
		return "c.connected_at"
	case q.Ended:
		return "COALESCE(c.revoked_at, c.expires_at)"
	}
	return "GREATEST(c.last_used_at, c.connected_at)"
}

// order is the order of a list by its columns named key, and what comes after a
// position in it.
func (q ConnectionQuery) order(key, id, idType string, args *arguments) (by, after string) {
	compare := "<"
	by = key + " DESC, " + id + " DESC"
	if q.Sort == SortByName {
		compare, by = ">", key+", "+id
	}
	if q.After == nil {
		return by, "true"
	}
	var place string
	if q.Sort == SortByName {
		place = "lower(" + args.add(q.After.Name) + "::text)"
	} else {
		place = args.add(q.After.At) + "::timestamptz"
	}
	return by, "(" + key + ", " + id + ") " + compare + " (" + place + ", " + args.add(q.After.ID) + "::text::" + idType + ")"
}

func (q ConnectionQuery) groups(perGroup int, now time.Time) (string, []any) {
	args := arguments{now}
	where := q.where(&args)
	key, top := "at", q.at()+" DESC, c.id DESC"
	if q.Sort == SortByName {
		key, top = "lower(name)", "lower(c.client_name), c.id"
	}
	by, after := q.order(key, "identity", "text", &args)
	return `
	WITH people AS ( -- by hash in two steps, where count(DISTINCT) would sort
		SELECT c.client_identity, c.user_id, min(c.client_name COLLATE "C") AS name, count(*) AS connections, max(` + q.at() + `) AS at
		FROM connections c WHERE ` + where + ` GROUP BY c.client_identity, c.user_id
	), clients AS (
		SELECT client_identity AS identity, min(name) COLLATE "default" AS name, sum(connections)::bigint AS connections, count(*) AS people, max(at) AS at
		FROM people GROUP BY client_identity
	), page AS (
		SELECT identity, name, connections, people, at FROM clients WHERE ` + after + ` ORDER BY ` + by + ` LIMIT ` + args.add(q.Limit) + `
	)
	SELECT identity, name, connections, people, at, ARRAY (
	           SELECT c.id FROM connections c WHERE ` + where + ` AND c.client_identity = identity
	           ORDER BY ` + top + ` LIMIT ` + args.add(perGroup) + `) AS top
	FROM page ORDER BY ` + by, args
}

func (q ConnectionQuery) page(now time.Time) (string, []any) {
	args := arguments{now}
	where := q.where(&args)
	key := q.at()
	if q.Sort == SortByName {
		key = "lower(c.client_name)"
	}
	by, after := q.order(key, "c.id", "uuid", &args)
	return `
	SELECT c.id FROM connections c WHERE ` + where + ` AND ` + after + `
	ORDER BY ` + by + ` LIMIT ` + args.add(q.Limit), args
}

// CallDays is for how many days calls are counted.
const CallDays = 7

// Calls are the numbers of calls on each of the last CallDays days, the latest
// last. A day is the 24 hours up to now.
type Calls [CallDays]int

// Total is the number of all of them.
func (c Calls) Total() (total int) {
	for _, n := range c {
		total += n
	}
	return total
}

// CallsOf counts the calls through connections, which the caller may see. One
// without calls is not in the answer.
func (s *Store) CallsOf(ctx context.Context, connectionIDs []uuid.UUID, now time.Time) (map[uuid.UUID]Calls, error) {
	type row struct {
		ConnectionID uuid.UUID
		DaysAgo      int
		Calls        int
	}
	rows, err := many[row](s.pool.Query(ctx, `
		SELECT connection_id, floor(extract(epoch FROM $2::timestamptz - at) / 86400)::int AS days_ago, count(*) AS calls
		FROM audit_events
		WHERE connection_id = ANY ($1) AND at > $2::timestamptz - make_interval(days => $3) AND at <= $2
		GROUP BY 1, 2`, connectionIDs, now, CallDays))
	if err != nil {
		return nil, wrap("counting calls", err)
	}
	calls := map[uuid.UUID]Calls{}
	for _, r := range rows {
		days := calls[r.ConnectionID]
		days[CallDays-1-r.DaysAgo] = r.Calls
		calls[r.ConnectionID] = days
	}
	return calls, nil
}
