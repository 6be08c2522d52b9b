// Command scaling-mcp connects AI clients to the incidents and on-call
// schedules of an organization at scaling.cloud: an OAuth 2.1 authorization
// server, an MCP resource server and a dashboard, on one origin.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // schedules are in time zones that a small image may lack

	"github.com/alecthomas/kong"
)

// commands is the whole command line: a field's tags are its flag, environment
// variable, default and help.
type commands struct {
	Serve           serveCommand           `cmd:"" help:"Run the server."`
	Migrate         migrateCommand         `cmd:"" help:"Bring the database schema up to date."`
	Dev             devCommand             `cmd:"" help:"Run everything on this computer: a private PostgreSQL, Redis, a development Clerk, demo data, and the server."`
	Keys            keysCommand            `cmd:"" help:"Rotate the keys that sign access tokens."`
	Connections     connectionsCommand     `cmd:"" help:"List and revoke connections, for an emergency."`
	ResourceServers resourceServersCommand `cmd:"" help:"Who may introspect access tokens (RFC 7662)."`
	Healthcheck     healthcheckCommand     `cmd:"" help:"Ask a running server whether it is ready; exit status 1 if not."`
	Version         versionCommand         `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "scaling-mcp:", err)
		os.Exit(1)
	}
}

// console is where a command writes: what it was asked for to out, its log to
// err.
type console struct{ out, err io.Writer }

// run parses args and runs the command that they name until it is done or ctx
// is. The end-to-end tests call it too.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c commands
	exited := false
	parser, err := kong.New(&c,
		kong.Name("scaling-mcp"),
		kong.Description("Connects AI clients to incidents and on-call schedules over the Model Context Protocol."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { exited = true }), // --help
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(console{stdout, stderr}),
	)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if exited {
		return nil
	}
	if err != nil {
		return err
	}
	err = command.Run()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // told to stop, and stopped
	}
	return err
}

type versionCommand struct{}

func (versionCommand) Run(c console) error {
	_, err := fmt.Fprintln(c.out, version())
	return err
}

// version is the module's version, or the revision that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "devel"
}
