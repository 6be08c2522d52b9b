package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/mail"
	"scaling.cloud/mcp/migrations"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/pgdev"
)

// devCommand runs the whole product on one computer, with nothing to set up. What
// the settings name (a database, a Redis, a Clerk) is used in place of its own.
type devCommand struct {
	settings    `embed:""`
	ClerkListen string `default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Address of the development Clerk; loopback only (default ${default})."`
	Data        string `type:"path" placeholder:"DIR" help:"Where database and keys stay between runs (default: scaling-mcp-dev in the user's cache directory)."`
	Reset       bool   `help:"Start over with new demo data."`
}

// Run starts everything, and stops it when ctx is done.
func (c *devCommand) Run(ctx context.Context, con console) (err error) {
	if err := c.settle(); err != nil {
		return err
	}
	log := newLog(con.err, c.LogLevel, false)

	// The port comes first: it is the likeliest to be taken, and the public URL
	// follows from it.
	listener, err := listen(c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if c.PublicURL == "" {
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return err
		}
		c.PublicURL = "http://localhost:" + port
	}
	if err := c.checkCommon(); err != nil {
		return err
	}

	// On the way out: everything is told to stop, PostgreSQL stops last of all
	// servers, and nothing is left running.
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	defer func() {
		if waited := g.Wait(); waited != nil {
			err = waited
		}
	}()
	stop, err := c.startDatabase(ctx, g, log)
	if err != nil {
		cancel()
		return err
	}
	defer stop()
	defer cancel()
	if err := c.startRedis(ctx, g); err != nil {
		return err
	}
	page, err := c.startClerk(ctx, listener.Addr(), log)
	if err != nil {
		return err
	}
	if err := migrations.Up(ctx, string(c.DatabaseURL), log); err != nil {
		return err
	}
	if err := c.seed(ctx); err != nil {
		return err
	}
	err = serve(ctx, &c.settings, listener, log, func() { c.announce(con.out, page) })
	if errors.Is(err, authz.ErrMasterKey) {
		return fmt.Errorf("%s does not belong to the database that is left of an earlier run (its master.key is new): start over with --reset", c.Data)
	}
	return err
}

// settle fills in the settings that dev has its own defaults for.
func (c *devCommand) settle() error {
	c.development = true
	c.limitFactor = 100 // one computer is many clients
	if c.SMTPURL == "" {
		c.outbox = mail.NewOutbox(time.Now)
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	if c.Data == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("there is no cache directory (%w): name a directory with --data", err)
		}
		c.Data = filepath.Join(cache, "scaling-mcp-dev")
	}
	// Others may enter, so that PostgreSQL can under the account it runs as when we
	// are root; what is in there is closed to them.
	if err := os.MkdirAll(c.Data, 0o755); err != nil {
		return fmt.Errorf("%w: name another directory with --data", err)
	}
	if c.ClerkWebhookSecret == "" {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		c.ClerkWebhookSecret = secret("whsec_" + base64.StdEncoding.EncodeToString(key))
	}
	if c.MasterKey == "" {
		return c.keepMasterKey()
	}
	return nil
}

// keepMasterKey reads the master key of the data directory, or makes it.
func (c *devCommand) keepMasterKey() error {
	name := filepath.Join(c.Data, "master.key")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		text = []byte(base64.StdEncoding.EncodeToString(key))
		err = os.WriteFile(name, text, 0o600)
	}
	c.MasterKey = secret(text)
	return err
}

// startDatabase starts the private PostgreSQL, unless the settings name another.
func (c *devCommand) startDatabase(ctx context.Context, g *errgroup.Group, log *slog.Logger) (stop func(), err error) {
	if c.DatabaseURL != "" {
		if c.Reset {
			return nil, errors.New("--reset starts over with the private PostgreSQL; empty the database of --database-url yourself")
		}
		return func() {}, nil
	}
	pg, err := pgdev.Start(ctx, pgdev.Config{Data: filepath.Join(c.Data, "postgres"), Reset: c.Reset, Log: log})
	if err != nil {
		return nil, err
	}
	stop = func() {
		if err := pg.Stop(); err != nil {
			log.Error("stopping postgres", "error", err)
		}
	}
	const database = "scaling"
	if err := pg.CreateDatabase(ctx, database); err != nil {
		stop()
		return nil, err
	}
	c.DatabaseURL = secret(pg.URL(database))
	g.Go(func() error {
		select {
		case <-pg.Done():
			if ctx.Err() == nil {
				return errors.New("the private PostgreSQL has ended by itself; start again")
			}
		case <-ctx.Done():
		}
		return nil
	})
	return stop, nil
}

// startRedis starts a Redis in this process, unless the settings name another.
// Its clock stands still by itself.
func (c *devCommand) startRedis(ctx context.Context, g *errgroup.Group) error {
	if c.RedisURL != "" {
		return nil
	}
	redis := miniredis.NewMiniRedis()
	if err := redis.Start(); err != nil {
		return fmt.Errorf("the Redis of this process: %w", err)
	}
	c.RedisURL = secret("redis://" + redis.Addr())
	g.Go(func() error {
		defer redis.Close()
		const tick = 100 * time.Millisecond
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for last := time.Now(); ; {
			select {
			case <-ctx.Done():
				return nil
			case now := <-ticker.C:
				redis.FastForward(now.Sub(last))
				last = now
			}
		}
	})
	return nil
}

// startClerk starts the development Clerk, unless the settings name another, and
// returns the URL of its control page. Its webhooks go to the server's own
// address: the public one may lead through something that is not there yet.
func (c *devCommand) startClerk(ctx context.Context, server net.Addr, log *slog.Logger) (page string, err error) {
	if c.ClerkIssuer != "" {
		return "", nil
	}
	c.ClerkClientID = "scaling-mcp-dev"
	c.ClerkClientSecret = secret(rand.Text())
	c.ClerkSecretKey = secret("sk_test_" + rand.Text())
	dev, err := clerkdev.Start(ctx, clerkdev.Config{
		Listen:       c.ClerkListen,
		ClientID:     c.ClerkClientID,
		ClientSecret: string(c.ClerkClientSecret),
		SecretKey:    string(c.ClerkSecretKey),
		RedirectURIs: []string{c.PublicURL + "/sign-in/callback"},

		WebhookURL:    "http://" + reachable(server) + "/webhooks/clerk",
		WebhookSecret: string(c.ClerkWebhookSecret),

		Log: log,
	})
	if err != nil {
		return "", fmt.Errorf("%w; choose another address with --clerk-listen", err)
	}
	c.ClerkIssuer = dev.URL()
	c.ClerkAPIURL = dev.URL()
	return dev.URL() + "/dev", nil
}

// reachable is where this computer reaches a listener that may be on every
// address it has.
func reachable(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return address.String()
	}
	return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
}

// seed puts the demo data into an empty database.
func (c *devCommand) seed(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, string(c.DatabaseURL))
	if err != nil {
		return err
	}
	defer pool.Close()
	return seedDemo(ctx, store.New(pool), time.Now())
}

// announce prints what a person needs to begin, and the line that scripts wait
// for.
func (c *devCommand) announce(w io.Writer, clerkPage string) {
	fmt.Fprintf(w, `
  MCP URL      %[1]s/mcp
  Dashboard    %[1]s/settings/connections
  Status page  %[1]s/status/acme
`, c.PublicURL)
	if c.outbox != nil {
		fmt.Fprintf(w, "  Outbox       %s/dev/outbox\n", c.PublicURL)
	}
	if clerkPage != "" {
		fmt.Fprintf(w, `  Clerk        %s

  Sign in as   alice@acme.example     admin of Acme, member of Globex
               bob@acme.example       member of Acme
               carol@globex.example   admin of Globex
               dave@solo.example      no organization
`, clerkPage)
	}
	fmt.Fprintf(w, "\n  Ctrl-C stops everything. Data stays in %s\n\nready: %s\n", c.Data, c.PublicURL)
}
