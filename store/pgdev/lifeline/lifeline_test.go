package lifeline_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"scaling.cloud/mcp/store/pgdev/lifeline"
)

// parentDir, when set, makes the test binary play a parent that starts a child
// which works in that directory, and then ends as parentEnd says.
const (
	parentDir = "LIFELINE_TEST_DIR"
	parentEnd = "LIFELINE_TEST_END"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentDir); dir != "" {
		playParent(dir)
	}
	os.Exit(m.Run())
}

// playParent starts a child that keeps a fifo open for writing, and ends.
func playParent(dir string) {
	child, err := lifeline.Start(exec.Command("/bin/sh", "-c", `exec 9>"$0/fifo"; echo up >&9; exec sleep 600`, dir), filepath.Join(dir, "remove"))
	if err != nil {
		panic(err)
	}
	switch os.Getenv(parentEnd) {
	case "exit":
		fmt.Scanln() // the test has seen the child
		os.Exit(3)
	case "panic":
		fmt.Scanln()
		panic("on purpose")
	}
	child.Wait()
}

func TestChildEndsHoweverItsParentEnds(t *testing.T) {
	for _, end := range []string{"exit", "panic", "SIGKILL"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(dir, "remove", "deep"), 0o700); err != nil {
				t.Fatal(err)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			parent := exec.Command(self)
			parent.Env = append(os.Environ(), parentDir+"="+dir, parentEnd+"="+end)
			stdin, err := parent.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			fifo, err := os.Open(filepath.Join(dir, "fifo"))
			if err != nil {
				t.Fatal(err)
			}
			defer fifo.Close()
			if _, err := fifo.Read(make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
			if end == "SIGKILL" {
				err = parent.Process.Kill()
			} else {
				_, err = stdin.Write([]byte("\n"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if parent.Wait() == nil {
				t.Error("the parent ended in good order; want it to fail")
			}
			if _, err := fifo.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("reading from the child: %v, want EOF: it should have ended", err)
			}
			removed := time.Now().Add(30 * time.Second)
			for {
				if _, err := os.Stat(filepath.Join(dir, "remove")); errors.Is(err, os.ErrNotExist) {
					break
				}
				if time.Now().After(removed) {
					t.Fatal("the child's directory is still there")
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

func TestStopEndsAChildThatIgnoresSIGINT(t *testing.T) {
	t.Parallel()
	trapped, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer trapped.Close()
	cmd := exec.Command("/bin/sh", "-c", `trap '' INT; echo trapped; exec sleep 600`)
	cmd.Stdout = stdout
	child, err := lifeline.Start(cmd, "")
	if err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	if _, err := trapped.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	err = child.Stop()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGQUIT {
		t.Errorf("the child ended with %v, want SIGQUIT", err)
	}
	if again := child.Stop(); again != err {
		t.Errorf("a second Stop returned %v, want %v", again, err)
	}
}

func TestMissingProgramIsAnError(t *testing.T) {
	if _, err := lifeline.Start(exec.Command("no-such-program"), ""); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v, want exec.ErrNotFound", err)
	}
}
