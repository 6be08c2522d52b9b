package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// phase is one kind of request. prepare, which is not timed, makes what request
// needs; request sends a client's n-th, and fails where the answer is not right.
type phase struct {
	name    string
	prepare func(ctx context.Context) error
	request func(ctx context.Context, client, n int) error
	// finish, if any, checks after the clock what would have slowed the clients.
	finish func(ctx context.Context) error
}

// errUsedUp ends a client's part of a phase before its time: there is nothing
// left to send.
var errUsedUp = errors.New("used up")

// failure is an answer that is not right; kind is what it is counted as.
type failure struct{ kind string }

func (f failure) Error() string { return f.kind }

// measure runs a phase. Each client's first request opens its connection and is
// not counted.
func (b *bench) measure(ctx context.Context, p phase) (result, error) {
	if err := p.prepare(ctx); err != nil {
		return result{}, err
	}
	if err := b.each(func(client int) error { return p.request(ctx, client, 0) }); err != nil {
		return result{}, fmt.Errorf("the first request: %w", err)
	}
	before, err := b.cpu()
	if err != nil {
		return result{}, err
	}
	var mu sync.Mutex
	var latencies []time.Duration
	failures := map[string]int{}
	begin := time.Now()
	err = b.each(func(client int) error {
		var mine []time.Duration
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, mine...)
		}()
		for n := 1; ctx.Err() == nil && time.Since(begin) < b.Duration; n++ {
			sent := time.Now()
			err := p.request(ctx, client, n)
			if errors.Is(err, errUsedUp) {
				break
			}
			if err == nil {
				mine = append(mine, time.Since(sent))
				continue
			}
			kind := "no answer"
			if f, ok := errors.AsType[failure](err); ok {
				kind = f.kind
			}
			mu.Lock()
			failures[kind]++
			mu.Unlock()
		}
		return ctx.Err()
	})
	elapsed := time.Since(begin)
	if err != nil {
		return result{}, err
	}
	after, err := b.cpu()
	if err != nil {
		return result{}, err
	}
	r := newResult(p.name, b.Clients, elapsed, latencies, failures)
	for _, pid := range b.PID {
		r.CPU = append(r.CPU, r.share(pid, after[pid].name, treeTime(after, pid, b.PID)-treeTime(before, pid, b.PID)))
	}
	if p.finish != nil {
		if err := p.finish(ctx); err != nil {
			return result{}, err
		}
	}
	return r, nil
}

// each runs f for every client at once, and returns one of their errors.
func (b *bench) each(f func(client int) error) error {
	failed := make([]error, b.Clients)
	var wg sync.WaitGroup
	for client := range b.Clients {
		wg.Go(func() { failed[client] = f(client) })
	}
	wg.Wait()
	return errors.Join(failed...)
}

// cpu reads the processes, if any are to be watched.
func (b *bench) cpu() (map[int]process, error) {
	if len(b.PID) == 0 {
		return nil, nil
	}
	all, err := processes("/proc")
	if err != nil {
		return nil, err
	}
	for _, pid := range b.PID {
		if _, ok := all[pid]; !ok {
			return nil, fmt.Errorf("--pid %d: no such process in /proc", pid)
		}
	}
	return all, nil
}
