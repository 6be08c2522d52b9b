// Package pgdev runs a private PostgreSQL as a child process, for the dev
// command and for tests. It listens on a Unix socket that only its own account
// and root can reach, keeps its data between runs, and is gone when this
// process is gone. It installs nothing, and knows no table.
package pgdev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"scaling.cloud/mcp/store/pgdev/lifeline"
)

// superuser is the one role of a cluster. Whoever can reach the socket has it.
const superuser = "postgres"

// clusterName is the name of PostgreSQL's own directory in that of Config.Data.
const clusterName = "cluster"

// startBound is how long PostgreSQL may take to answer; after a power cut it
// first replays its log.
const startBound = time.Minute

// Config says which cluster to run. The zero value of each field but Data is
// the careful choice.
type Config struct {
	// Data is a directory of the cluster's own; it is made if it is missing.
	// When this process is root and the account that runs PostgreSQL cannot
	// enter it, the cluster lives in /var/lib/scaling-mcp-dev instead, under a
	// name made from Data.
	Data string
	// Reset removes the cluster first.
	Reset bool
	// Temporary is for tests: the cluster is made in a temporary directory
	// (Data is not used), does not wait for the disk, and is removed when
	// PostgreSQL or this process ends, whichever is first.
	Temporary bool
	// Durable makes a temporary cluster wait for the disk like any other, for
	// measurements: what a commit costs without the disk says nothing.
	Durable bool
	// Log gets what PostgreSQL says, at debug level, and an error if it ends
	// by itself. Nil discards both.
	Log *slog.Logger
}

// Server is a running PostgreSQL. Its methods may be called concurrently.
type Server struct {
	account   account
	cluster   string // PostgreSQL's data directory
	sockets   string
	temporary bool
	durable   bool
	ephemeral string // removed when the server ends
	lock      *os.File
	log       *slog.Logger

	child    *lifeline.Child
	stopping atomic.Bool
	done     chan struct{}
}

// Start runs the cluster that c describes, makes it first if it is missing or
// was not made completely, and returns when it answers. ctx bounds the start
// only: Stop ends the server.
//
// It returns an error that is ErrNotInstalled where there is no PostgreSQL. That
// error, and those for data that is in use, another user's, or of another major
// version, are one sentence each, made for the person at the terminal.
func Start(ctx context.Context, c Config) (_ *Server, err error) {
	s := &Server{temporary: c.Temporary, durable: !c.Temporary || c.Durable, log: c.Log, done: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	p, err := find(0) // before anything is made on the disk
	if err != nil {
		return nil, err
	}
	dir, err := s.settle(c)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if s.lock, err = s.account.lock(ctx, dir, c.Data); err != nil {
		return nil, err
	}
	if c.Reset {
		if err := os.RemoveAll(s.cluster); err != nil {
			return nil, err
		}
	}
	major, err := version(s.cluster)
	if err != nil {
		return nil, err
	}
	if major != 0 && major != p.major {
		if p, err = find(major); err != nil {
			return nil, fmt.Errorf("the database in %s %w", c.Data, err)
		}
	}
	if major == 0 {
		err = s.create(ctx, p)
	} else {
		err = clearStale(s.cluster, c.Data)
	}
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx, p); err != nil {
		return nil, err
	}
	return s, nil
}

// settle chooses the account and the directories.
func (s *Server) settle(c Config) (dir string, err error) {
	if c.Temporary {
		if s.account, err = newAccount(); err != nil {
			return "", err
		}
		if dir, err = s.account.temp(); err != nil {
			return "", err
		}
		s.cluster, s.sockets, s.ephemeral = filepath.Join(dir, clusterName), dir, dir
		return dir, nil
	}
	if c.Data == "" {
		return "", errors.New("no data directory")
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return "", err
	}
	if dir, s.account, err = home(data); err != nil {
		return "", err
	}
	s.cluster = filepath.Join(dir, clusterName)
	if s.sockets, err = s.account.temp(); err != nil {
		return "", err
	}
	s.ephemeral = s.sockets
	return dir, nil
}

// run starts PostgreSQL and waits until it answers.
func (s *Server) run(ctx context.Context, p programs) error {
	args := []string{
		"-D", s.cluster, "-k", s.sockets, "-p", "5432",
		"-c", "listen_addresses=", "-c", "unix_socket_permissions=0700",
		"-c", "timezone=UTC", "-c", "log_timezone=UTC",
	}
	if s.temporary {
		args = append(args, "-c", "max_connections=300") // parallel tests, each with a pool
	}
	if !s.durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	cmd := s.account.command(p.postgres(), args...)
	log := newLogWriter(s.log)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Stdin = s.lock
	child, err := lifeline.Start(cmd, s.ephemeral)
	if err != nil {
		return err
	}
	s.child = child
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	for {
		err := s.ping(ctx)
		if err == nil {
			break
		}
		select {
		case <-child.Done():
			return fmt.Errorf("PostgreSQL did not start (%v):\n%s", child.Wait(), log.tail())
		default:
		}
		if ctx.Err() != nil {
			_ = child.Stop()
			return fmt.Errorf("PostgreSQL did not answer (%w):\n%s", err, log.tail())
		}
		pause(ctx)
	}
	go func() {
		err := child.Wait()
		if s.stopping.Load() {
			return
		}
		s.log.Error("PostgreSQL ended by itself", "err", err, "said", log.tail())
		close(s.done)
	}()
	return nil
}

func (s *Server) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL(superuser))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// URL is the connection URL of the named database. It makes nothing: see
// CreateDatabase.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(superuser),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {s.sockets}, "port": {"5432"}, "sslmode": {"disable"}}.Encode(),
	}
	return u.String()
}

// CreateDatabase makes the named database. It is no error if it exists.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.URL(superuser))
	if err != nil {
		return fmt.Errorf("pgdev: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "42P04" { // duplicate_database
		return nil
	}
	if err != nil {
		return fmt.Errorf("pgdev: creating database %s: %w", name, err)
	}
	return nil
}

// Done is closed when PostgreSQL ended without having been asked to.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends PostgreSQL, open connections included, and returns when it is gone.
// It returns an error if PostgreSQL did not end in good order. Later calls
// return the same.
func (s *Server) Stop() error {
	s.stopping.Store(true)
	err := s.child.Stop()
	s.release()
	if err != nil {
		return fmt.Errorf("pgdev: PostgreSQL ended with %w", err)
	}
	return nil
}

// release gives back what outlives PostgreSQL: the temporary directory and the
// lock.
func (s *Server) release() {
	if s.child != nil {
		_ = s.child.Stop()
	}
	if s.ephemeral != "" {
		_ = os.RemoveAll(s.ephemeral)
	}
	if s.lock != nil {
		s.lock.Close()
	}
}
