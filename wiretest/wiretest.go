// Package wiretest holds every document that the product serves to programs
// against a schema of what it should be: that of the RFC, of MCP, or of the tool
// that was called. It stands in front of a handler in tests and changes nothing.
//
// A document that fits no schema fails the test, and so does one at a place that
// has no schema: a new endpoint brings its own. Pages for people are none of its
// business.
package wiretest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Watcher is a handler whose answers are looked at. It is safe for concurrent
// use.
type Watcher struct {
	t     testing.TB
	next  http.Handler
	other bool // what is behind the protocol is not the product's

	mu    sync.Mutex
	over  bool // the test has ended
	seen  map[string]int
	tools map[string]*jsonschema.Schema // of their output, by name, as they were listed
}

// Watch returns a Watcher of next. What it finds wrong is an error of t. Benchmarks
// measure the product, and fuzz targets may not fail from outside: to them next
// answers by itself.
func Watch(t testing.TB, next http.Handler) *Watcher {
	w := &Watcher{t: t, next: next, seen: map[string]int{}, tools: map[string]*jsonschema.Schema{}}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.over = true
	})
	return w
}

// WatchOther returns a Watcher of a server that offers something else than the
// product does, behind the product's own protocol. Of the results of MCP it looks at
// the schemas of tools, and at what a tool returns by its own.
func WatchOther(t testing.TB, next http.Handler) *Watcher {
	w := Watch(t, next)
	w.other = true
	return w
}

// Seen returns how many documents there were of each kind: the name of their
// schema, or "output of" and the name of a tool.
func (w *Watcher) Seen() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.seen)
}

// ServeHTTP implements http.Handler. The answer goes out when it has been looked
// at, so that whoever reads it knows that the test has been told.
func (w *Watcher) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	switch w.t.(type) {
	case *testing.B, *testing.F:
		w.next.ServeHTTP(rw, r)
		return
	}
	x := &exchange{watcher: w, request: r, answer: &answer{ResponseWriter: rw}}
	served := r
	if isMCP(r) {
		// Read along, and not beforehand: how much of a body is read, and what
		// happens to one that is too long or never ends, is the product's to say.
		served = r.WithContext(r.Context())
		served.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &x.asked), r.Body}
	}
	w.next.ServeHTTP(x.answer, served)
	x.judge()
	x.answer.release()
}

// fail tells the test, unless it is over: then nobody waits for the answer.
func (w *Watcher) fail(format string, arguments ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.t.Errorf("wiretest: "+format, arguments...)
	}
}

// exchange is a request and its answer.
type exchange struct {
	watcher *Watcher
	request *http.Request
	asked   bytes.Buffer // the body of an MCP request, as far as it was read
	answer  *answer
}

// fail tells the test what is wrong with an answer.
func (x *exchange) fail(format string, arguments ...any) {
	x.watcher.fail("%s %s: %d: %s", x.request.Method, x.request.URL.Path, x.answer.status, fmt.Sprintf(format, arguments...))
}

// answer is an answer on its way out. JSON is held back until it is released; all
// else passes at once, of lines of JSON with a copy kept.
type answer struct {
	http.ResponseWriter
	status    int // 0: nothing was written
	mediaType string
	body      bytes.Buffer
}

// Media types of JSON.
const (
	document = "application/json"
	lines    = "application/jsonl"
)

func (a *answer) WriteHeader(status int) {
	if status < http.StatusOK { // what goes before an answer
		a.ResponseWriter.WriteHeader(status)
		return
	}
	if a.status != 0 {
		return
	}
	a.status = status
	a.mediaType, _, _ = mime.ParseMediaType(a.Header().Get("Content-Type"))
	if a.mediaType != document {
		a.ResponseWriter.WriteHeader(status)
	}
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	switch a.mediaType {
	case document:
		return a.body.Write(p)
	case lines:
		a.body.Write(p)
	}
	return a.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController.
func (a *answer) FlushError() error {
	if a.mediaType == document {
		return nil
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) release() {
	if a.mediaType == document {
		a.ResponseWriter.WriteHeader(a.status)
		_, _ = a.ResponseWriter.Write(a.body.Bytes()) // a client that hung up is no error
	}
}
