package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// reader is somebody who downloads something, on a connection with a deadline.
type reader struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (r *reader) SetWriteDeadline(at time.Time) error { r.deadline = at; return nil }

// TestAnExportMayTakeItsTimeButNotStandStill: the database may take half a minute
// for the next part, and the reader as long for this one.
func TestAnExportMayTakeItsTimeButNotStandStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 10 {
				time.Sleep(exportBound - time.Second)
				if _, err := io.WriteString(w, "a row\n"); err != nil {
					t.Error(err)
				}
			}
			written := time.Now()
			if r.Context().Err() != nil {
				t.Error("it was cut while it moved")
			}
			<-r.Context().Done() // as a statement would
			if stood := time.Since(written); stood != exportBound || !errors.Is(context.Cause(r.Context()), context.DeadlineExceeded) {
				t.Errorf("it stood for %s: %v", stood, context.Cause(r.Context()))
			}
		})
		w := &reader{ResponseRecorder: httptest.NewRecorder()}
		moving(slow, w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/settings/activity.csv", nil))
		if last := began.Add(10 * (exportBound - time.Second)); w.deadline != last.Add(exportBound) {
			t.Errorf("the reader has until %s after the last row, want %s", w.deadline.Sub(last), exportBound)
		}
		if w.Body.Len() != 10*len("a row\n") {
			t.Errorf("got %q", w.Body)
		}
	})
}
