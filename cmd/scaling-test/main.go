// Command scaling-test runs all tests and fuzz targets of this module, on one
// PostgreSQL for all packages, and sums up at the end what was checked and with
// whose programs. It fails where one of them failed; with CI=true also where
// something was skipped, or nothing of a kind was there.
//
// It is what make test runs, from the module's root.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"gotest.tools/gotestsum/testjson"

	"scaling.cloud/mcp/store/pgdev"
)

type command struct {
	Fuzz time.Duration `default:"20s" help:"How long to fuzz each target; 0s for not at all (default ${default})."`
	CI   bool          `env:"CI" help:"Nothing may be skipped."`
	Args []string      `arg:"" optional:"" passthrough:"" help:"What go test is given instead of ./... with -race."`
}

func main() {
	var c command
	kong.Parse(&c, kong.Name("scaling-test"), kong.Description("Runs all tests and sums them up."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := c.run(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "scaling-test:", err)
	}
	if err != nil || !ok {
		stop()
		os.Exit(1)
	}
}

// run runs everything, and reports whether all of it passed.
func (c *command) run(ctx context.Context, out io.Writer) (ok bool, err error) {
	began := time.Now()
	stop, err := sharePostgres(ctx)
	if err != nil {
		return false, err
	}
	defer stop()
	results, err := c.test(ctx, out)
	if err != nil {
		return false, err
	}
	sum := summarize(results)
	if c.Fuzz > 0 {
		if sum.fuzzed, err = c.fuzz(ctx, out); err != nil {
			return false, err
		}
	}
	testjson.PrintSummary(out, results, testjson.SummarizeAll)
	sum.write(out, time.Since(began))
	return sum.ok(c.CI, c.Fuzz > 0), nil
}

// sharePostgres starts the PostgreSQL that the tests of all packages share, each
// test with a database of its own. Where there is none installed, the tests that
// need one say so.
func sharePostgres(ctx context.Context) (stop func(), err error) {
	const variable = "SCALING_TEST_DATABASE_URL"
	if os.Getenv(variable) != "" {
		return func() {}, nil
	}
	server, err := pgdev.Start(ctx, pgdev.Config{Temporary: true})
	if errors.Is(err, pgdev.ErrNotInstalled) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	stop = func() {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "scaling-test:", err)
		}
	}
	return stop, os.Setenv(variable, server.URL("postgres"))
}

// test runs go test, and prints a line for each package and what failed.
func (c *command) test(ctx context.Context, out io.Writer) (*testjson.Execution, error) {
	args := c.Args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		args = []string{"-race", "-timeout", "20m", "./..."}
	}
	test := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	test.Cancel = func() error { return test.Process.Signal(os.Interrupt) }
	stdout, err := test.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := test.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := test.Start(); err != nil {
		return nil, err
	}
	results, err := testjson.ScanTestOutput(testjson.ScanConfig{
		Stdout: stdout, Stderr: stderr, Handler: printer{testjson.NewEventFormatter(out, "pkgname-and-test-fails", testjson.FormatOptions{}), out},
	})
	waited := test.Wait()
	if _, failed := errors.AsType[*exec.ExitError](waited); failed && ctx.Err() == nil {
		waited = nil // the results say what failed
	}
	return results, errors.Join(err, waited)
}

// printer prints while tests run.
type printer struct {
	testjson.EventFormatter
	out io.Writer
}

func (p printer) Event(e testjson.TestEvent, results *testjson.Execution) error {
	return p.Format(e, results)
}

func (p printer) Err(line string) error {
	_, err := fmt.Fprintln(p.out, line)
	return err
}
