package pgdev

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrNotInstalled means that no PostgreSQL server programs were found. The
// error that Start returns for it adds this system's install command.
var ErrNotInstalled = errors.New("PostgreSQL is not installed")

// install returns the command that installs PostgreSQL, by the first package
// manager that is present.
func install() string {
	for _, manager := range [][2]string{
		{"apt-get", "apt-get install postgresql"},
		{"dnf", "dnf install postgresql-server"},
		{"pacman", "pacman -S postgresql"},
		{"apk", "apk add postgresql"},
		{"brew", "brew install postgresql@17"},
	} {
		if _, err := exec.LookPath(manager[0]); err == nil {
			return manager[1]
		}
	}
	return "see https://www.postgresql.org/download/"
}

// programs is a directory that holds initdb and postgres of one version.
type programs struct {
	dir   string
	major int
}

func (p programs) initdb() string   { return filepath.Join(p.dir, "initdb") }
func (p programs) postgres() string { return filepath.Join(p.dir, "postgres") }

// find returns the programs to run: those of the given major version, or, when
// it is 0, the preferred ones. Of several versions that are installed side by
// side, the one that made the data is the only one that can open it. It returns
// ErrNotInstalled when there are none, and the end of a sentence about the data
// when there are only others.
func find(major int) (programs, error) {
	newest := 0
	for dir := range directories {
		p, ok := inspect(dir)
		if !ok {
			continue
		}
		if major == 0 || p.major == major {
			return p, nil
		}
		newest = max(newest, p.major)
	}
	if newest == 0 {
		return programs{}, fmt.Errorf("%w; install it with: %s", ErrNotInstalled, install())
	}
	return programs{}, fmt.Errorf("was made by PostgreSQL %d, but PostgreSQL %d is installed; start over with --reset, or install PostgreSQL %[1]d", major, newest)
}

// directories yields where the server programs may be, in order of preference.
// Debian keeps them out of PATH, one directory per version.
func directories(yield func(string) bool) {
	if path, err := exec.LookPath("postgres"); err == nil {
		// A link such as Homebrew's leads to where initdb is too.
		if path, err = filepath.EvalSymlinks(path); err == nil && !yield(filepath.Dir(path)) {
			return
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil && !yield(strings.TrimSpace(string(out))) {
		return
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, _ := filepath.Glob(pattern) // fails only on a malformed pattern
		slices.SortStableFunc(found, func(a, b string) int { return number(b) - number(a) })
		for _, dir := range found {
			if !yield(dir) {
				return
			}
		}
	}
}

var digits = regexp.MustCompile(`\d+`)

// number is the first number in s, 0 if there is none.
func number(s string) int {
	n, _ := strconv.Atoi(digits.FindString(s))
	return n
}

// inspect reports whether dir holds both programs and they run here.
func inspect(dir string) (programs, bool) {
	p := programs{dir: dir}
	if _, err := exec.LookPath(p.initdb()); err != nil {
		return p, false
	}
	out, err := exec.Command(p.postgres(), "--version").Output()
	if err != nil {
		return p, false
	}
	p.major = number(string(out))
	return p, p.major > 0
}
