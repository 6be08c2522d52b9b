package clerk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Limits of one exchange with Clerk.
const (
	maxRetries     = 2
	attemptTimeout = 4 * time.Second // so that a hanging connection leaves time for another
	maxBody        = 4 << 20         // a page of 100 memberships with all metadata is 2.5 MB
	firstPause     = 100 * time.Millisecond
)

// retrier asks again when a GET met a busy or broken Clerk, because its SDK
// does not. It reads each body to its end itself, so that an answer that breaks
// off counts as a failed attempt and none is larger than maxBody.
type retrier struct {
	base http.RoundTripper
	log  *slog.Logger
	now  func() time.Time
}

// RoundTrip makes at most 1 + maxRetries attempts. It waits as long as
// Retry-After says, or else a little, and gives up at once where the request's
// deadline would pass first.
func (t *retrier) RoundTrip(r *http.Request) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		response, err := t.attempt(r)
		if r.Method != http.MethodGet || attempt == maxRetries || !worthRetrying(response, err) || r.Context().Err() != nil {
			return response, err
		}
		pause := t.pause(attempt, response)
		if deadline, ok := r.Context().Deadline(); ok && time.Until(deadline) <= pause {
			return response, err
		}
		t.log.Debug("asking Clerk again", "path", r.URL.Path, "attempt", attempt+1, "pause", pause, "err", err)
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// attempt sends r once and reads the whole answer.
func (t *retrier) attempt(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), attemptTimeout)
	defer cancel()
	response, err := t.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading answer: %w", err)
	}
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

var errTooLarge = fmt.Errorf("answer is larger than %d bytes", maxBody)

func worthRetrying(response *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, errTooLarge)
	}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// pause is how long to wait before the next attempt: what Retry-After says
// (RFC 9110 §10.2.3), else some tenths of a second, spread so that replicas do
// not come back together.
func (t *retrier) pause(attempt int, response *http.Response) time.Duration {
	if response != nil {
		after := response.Header.Get("Retry-After")
		if seconds, err := strconv.Atoi(after); err == nil && seconds >= 0 {
			return time.Duration(seconds) * time.Second
		}
		if at, err := http.ParseTime(after); err == nil {
			return max(0, at.Sub(t.now()))
		}
	}
	pause := firstPause << attempt
	return pause + rand.N(pause)
}

// networkCause returns what kept an exchange from happening, or nil if one
// happened. It leaves out the URL around it.
func networkCause(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return nil
}
