package pgdev

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// sharedState holds the clusters of root's runs whose data directory the
// unprivileged account cannot enter.
const sharedState = "/var/lib/scaling-mcp-dev"

// account is who PostgreSQL runs as. The zero value is the current user;
// PostgreSQL refuses root, so that root runs it under another.
type account struct {
	credential *syscall.Credential
}

// ownerOf returns the account that made the cluster: a cluster that a user made
// is opened by root as that user. It reports false where there is none, or none
// that PostgreSQL could have made.
func ownerOf(cluster string) (account, bool) {
	info, err := os.Stat(cluster)
	if err != nil {
		return account{}, false
	}
	owner := info.Sys().(*syscall.Stat_t)
	return account{&syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}, owner.Uid != 0
}

// newAccount returns the account to make a cluster with.
func newAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as; run this as an ordinary user")
}

// command is exec.Command for the account: at the root directory, since the
// account may not enter the current one, and without the variables by which
// libpq's environment or a missing locale could change what the program does.
func (a account) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	if a.credential != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential}
	}
	return cmd
}

// own gives dir to the account and reports whether the account can use it.
// Asking the system is right where reading modes is not: every parent counts,
// and so do access lists and mounts.
func (a account) own(dir string) bool {
	if a.credential == nil {
		return true
	}
	if err := os.Chown(dir, int(a.credential.Uid), int(a.credential.Gid)); err != nil {
		return false
	}
	return a.command("/bin/sh", "-c", `cd "$1" && [ -w . ]`, "sh", dir).Run() == nil
}

// home returns the directory for the cluster whose data directory is data, and
// the account for it: data itself, or for root one in sharedState if the
// account cannot reach it. A cluster that exists decides where it is.
func home(data string) (string, account, error) {
	// The parents keep the usual mode: a private one would lock the account out.
	if err := os.MkdirAll(filepath.Dir(data), 0o755); err != nil {
		return "", account{}, err
	}
	a, err := newAccount()
	if err != nil {
		return "", account{}, err
	}
	if a.credential == nil {
		return data, a, makeDir(data)
	}
	sum := sha256.Sum256([]byte(data))
	shared := filepath.Join(sharedState, hex.EncodeToString(sum[:8]))
	for _, dir := range []string{data, shared} {
		if owner, ok := ownerOf(filepath.Join(dir, clusterName)); ok && owner.own(dir) {
			return dir, owner, nil
		}
	}
	if err := makeDir(data); err != nil {
		return "", account{}, err
	}
	if a.own(data) {
		return data, a, nil
	}
	// The empty directory would only puzzle; one with something in it stays.
	_ = os.Remove(data)
	if err := os.MkdirAll(sharedState, 0o755); err != nil {
		return "", account{}, err
	}
	if err := makeDir(shared); err != nil {
		return "", account{}, err
	}
	if !a.own(shared) {
		return "", account{}, fmt.Errorf("the user with the id %d, as whom PostgreSQL runs, cannot use %s", a.credential.Uid, shared)
	}
	return shared, a, nil
}

// makeDir makes a directory that only its owner may enter, if it is missing.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// maxSocketDir is what macOS, the tightest, leaves of a socket's 104 bytes for
// its directory.
const maxSocketDir = 103 - len("/.s.PGSQL.5432")

// temp makes a directory that only the account (and root) can enter, with a
// path short enough for a socket in it.
func (a account) temp() (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(parent, "scaling-pg-")
		if err != nil {
			continue
		}
		if len(dir) <= maxSocketDir && a.own(dir) {
			return dir, nil
		}
		_ = os.Remove(dir)
	}
	return "", fmt.Errorf("no temporary directory for PostgreSQL's socket: %s and /tmp are unusable or have too long a path", os.TempDir())
}
