// Package storetest gives each test a real PostgreSQL database of its own, and
// a real Redis. A test needs no TestMain and cleans nothing up: a database is
// dropped with its test, and the servers end with the test binary, however it
// ends. Tests may run in parallel.
//
// The server is the one at SCALING_TEST_DATABASE_URL, whose role must be
// allowed to create databases, or else a private one per test binary. That one
// does not wait for its disk unless SCALING_TEST_DURABLE=1: tests need no
// durability, and measurements do. Where a server program is not installed the
// test is skipped, unless CI=true: then it fails.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/pgdev"
)

// poolSize is enough connections for a race to be one, and few enough that the
// packages that go test runs side by side share a server of the usual hundred.
const poolSize = 16

// Open returns a store on a database of the test's own, migrated and empty.
// change alters how the store connects, for a test that watches it.
func Open(t testing.TB, change ...func(*pgxpool.Config)) *store.Store {
	t.Helper()
	config, err := pgxpool.ParseConfig(OpenURL(t))
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	config.MaxConns = poolSize
	for _, f := range change {
		f(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(pool.Close)
	return store.New(pool)
}

// OpenURL returns the URL of a database of the test's own, migrated and empty,
// for a test that starts a whole server.
func OpenURL(t testing.TB) string {
	t.Helper()
	s, err := server()
	if errors.Is(err, pgdev.ErrNotInstalled) {
		missing(t, err.Error())
	}
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	name := "scaling_test_" + strings.ToLower(rand.Text())
	if err := s.exec(t.Context(), fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s %s", name, s.template, s.strategy)); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() {
		// FORCE, because a server under test may still be closing its pool.
		if err := s.exec(context.Background(), fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name)); err != nil {
			t.Errorf("storetest: %v", err)
		}
	})
	return s.url(name)
}

// missing skips the test for want of a server program, or fails it where
// nothing may be skipped.
func missing(t testing.TB, sentence string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("storetest: %s", sentence)
	}
	t.Skipf("storetest: %s", sentence)
}

// postgres is the server that the databases are made on.
type postgres struct {
	admin    *pgxpool.Pool
	url      func(database string) string
	template string
	strategy string // of CREATE DATABASE
}

// server is started by the first test of the binary that needs it. It is never
// stopped: pgdev's lifeline does that when the binary ends.
var server = sync.OnceValues(func() (*postgres, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	// Copying files costs half as much as writing a log of all that is in them, where
	// nothing waits for the disk. Before 15 there is no other way, and no word for it.
	err = s.admin.QueryRow(ctx, `
		SELECT CASE WHEN current_setting('server_version_num')::int >= 150000 THEN 'STRATEGY file_copy' ELSE '' END`).Scan(&s.strategy)
	if err != nil {
		return nil, err
	}
	s.template, err = s.prepareTemplate(ctx)
	return s, err
})

func connect(ctx context.Context) (*postgres, error) {
	s := &postgres{}
	var admin string
	if given := os.Getenv("SCALING_TEST_DATABASE_URL"); given != "" {
		u, err := url.Parse(given)
		if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return nil, errors.New("SCALING_TEST_DATABASE_URL is not a postgres:// URL")
		}
		admin = given
		s.url = func(database string) string {
			other := *u
			other.Path = "/" + database
			return other.String()
		}
	} else {
		private, err := pgdev.Start(ctx, pgdev.Config{Temporary: true, Durable: os.Getenv("SCALING_TEST_DURABLE") == "1"})
		if err != nil {
			return nil, err
		}
		admin, s.url = private.URL("postgres"), private.URL
	}
	config, err := pgxpool.ParseConfig(admin)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 4
	s.admin, err = pgxpool.NewWithConfig(ctx, config)
	return s, err
}

// exec runs a statement that cannot run in a transaction.
func (s *postgres) exec(ctx context.Context, sql string) error {
	_, err := s.admin.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}
