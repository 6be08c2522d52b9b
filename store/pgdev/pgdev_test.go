package pgdev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/store/pgdev/lifeline"
)

// killedData, when set, makes the test binary play a program that runs the
// cluster in that directory until it is killed.
const killedData = "PGDEV_TEST_KILLED_DATA"

func TestMain(m *testing.M) {
	if data := os.Getenv(killedData); data != "" {
		s, err := Start(context.Background(), Config{Data: data})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.sockets)
		select {}
	}
	code := m.Run()
	if pristineMade != "" {
		_ = os.RemoveAll(pristineMade)
	}
	os.Exit(code)
}

// pristine makes a cluster for madeDataDir to copy, since initdb is most of the
// time that these tests take.
var (
	pristineMade string
	pristine     = sync.OnceValues(func() (string, error) {
		parent, err := os.MkdirTemp("", "pgdev-test-")
		if err != nil {
			return "", err
		}
		pristineMade = parent
		if err := os.Chmod(parent, 0o755); err != nil {
			return "", err
		}
		s, err := Start(context.Background(), Config{Data: filepath.Join(parent, "data")})
		if err != nil {
			return "", err
		}
		return filepath.Join(parent, "data"), s.Stop()
	})
)

// madeDataDir returns a data directory in which a cluster ran and was stopped.
func madeDataDir(t *testing.T) string {
	t.Helper()
	needPostgres(t)
	from, err := pristine()
	if err != nil {
		t.Fatal(err)
	}
	data := dataDir(t)
	if out, err := exec.Command("cp", "-Rp", from, data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return data
}

// dataDir returns a data directory that does not exist yet, and that whoever
// runs PostgreSQL can reach. (t.TempDir is the current user's alone.)
func dataDir(t *testing.T) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "pgdev-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "data")
}

func start(t *testing.T, c Config) *Server {
	t.Helper()
	needPostgres(t)
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

func needPostgres(t *testing.T) {
	t.Helper()
	if _, err := find(0); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, s *Server, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func remember(t *testing.T, s *Server) {
	t.Helper()
	if err := s.CreateDatabase(t.Context(), "kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, s, "kept").Exec(t.Context(), `CREATE TABLE fact AS SELECT 42 AS n`); err != nil {
		t.Fatal(err)
	}
}

func checkRemembered(t *testing.T, s *Server) {
	t.Helper()
	var n int
	if err := connect(t, s, "kept").QueryRow(t.Context(), `SELECT n FROM fact`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 42 {
		t.Errorf("read %d, want the 42 of the first run", n)
	}
}

func TestSecondStartKeepsData(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	first := start(t, Config{Data: data})
	remember(t, first)
	stop(t, first)
	began := time.Now()
	second := start(t, Config{Data: data})
	t.Logf("second start took %v", time.Since(began))
	checkRemembered(t, second)
	if err := second.CreateDatabase(t.Context(), "kept"); err != nil {
		t.Errorf("creating a database that exists: %v", err)
	}
}

func TestResetForgets(t *testing.T) {
	t.Parallel()
	data := madeDataDir(t)
	first := start(t, Config{Data: data})
	remember(t, first)
	stop(t, first)
	second := start(t, Config{Data: data, Reset: true})
	if conn, err := pgx.Connect(t.Context(), second.URL("kept")); err == nil {
		conn.Close(t.Context())
		t.Error("a database outlived the reset")
	}
}

func TestSettingsAreSafeUnlessOnlyTemporary(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		config Config
		fsync  string
	}{
		{Config{Data: madeDataDir(t)}, "on"},
		{Config{Temporary: true}, "off"},
		{Config{Temporary: true, Durable: true}, "on"},
	} {
		conn := connect(t, start(t, tc.config), "postgres")
		for setting, want := range map[string]string{"fsync": tc.fsync, "synchronous_commit": tc.fsync, "listen_addresses": "", "TimeZone": "UTC"} {
			var got string
			if err := conn.QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%+v: %s = %q, want %q", tc.config, setting, got, want)
			}
		}
		var lower string
		if err := conn.QueryRow(t.Context(), `SELECT lower('ÄÖÜ')`).Scan(&lower); err != nil {
			t.Fatal(err)
		}
		if lower != "äöü" {
			t.Errorf("lower('ÄÖÜ') = %q, want äöü", lower)
		}
	}
}

func TestSocketIsPrivateAndGoneAfterStop(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Data: madeDataDir(t)})
	info, err := os.Stat(s.sockets)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("the socket's directory has mode %o, want 700", got)
	}
	stop(t, s)
	if _, err := os.Stat(s.sockets); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Stop the socket's directory: %v, want it to be gone", err)
	}
	select {
	case <-s.Done():
		t.Error("Done says that it ended by itself after Stop")
	default:
	}
}

func TestTemporaryClusterIsGoneAfterStop(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Temporary: true})
	stop(t, s)
	if _, err := os.Stat(s.cluster); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Stop the cluster: %v, want it to be gone", err)
	}
}

func TestDoneWhenPostgresEndsByItself(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Temporary: true})
	if err := syscall.Kill(s.child.Pid(), syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-time.After(20 * time.Second):
		t.Error("Done was not closed")
	}
}

func TestSecondInstanceOnTheSameDataIsRefused(t *testing.T) {
	t.Parallel()
	data := madeDataDir(t)
	start(t, Config{Data: data})
	for _, reset := range []bool{false, true} {
		_, err := Start(t.Context(), Config{Data: data, Reset: reset})
		want := fmt.Sprintf("%s is already in use by process %d; stop it or use another --data", data, os.Getpid())
		if err == nil || err.Error() != want {
			t.Errorf("reset %v: got %v, want %s", reset, err, want)
		}
	}
}

func TestInterruptedInitdbIsRedone(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	data := dataDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // as soon as initdb has written something
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(data, clusterName+".new", "PG_VERSION")); err == nil {
				cancel()
			}
			pause(ctx)
		}
	}()
	s, err := Start(ctx, Config{Data: data})
	if err == nil {
		stop(t, s)
		t.Fatal("started in spite of the interruption")
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	// What a power cut would have left.
	left := filepath.Join(data, clusterName+".new")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "PG_VERSION"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	remember(t, start(t, Config{Data: data}))
}

// The id in a postmaster.pid that a power cut left may belong to any process
// after the reboot; when it is one of the same user, PostgreSQL by itself
// refuses to start.
func TestStalePidOfALivingStrangerIsRecovered(t *testing.T) {
	t.Parallel()
	data := madeDataDir(t)
	s := start(t, Config{Data: data})
	remember(t, s)
	pidFile := filepath.Join(s.cluster, "postmaster.pid")
	content, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	stranger, err := lifeline.Start(s.account.command("sleep", "600"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Stop()
	_, rest, _ := strings.Cut(string(content), "\n")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(stranger.Pid())+"\n"+rest), 0o644); err != nil {
		t.Fatal(err)
	}
	checkRemembered(t, start(t, Config{Data: data}))
}

func TestDataOfAnotherMajorVersionNamesReset(t *testing.T) {
	t.Parallel()
	data := madeDataDir(t)
	s := start(t, Config{Data: data})
	stop(t, s)
	if err := os.WriteFile(filepath.Join(s.cluster, "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Data: data})
	if err == nil || !strings.Contains(err.Error(), "the database in "+data+" was made by PostgreSQL 9,") || !strings.Contains(err.Error(), "--reset") {
		t.Errorf("got %v, want a sentence with the version and --reset", err)
	}
	start(t, Config{Data: data, Reset: true})
}

func TestFailedStartSaysWhatPostgresSaid(t *testing.T) {
	t.Parallel()
	data := madeDataDir(t)
	s := start(t, Config{Data: data})
	stop(t, s)
	if err := os.WriteFile(filepath.Join(s.cluster, "postgresql.conf"), []byte("shared_buffers = plenty\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Data: data, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err == nil || !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("got %v, want PostgreSQL's words about shared_buffers", err)
	}
}

func TestKilledParentLeavesNoPostgres(t *testing.T) {
	t.Parallel()
	data := madeDataDir(t)
	s := start(t, Config{Data: data})
	remember(t, s)
	stop(t, s)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), killedData+"="+data)
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	sockets, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()

	// Every process of PostgreSQL holds the lock that Start waits for.
	checkRemembered(t, start(t, Config{Data: data}))
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := os.Stat(strings.TrimSpace(sockets))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the killed run's socket directory %s is still there (%v)", strings.TrimSpace(sockets), err)
		}
		pause(t.Context())
	}
}

func TestDirectoryThatOnlyRootMayEnter(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root's PostgreSQL runs under another account")
	}
	data := filepath.Join(t.TempDir(), "data") // its parent has mode 700
	s := start(t, Config{Data: data})
	home := filepath.Dir(s.cluster)
	t.Cleanup(func() { os.RemoveAll(home) })
	if got := filepath.Dir(home); got != sharedState {
		t.Errorf("the cluster is in %s, want a directory in %s", home, sharedState)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v, want no empty directory left behind", data, err)
	}
	remember(t, s)
	stop(t, s)
	checkRemembered(t, start(t, Config{Data: data}))
}

func TestRootOpensAUsersClusterAsThatUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root's PostgreSQL runs under another account")
	}
	data := madeDataDir(t)
	if out, err := exec.Command("chown", "-R", "65534:65534", data).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := start(t, Config{Data: data})
	for _, name := range []string{"lock", "cluster/postmaster.pid"} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != 65534 {
			t.Errorf("%s belongs to the user id %d, want 65534", name, got)
		}
	}
	stop(t, s)
}

// What depends on whose the processes and files are, as a user who is not root.
func TestTheSameAsAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this user is one")
	}
	nobody := account{&syscall.Credential{Uid: 65534, Gid: 65534}}
	dir, err := nobody.temp()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "pgdev.test")
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, content, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := nobody.command(program, "-test.v", "-test.timeout=5m",
		"-test.run=SecondStart|SecondInstance|StalePid|KilledParent")
	cmd.Env = append(cmd.Env, "TMPDIR="+dir, "CI="+os.Getenv("CI"))
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
