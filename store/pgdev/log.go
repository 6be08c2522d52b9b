package pgdev

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// tailLines is how much of what a program said goes into the error when it
// fails.
const tailLines = 10

// logWriter passes a program's output on, a line at a time, at debug level, and
// keeps the last lines.
type logWriter struct {
	log *slog.Logger

	mu      sync.Mutex
	partial []byte
	last    []string
}

func newLogWriter(log *slog.Logger) *logWriter { return &logWriter{log: log} }

func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partial = append(w.partial, p...)
	for {
		line, rest, ok := bytes.Cut(w.partial, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.partial = rest
		if len(w.last) == tailLines {
			w.last = w.last[1:]
		}
		w.last = append(w.last, string(line))
		w.log.Debug("postgres", "line", string(line))
	}
}

func (w *logWriter) tail() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.last, "\n")
}
