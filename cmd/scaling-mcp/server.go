package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9/logging"
	"golang.org/x/sync/errgroup"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/authz/clerk"
	"scaling.cloud/mcp/migrations"
	"scaling.cloud/mcp/notice"
	"scaling.cloud/mcp/queue"
	"scaling.cloud/mcp/resource/paging"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/volatile"
)

type serveCommand struct {
	settings `embed:""`
}

// Run serves until ctx is done.
func (c *serveCommand) Run(ctx context.Context, con console) error {
	if err := c.checkProduction(); err != nil {
		return fmt.Errorf("the configuration is not usable:\n%w", err)
	}
	if c.Listen == "" {
		c.Listen = ":8080"
	}
	if c.AdminListen == "" {
		c.AdminListen = "127.0.0.1:9090"
	}
	log := newLog(con.err, c.LogLevel, true)
	pending, err := migrations.Pending(ctx, string(c.DatabaseURL))
	if err != nil {
		return err
	}
	if pending {
		return errors.New("the database schema is behind this program: run scaling-mcp migrate")
	}
	listener, err := listen(c.Listen)
	if err != nil {
		return err
	}
	return serve(ctx, &c.settings, listener, log, func() {})
}

type migrateCommand struct {
	DatabaseURL secret `env:"SCALING_DATABASE_URL" placeholder:"URL" required:"" help:"PostgreSQL."`
}

// Run applies the migrations.
func (c *migrateCommand) Run(ctx context.Context, con console) error {
	return migrations.Up(ctx, string(c.DatabaseURL), newLog(con.err, slog.LevelInfo, true))
}

type healthcheckCommand struct {
	URL string `env:"SCALING_PUBLIC_URL" default:"http://localhost:8080" help:"Origin of the server (default ${default})."`
}

// Run asks /readyz.
func (c *healthcheckCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", response.Status)
	}
	return nil
}

// shutdownGrace is how long requests that run when the server is told to stop
// may take to finish. Tools answer in well under a second.
const shutdownGrace = 10 * time.Second

// serve runs the server on settings that have been checked, on a migrated
// database, until ctx is done. It closes listener. started is called once, when
// requests are answered.
func serve(ctx context.Context, c *settings, listener net.Listener, log *slog.Logger, started func()) error {
	defer listener.Close()
	pool, err := openPool(ctx, string(c.DatabaseURL))
	if err != nil {
		return fmt.Errorf("SCALING_DATABASE_URL: %w", err)
	}
	defer pool.Close()
	st := store.New(pool)
	logging.Disable() // go-redis writes to standard error; its errors reach us all the same
	redis, err := volatile.Open(string(c.RedisURL))
	if err != nil {
		return fmt.Errorf("SCALING_REDIS_URL: %w", err)
	}
	defer redis.Close()
	master, previous, err := c.masterKeys()
	if err != nil {
		return err
	}
	webhooks, err := clerk.ParseWebhookSecret(string(c.ClerkWebhookSecret))
	if err != nil {
		return fmt.Errorf("SCALING_CLERK_WEBHOOK_SECRET is %w", err)
	}
	keys, err := authz.OpenKeys(ctx, st, master, previous, time.Now())
	if err != nil {
		return err
	}
	trusted, err := parseProxies(c.TrustedProxies)
	if err != nil {
		return fmt.Errorf("SCALING_TRUSTED_PROXIES: %w", err)
	}
	limits := &authz.Limits{
		Limiter:       volatile.NewLimiter(redis, log, time.Now),
		ClientAddress: trusted.client,
		Factor:        c.limitFactor,
		Log:           log,
	}
	liveness := volatile.NewLiveness(redis, st, c.AccessTokenTTL, log, time.Now)
	usage := store.NewUsage(st, log)
	audit := store.NewAuditLog(st, log)
	documents := authz.NewDocuments(st, nil, log, time.Now)
	sender, err := c.sender(log)
	if err != nil {
		return fmt.Errorf("SCALING_SMTP_URL is %w", err)
	}
	jobs := queue.New(pool, log)
	pages := paging.New(paging.Config{Store: st, Queue: jobs, Mail: sender, PublicURL: c.PublicURL, Log: log, Now: time.Now})
	notices := notice.New(notice.Config{Store: st, Queue: jobs, Mail: sender, PublicURL: c.PublicURL, Log: log, Now: time.Now})
	counted := newMetrics()
	var admin net.Listener // nil: none
	if c.AdminListen != "" {
		if admin, err = net.Listen("tcp", c.AdminListen); err != nil {
			return fmt.Errorf("SCALING_ADMIN_LISTEN: %w", err)
		}
		log.Info("listening for the operator", "address", admin.Addr().String())
	}
	var ready atomic.Bool
	handler := newHandler(c, parts{store: st, keys: keys, documents: documents, liveness: liveness, limits: limits, usage: usage, audit: audit, paging: pages, webhooks: webhooks, ready: &ready, metrics: counted, log: log})
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute, // the largest body is 4 MiB
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}

	g, ctx := errgroup.WithContext(ctx)
	// The audit log ends after the last request, not with the others.
	served, allServed := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { return audit.Run(served) })
	g.Go(func() error {
		return liveness.Run(ctx, func() {
			ready.Store(true)
			started()
		})
	})
	g.Go(func() error { return usage.Run(ctx) })
	g.Go(func() error { return jobs.Run(ctx) })
	g.Go(func() error { return notices.Run(ctx) })
	if admin != nil {
		g.Go(func() error { return serveAdmin(ctx, admin, counted) })
	}
	g.Go(func() error { return keys.Run(ctx, authz.KeysEvery, log) })
	g.Go(func() error { return sweep(ctx, st, documents, c, log) })
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		defer allServed()
		<-ctx.Done()
		ready.Store(false)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			return server.Close()
		}
		return nil
	})
	log.Info("listening", "address", listener.Addr().String(), "public_url", c.PublicURL, "version", version())
	return g.Wait()
}

// poolSize is how many connections to Postgres a replica may hold. pgx's own
// default, four on a small machine, lets a handful of slow transactions stop all
// others. The URL may say otherwise (pool_max_conns).
const poolSize = 20

func openPool(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(databaseURL, "pool_max_conns") {
		config.MaxConns = poolSize
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// listen takes an address, or says in one sentence why it cannot.
func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another program: stop that, or choose another address with --listen", address)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with --listen", address, err)
	}
	return listener, nil
}

// sweepBound is how long one sweep may take.
const sweepBound = 5 * time.Minute

// sweep deletes what has expired, makes room in the audit log, and renews clients'
// keys, every ten minutes. Every replica does; they find little left of one
// another's work.
func sweep(ctx context.Context, st *store.Store, documents *authz.Documents, c *settings, log *slog.Logger) error {
	ticker := time.NewTicker(10 * time.Minute)
	defer ticker.Stop()
	for {
		now := time.Now()
		bounded, cancel := context.WithTimeout(ctx, sweepBound)
		_, err := st.DeleteExpiredIdempotencyKeys(bounded, now)
		err = errors.Join(err, st.DeleteExpiredConfirmations(bounded, now), st.DeleteExpired(bounded, now), st.PruneRefreshTokens(bounded, now.Add(-authz.ReplayUntilUsed(c.AccessTokenTTL))),
			st.DeleteSigningKeysRetired(bounded, now.Add(-authz.RetiredKeyKept)),
			st.PrepareAuditLog(bounded, c.AuditMonths, now),
			documents.RefreshKeySets(bounded))
		cancel()
		if err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "sweeping", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
