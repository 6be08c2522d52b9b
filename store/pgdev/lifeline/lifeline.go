// Package lifeline starts child processes that never outlive this one: not its
// return, not os.Exit, not a panic, not SIGKILL. The means is a pipe whose
// writing end only this process holds: its end of file is what the kernel
// promises to deliver. Linux's parent-death signal is not used, because it
// fires when a thread ends, and because other systems lack it.
package lifeline

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// How long a child is given after SIGINT, and then after SIGQUIT, before the
// next stronger signal. PostgreSQL writes out its buffers in the first.
const (
	interruptGrace = 10 * time.Second
	quitGrace      = 5 * time.Second
)

// guard becomes the child's program by exec, so that the child is ours to wait
// for, and leaves a watcher behind. The watcher is started from a subshell that
// ends at once: PostgreSQL would take a failing child of its own for a crashed
// backend. A line on the pipe means that the child was seen to end; the process
// id may belong to somebody else by then, so that the watcher must not use it.
const guard = `
remove=$1
shift
(
	{
		trap '' HUP INT QUIT TERM
		read -r _ && exit
		for signal in INT QUIT KILL; do
			kill -s "$signal" $$ || break
			tries=0
			while kill -0 $$ && [ $tries -lt 50 ]; do
				sleep 0.1
				tries=$((tries + 1))
			done
		done
		[ -z "$remove" ] || rm -rf -- "$remove"
	} <&3 3<&- >/dev/null 2>&1 &
)
exec 3<&-
exec "$@"
`

// Child is a started process. Its methods may be called concurrently.
type Child struct {
	cmd  *exec.Cmd
	hold *os.File
	done chan struct{}
	err  error // what cmd.Wait said; read it after done

	stop sync.Once
}

// Start starts cmd in a process group of its own, where a terminal's Ctrl-C
// does not reach it. When this process ends, however it ends, the child gets
// SIGINT, after five seconds SIGQUIT, after five more SIGKILL; then the file or
// directory remove, if it is not empty, is deleted with the child's rights.
//
// Start takes over cmd.Path, cmd.Args and cmd.ExtraFiles, and cmd must not have
// a context: Stop is how it ends.
func Start(cmd *exec.Cmd, remove string) (*Child, error) {
	if cmd.Err != nil {
		return nil, cmd.Err
	}
	watched, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer watched.Close()
	cmd.Args = append([]string{"sh", "-c", guard, "sh", remove, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.ExtraFiles = []*os.File{watched}
	// Grandchildren may keep the output open; Wait gives them this long.
	cmd.WaitDelay = quitGrace
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		hold.Close()
		return nil, err
	}
	c := &Child{cmd: cmd, hold: hold, done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		fmt.Fprintln(hold, "ended")
		hold.Close()
		close(c.done)
	}()
	return c, nil
}

// Pid is the process id of the child.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// Done is closed when the child has ended, by itself or by Stop.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait waits for the child to end and returns what exec.Cmd.Wait returned.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}

// Stop ends the child and returns when it has ended: SIGINT, SIGQUIT after ten
// seconds, SIGKILL after five more. Later calls, and calls after the child
// ended by itself, only return what Wait does.
func (c *Child) Stop() error {
	c.stop.Do(func() {
		for _, step := range []struct {
			signal syscall.Signal
			grace  time.Duration
		}{{syscall.SIGINT, interruptGrace}, {syscall.SIGQUIT, quitGrace}} {
			if errors.Is(c.cmd.Process.Signal(step.signal), os.ErrProcessDone) {
				return
			}
			select {
			case <-c.done:
				return
			case <-time.After(step.grace):
			}
		}
		_ = c.cmd.Process.Kill() // what is left to fail is that it just ended
	})
	return c.Wait()
}
