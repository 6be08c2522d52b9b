package pgdev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"scaling.cloud/mcp/store/pgdev/lifeline"
)

// dyingGrace is how long a new run waits for the PostgreSQL of one that was
// killed: its lifeline needs ten seconds at most.
const dyingGrace = 15 * time.Second

// lock takes the cluster in dir for this process and whoever inherits the
// file. PostgreSQL and its backends do, as standard input: so the kernel frees
// the lock when the last of them is gone, and never before.
func (a account) lock(ctx context.Context, dir, data string) (_ *os.File, err error) {
	// The directory is the account's: a link there must not lead root elsewhere.
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%s belongs to another user; use another --data", data)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, dyingGrace)
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		if pid := readPid(f.Name()); alive(pid) || ctx.Err() != nil {
			return nil, inUse(data, pid)
		}
		pause(ctx)
	}
	if a.credential != nil {
		// The account may come back without root's help.
		if err := f.Chown(int(a.credential.Uid), int(a.credential.Gid)); err != nil {
			return nil, err
		}
	}
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, err
	}
	return f, nil
}

func inUse(data string, pid int) error {
	return fmt.Errorf("%s is already in use by process %d; stop it or use another --data", data, pid)
}

// readPid returns the process id on the first line of a lock file, 0 if there
// is none.
func readPid(name string) int {
	b, _ := os.ReadFile(name)
	line, _, _ := strings.Cut(string(b), "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	return pid
}

func alive(pid int) bool {
	return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// pause is the time between two looks at another process.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Millisecond):
	}
}

// clearStale removes the postmaster.pid of a run that was killed. The caller
// holds the lock, so that no PostgreSQL that Start started lives. PostgreSQL
// itself takes the file for stale only if no process of the same user has that
// id, and after a reboot one may. One that somebody started by hand on the
// cluster answers on its socket: it is left alone.
func clearStale(cluster, data string) error {
	name := filepath.Join(cluster, "postmaster.pid")
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var lines []string // process id, data directory, start time, port, socket directory, …
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, strings.TrimSpace(s.Text()))
	}
	if len(lines) >= 5 && alive(number(lines[0])) {
		conn, err := net.Dial("unix", filepath.Join(lines[4], ".s.PGSQL."+lines[3]))
		if err == nil {
			conn.Close()
			return inUse(data, number(lines[0]))
		}
	}
	return os.Remove(name)
}

// version returns the major version that made the cluster, 0 if there is none.
func version(cluster string) (int, error) {
	b, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if errors.Is(err, os.ErrPermission) {
		return 0, fmt.Errorf("%s belongs to another user; use another --data", cluster)
	}
	if err != nil {
		return 0, err
	}
	return number(string(b)), nil
}

// create runs initdb beside the cluster and renames the result, so that a
// cluster is either whole or absent.
func (s *Server) create(ctx context.Context, p programs) error {
	unfinished := s.cluster + ".new"
	for _, dir := range []string{s.cluster, unfinished} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	// Sorting by bytes is the same on every system; the character type makes
	// lower() and ILIKE know more than ASCII.
	ctype := "C.UTF-8"
	if runtime.GOOS == "darwin" {
		ctype = "UTF-8"
	}
	args := []string{
		"--pgdata", unfinished, "--username", superuser,
		"--auth-local", "trust", "--auth-host", "reject",
		"--encoding", "UTF8", "--locale", "C", "--lc-ctype", ctype,
	}
	if s.temporary {
		args = append(args, "--no-sync")
	}
	cmd := s.account.command(p.initdb(), args...)
	log := newLogWriter(s.log)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Stdin = s.lock
	child, err := lifeline.Start(cmd, s.ephemeral)
	if err != nil {
		return err
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		_ = child.Stop()
		return context.Cause(ctx)
	}
	if err := child.Wait(); err != nil {
		return fmt.Errorf("initdb failed (%w):\n%s", err, log.tail())
	}
	return os.Rename(unfinished, s.cluster)
}
