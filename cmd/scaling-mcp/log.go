package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
)

// newLog returns a logger that writes JSON for machines or text for people.
func newLog(w io.Writer, level slog.Level, json bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// requestRecord gathers the fields of a request's one log line.
type requestRecord struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

type requestRecordKey struct{}

// annotate adds fields to the log line of the request that ctx belongs to.
func annotate(ctx context.Context, attrs ...slog.Attr) {
	if record, ok := ctx.Value(requestRecordKey{}).(*requestRecord); ok {
		record.mu.Lock()
		record.attrs = append(record.attrs, attrs...)
		record.mu.Unlock()
	}
}

// logged writes one line for each request (the path, never the query, in which
// codes and handles travel), gives it an id, and turns a panic into a 500.
func logged(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		record := &requestRecord{}
		id := uuid.NewString()
		w.Header().Set("X-Request-Id", id)
		response := &recordedResponse{ResponseWriter: w}
		ctx := context.WithValue(r.Context(), requestRecordKey{}, record)
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				log.ErrorContext(ctx, "panic", "request_id", id, "panic", p, "stack", string(debug.Stack()))
				if response.status == 0 {
					writeError(response, r, http.StatusInternalServerError, "server_error", "Something went wrong", "It is our fault, and it has been noted.")
				}
			}
			record.mu.Lock()
			defer record.mu.Unlock()
			log.LogAttrs(ctx, slog.LevelInfo, "request", append([]slog.Attr{
				slog.String("request_id", id),
				slog.String("method", r.Method),
				slog.String("path", r.URL.Path),
				slog.Int("status", response.status),
				slog.Int64("bytes", response.bytes),
				slog.Duration("duration", time.Since(begun)),
			}, record.attrs...)...)
		}()
		next.ServeHTTP(response, r.WithContext(ctx))
	})
}

// recordedResponse notes the status and size of a response.
type recordedResponse struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recordedResponse) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recordedResponse) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Flush lets a stream of events through.
func (w *recordedResponse) Flush() {
	if flusher, ok := w.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

// Unwrap is for http.ResponseController.
func (w *recordedResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }
