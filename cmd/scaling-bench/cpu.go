package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/PID/stat. Linux shows a hundredth of a second to
// every program, whatever its kernel counts in (USER_HZ).
const tick = time.Second / 100

// process is one line of /proc/PID/stat.
type process struct {
	pid, parent int
	name        string
	used        time.Duration // by itself and by children that it has waited for
}

// processes reads what runs on this computer, from a Linux /proc.
func processes(proc string) (map[int]process, error) {
	names, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "stat"))
	if err != nil {
		return nil, err
	}
	all := map[int]process{}
	for _, name := range names {
		line, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		p, err := parseStat(string(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[p.pid] = p
	}
	return all, nil
}

// parseStat reads a line of /proc/PID/stat (proc_pid_stat(5)). The name is in
// parentheses and may have any character, parentheses too.
func parseStat(line string) (process, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("no name in %q", line)
	}
	p := process{name: line[open+1 : end]}
	var err error
	if p.pid, err = strconv.Atoi(strings.TrimSpace(line[:open])); err != nil {
		return process{}, err
	}
	fields := strings.Fields(line[end+1:]) // from the third, state, on
	if len(fields) < 15 {
		return process{}, fmt.Errorf("%d fields after the name", len(fields))
	}
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return process{}, err
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return process{}, err
		}
		p.used += time.Duration(ticks) * tick
	}
	return p, nil
}

// treeTime sums up the time of root and its descendants, but for those that are
// below another of roots: a server that has started its own PostgreSQL is told
// apart from it.
func treeTime(all map[int]process, root int, roots []int) time.Duration {
	used := all[root].used
	for _, p := range all {
		if p.parent == root && p.pid != root && !slices.Contains(roots, p.pid) {
			used += treeTime(all, p.pid, roots)
		}
	}
	return used
}
