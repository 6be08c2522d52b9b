package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9/logging"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/volatile"
)

// connectionsCommand is the operator's break-glass: to see and end connections
// without the dashboard.
type connectionsCommand struct {
	List   connectionsListCommand   `cmd:"" help:"List live connections."`
	Revoke connectionsRevokeCommand `cmd:"" help:"End connections for good: by their ids, or all that fit every one of --org, --user and --client."`
}

// selectors choose connections by what they have in common.
type selectors struct {
	Org    string `placeholder:"ID" help:"Of an organization, by id or slug."`
	User   string `placeholder:"ID" help:"Of a person, by id or e-mail address."`
	Client string `placeholder:"ID" help:"Of a client, by id or identity."`
}

func (s selectors) selection() store.Selection {
	return store.Selection{Org: s.Org, User: s.User, Client: s.Client}
}

type connectionsListCommand struct {
	operatorSettings `embed:""`
	outputSettings   `embed:""`
	selectors        `embed:""`
	All              bool `help:"Those too that ended in the last 90 days."`
}

func (c *connectionsListCommand) Run(ctx context.Context, con console) error {
	return c.withStore(ctx, func(st *store.Store) error {
		now := time.Now()
		connections, err := st.Connections(ctx, c.selection(), c.All, now)
		if err != nil {
			return err
		}
		return writeConnections(con, connections, c.JSON, now)
	})
}

// listedConnection is a connection as it is shown.
type listedConnection struct {
	ID             uuid.UUID  `json:"id"`
	State          string     `json:"state"` // live, expired, or revoked: and the reason
	Client         string     `json:"client"`
	ClientID       string     `json:"clientId"`
	ClientIdentity string     `json:"clientIdentity"`
	UserID         string     `json:"userId"`
	UserEmail      string     `json:"userEmail"`
	OrgID          string     `json:"orgId"`
	OrgSlug        string     `json:"orgSlug"`
	Scopes         []string   `json:"scopes"`
	Connected      *time.Time `json:"connected"`
	LastUsed       *time.Time `json:"lastUsed"`
	Expires        time.Time  `json:"expires"`
}

// writeConnections writes connections as a table, or as JSON.
func writeConnections(con console, connections []*store.ListedConnection, asJSON bool, now time.Time) error {
	listed, rows := []listedConnection{}, [][]string{}
	for _, c := range connections {
		state := "live"
		switch {
		case c.Revoked():
			state = "revoked: " + string(*c.RevokeReason)
		case !now.Before(c.ExpiresAt):
			state = "expired"
		}
		listed = append(listed, listedConnection{
			ID: c.ID, State: state, Client: c.ClientName, ClientID: c.ClientID, ClientIdentity: c.ClientIdentity,
			UserID: c.UserID, UserEmail: c.UserEmail, OrgID: c.OrgID, OrgSlug: c.OrgSlug, Scopes: c.Scopes,
			Connected: c.ConnectedAt, LastUsed: c.LastUsedAt, Expires: c.ExpiresAt,
		})
		rows = append(rows, []string{
			c.ID.String(), state, c.UserEmail, c.OrgSlug, c.ClientName, c.ClientID, instant(c.ConnectedAt), instant(c.LastUsedAt),
		})
	}
	if asJSON {
		return writeJSON(con.out, listed)
	}
	return writeTable(con.out, []string{"ID", "STATE", "PERSON", "ORGANIZATION", "CLIENT", "CLIENT ID", "CONNECTED", "LAST USED"}, rows)
}

type connectionsRevokeCommand struct {
	operatorSettings `embed:""`
	outputSettings   `embed:""`
	RedisURL         secret `env:"SCALING_REDIS_URL" placeholder:"URL" required:"" help:"The servers' Redis."`
	selectors        `embed:""`
	Yes              bool        `help:"Revoke whatever --org, --user and --client choose."`
	IDs              []uuid.UUID `arg:"" optional:"" name:"id" help:"Connections, as connections list shows them."`
}

func (c *connectionsRevokeCommand) Run(ctx context.Context, con console) error {
	selection := c.selection()
	switch {
	case selection.Empty() && len(c.IDs) == 0:
		return errors.New("say which connections: by their ids, or with --org, --user or --client")
	case !selection.Empty() && len(c.IDs) > 0:
		return errors.New("choose connections by their ids, or with --org, --user and --client, not both")
	}
	bulk := !selection.Empty()
	selection.IDs = c.IDs
	logging.Disable() // what Redis has to say reaches us all the same
	redis, err := volatile.Open(string(c.RedisURL))
	if err != nil {
		return fmt.Errorf("SCALING_REDIS_URL: %w", err)
	}
	defer redis.Close()
	return c.withStore(ctx, func(st *store.Store) error {
		now := time.Now()
		if bulk && !c.Yes {
			return c.preview(ctx, con, st, selection, now)
		}
		revoked, err := st.RevokeConnections(ctx, selection, now)
		if errors.Is(err, store.ErrNotFound) {
			return errNoConnection
		}
		if err != nil {
			return err
		}
		// The longest that a server may be set to let a token live.
		liveness := volatile.NewLiveness(redis, st, authz.MaxAccessTokenTTL, newLog(con.err, slog.LevelWarn, false), time.Now)
		confirmed := liveness.Publish(ctx, revoked...)
		return c.report(ctx, con, st, revoked, confirmed)
	})
}

var errNoConnection = errors.New("no live connection fits: see scaling-mcp connections list")

// preview shows what a bulk revocation would end, and refuses it.
func (c *connectionsRevokeCommand) preview(ctx context.Context, con console, st *store.Store, selection store.Selection, now time.Time) error {
	connections, err := st.Connections(ctx, selection, false, now)
	if err != nil {
		return err
	}
	if len(connections) == 0 {
		return errNoConnection
	}
	if err := writeConnections(con, connections, c.JSON, now); err != nil {
		return err
	}
	return fmt.Errorf("nothing is revoked yet: to revoke %s, say --yes", count(len(connections)))
}

// report writes what was revoked, and from when on it holds.
func (c *connectionsRevokeCommand) report(ctx context.Context, con console, st *store.Store, revoked []*store.Revocation, confirmed bool) error {
	ids := make([]uuid.UUID, len(revoked))
	for i, r := range revoked {
		ids[i] = r.ConnectionID
	}
	now := time.Now()
	connections, err := st.Connections(ctx, store.Selection{IDs: ids}, true, now)
	if err != nil {
		return err
	}
	if err := writeConnections(con, connections, c.JSON, now); err != nil {
		return err
	}
	sentence := "their next requests are refused"
	if !confirmed {
		sentence = "Redis does not confirm it, so that they end within a minute"
	}
	if pending := len(revoked) - len(connections); pending > 0 {
		sentence += fmt.Sprintf("; %s of them had not been finished", count(pending))
	}
	_, err = fmt.Fprintf(con.err, "%s revoked: %s.\n", count(len(revoked)), sentence)
	return err
}

func count(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}
