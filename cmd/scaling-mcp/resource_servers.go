package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/store"
)

// resourceServersCommand manages who may introspect access tokens (RFC 7662).
type resourceServersCommand struct {
	Add    resourceServersAddCommand    `cmd:"" help:"Register a resource server, and print its secret once."`
	List   resourceServersListCommand   `cmd:"" help:"List the resource servers."`
	Remove resourceServersRemoveCommand `cmd:"" help:"Remove a resource server; its next request is refused."`
}

type resourceServersAddCommand struct {
	operatorSettings `embed:""`
	outputSettings   `embed:""`
	Name             string `arg:"" help:"What the list shows it as."`
}

func (c *resourceServersAddCommand) Run(ctx context.Context, con console) error {
	c.Name = strings.TrimSpace(c.Name)
	if c.Name == "" {
		return errors.New("a resource server needs a name")
	}
	return c.withStore(ctx, func(st *store.Store) error {
		r, clientSecret := authz.NewResourceServer(c.Name)
		r.CreatedAt = time.Now()
		if err := st.CreateResourceServer(ctx, r); err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(con.out, map[string]string{"id": r.ID, "name": r.Name, "secret": clientSecret})
		}
		_, err := fmt.Fprintf(con.out, "id      %s\nsecret  %s\n\nThe secret is not kept and not shown again.\n", r.ID, clientSecret)
		return err
	})
}

type resourceServersListCommand struct {
	operatorSettings `embed:""`
	outputSettings   `embed:""`
}

// listedResourceServer is a resource server as it is shown.
type listedResourceServer struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

func (c *resourceServersListCommand) Run(ctx context.Context, con console) error {
	return c.withStore(ctx, func(st *store.Store) error {
		servers, err := st.ResourceServers(ctx)
		if err != nil {
			return err
		}
		listed, rows := []listedResourceServer{}, [][]string{}
		for _, r := range servers {
			listed = append(listed, listedResourceServer{r.ID, r.Name, r.CreatedAt.UTC()})
			rows = append(rows, []string{r.ID, r.Name, instant(&r.CreatedAt)})
		}
		if c.JSON {
			return writeJSON(con.out, listed)
		}
		return writeTable(con.out, []string{"ID", "NAME", "CREATED"}, rows)
	})
}

type resourceServersRemoveCommand struct {
	operatorSettings `embed:""`
	ID               string `arg:"" name:"id" help:"The resource server, as resource-servers list shows it."`
}

func (c *resourceServersRemoveCommand) Run(ctx context.Context, con console) error {
	return c.withStore(ctx, func(st *store.Store) error {
		err := st.DeleteResourceServer(ctx, c.ID)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no resource server %q: see scaling-mcp resource-servers list", c.ID)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(con.out, "%s is removed: its next request is refused.\n", c.ID)
		return err
	})
}
