package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"scaling.cloud/mcp/migrations"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/visible"
)

// operatorSettings are what every command of an operator takes.
type operatorSettings struct {
	DatabaseURL secret `env:"SCALING_DATABASE_URL" placeholder:"URL" required:"" help:"PostgreSQL."`
}

// outputSettings are what every command takes that answers with data.
type outputSettings struct {
	JSON bool `name:"json" help:"Answer in JSON, for scripts."`
}

// withStore runs f on the database, whose schema must be this program's.
func (c *operatorSettings) withStore(ctx context.Context, f func(*store.Store) error) error {
	pending, err := migrations.Pending(ctx, string(c.DatabaseURL))
	if err != nil {
		return err
	}
	if pending {
		return errors.New("the database schema is behind this program: run scaling-mcp migrate")
	}
	pool, err := openPool(ctx, string(c.DatabaseURL))
	if err != nil {
		return fmt.Errorf("SCALING_DATABASE_URL: %w", err)
	}
	defer pool.Close()
	return f(store.New(pool))
}

// writeTable writes rows in aligned columns under their heads. What strangers
// wrote cannot move the cursor of the operator's terminal.
func writeTable(w io.Writer, heads []string, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{heads}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = visible.Line(cell)
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// writeJSON writes v for scripts.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// instant is how a time is shown; one that has not come is "-".
func instant(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
