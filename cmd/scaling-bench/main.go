// Command scaling-bench drives a running server through the whole flow of a
// client, as many clients do at once, and prints how fast it answers: dynamic
// registration, redemption of codes, refreshes, tool calls. It signs in and
// consents as a demo person at the development Clerk, so the server is one that
// scaling-mcp dev runs; and it talks to this computer alone. An answer counts
// only if it is right: a usable token, a rotation that is not a replay.
//
// It measures and leaves behind what it registered and connected. It is no load
// test of a network: each client has one connection, kept alive, and waits for
// each answer.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// command is the whole command line.
type command struct {
	URL      string        `arg:"" placeholder:"URL" help:"Public URL of a running scaling-mcp dev, such as http://localhost:8080; on this computer."`
	Clients  int           `default:"16" help:"Clients at once, each with one connection (default ${default})."`
	Duration time.Duration `default:"5s" help:"How long each phase lasts (default ${default})."`
	Phases   []string      `default:"code,refresh,call,register" enum:"code,refresh,call,register" help:"Phases to run, in this order (default ${default}); register may meet the server's limit on new clients, so it is last."`
	Codes    int           `default:"1000" help:"Consents to give before the phase code; it ends when they are used up (default ${default})."`
	Person   string        `default:"alice@acme.example" help:"Demo person who signs in and consents (default ${default})."`
	PID      []int         `name:"pid" placeholder:"PID" help:"Process whose CPU time is read, with its descendants, from /proc; several for several, such as the server and PostgreSQL's postmaster."`
	JSON     bool          `name:"json" help:"Print JSON."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "scaling-bench:", err)
		os.Exit(1)
	}
}

// run parses args, runs the phases that they name, and prints what was measured.
// It fails where a phase had no good answer at all.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c command
	exited := false
	parser, err := kong.New(&c,
		kong.Name("scaling-bench"),
		kong.Description("Drives a running scaling-mcp dev and prints throughput and latency."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { exited = true }), // --help
	)
	if err != nil {
		return err
	}
	if _, err = parser.Parse(args); exited || err != nil {
		return err
	}
	if c.Clients < 1 || c.Codes < c.Clients {
		return errors.New("--clients must be at least 1, and --codes at least as many")
	}
	b, err := newBench(ctx, &c)
	if err != nil {
		return err
	}
	var results []result
	for _, phase := range b.phases() {
		if !slices.Contains(c.Phases, phase.name) {
			continue
		}
		fmt.Fprintf(stderr, "%s: preparing\n", phase.name)
		r, err := b.measure(ctx, phase)
		if err != nil {
			return fmt.Errorf("%s: %w", phase.name, err)
		}
		results = append(results, r)
	}
	if c.JSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(results)
	} else {
		err = printTable(stdout, results)
	}
	for _, r := range results {
		if r.Requests == 0 {
			err = errors.Join(err, fmt.Errorf("%s: no answer was good: %v", r.Phase, r.Errors))
		}
	}
	return err
}
