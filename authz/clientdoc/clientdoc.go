// Package clientdoc fetches the documents that a client's URL names: its client
// ID metadata document (draft-ietf-oauth-client-id-metadata-document) and the
// key set that it refers to. Strangers choose the URL. Package clientdoc decides
// which URLs may be fetched, from which addresses, how fast, how large an answer
// may be, and how long it may be kept. It stores nothing, and does not know what
// a document must say.
package clientdoc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"code.dny.dev/ssrf"
	"golang.org/x/sync/semaphore"
)

// Bounds of a fetch. Real documents are of about a kilobyte.
const (
	maxURL       = 2048            // bytes
	maxDocument  = 64 << 10        // bytes
	fetchTimeout = 5 * time.Second // from the name's resolution to the last byte
	maxFetches   = 64              // of strangers' documents, at a time
)

// Outcomes that a caller decides on. Any other error means that the document
// could not be fetched now, and perhaps can be later.
var (
	// ErrGone: the server says that there is no such document (404 or 410).
	ErrGone = errors.New("there is no such document")
	// ErrUnusable: the URL may not be fetched, or the server answers, but not with
	// a document. Trying again does not help.
	ErrUnusable = errors.New("there is nothing usable")
	// ErrBusy: too many documents were fetched lately, or are being fetched, from
	// this place or at all.
	ErrBusy = errors.New("too many fetches")
)

// Document is what a URL led to.
type Document struct {
	Body []byte
	// FreshFor is how long the body may be used without asking again, by the
	// answer's headers and within our own bounds.
	FreshFor time.Duration
}

// Fetcher fetches documents. It is safe for concurrent use.
type Fetcher struct {
	client  *http.Client
	fetches *semaphore.Weighted
	pace    *pace
	now     func() time.Time
}

// NewFetcher returns a Fetcher that reaches other servers by transport, which
// should be one of NewTransport.
func NewFetcher(transport http.RoundTripper, now func() time.Time) *Fetcher {
	return &Fetcher{
		client: &http.Client{
			Transport: transport,
			Timeout:   fetchTimeout,
			// Where a redirect leads was chosen by nobody who was asked: it is no answer.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		fetches: semaphore.NewWeighted(maxFetches),
		pace:    newPace(),
		now:     now,
	}
}

// Fetch returns the document at url. known says that the URL is not a
// stranger's but one of a well-known client: it is then fetched whatever
// strangers make us fetch, so that they cannot keep it from us.
func (f *Fetcher) Fetch(ctx context.Context, url string, known bool) (*Document, error) {
	u, problem := parseURL(url)
	if problem != "" {
		return nil, fmt.Errorf("%w: %s", ErrUnusable, problem)
	}
	if !f.pace.allow(u, known, f.now()) {
		return nil, ErrBusy
	}
	if !known {
		if !f.fetches.TryAcquire(1) {
			return nil, ErrBusy
		}
		defer f.fetches.Release(1)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "scaling-mcp")
	response, err := f.client.Do(request)
	if errors.Is(err, ssrf.ErrProhibitedIP) {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return nil, ErrGone
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return nil, fmt.Errorf("the server answers %d", response.StatusCode)
	default:
		if response.StatusCode >= http.StatusInternalServerError {
			return nil, fmt.Errorf("the server answers %d", response.StatusCode)
		}
		return nil, fmt.Errorf("%w: status %d", ErrUnusable, response.StatusCode)
	}
	if !isJSON(response.Header.Get("Content-Type")) {
		return nil, fmt.Errorf("%w: its Content-Type is not JSON", ErrUnusable)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxDocument {
		return nil, fmt.Errorf("%w: it is larger than 64 KiB", ErrUnusable)
	}
	return &Document{Body: body, FreshFor: freshFor(response.Header)}, nil
}

// isJSON reports whether a Content-Type is application/json or of the +json
// family (RFC 6839 §3.1).
func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" || strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json"))
}

// CheckURL says why a URL may not be fetched, and so cannot be the id of a client:
// empty if it may. It must be https, with a path that is more than the root, and
// without a fragment, user information, dot segments or a port. Every real
// document lives without a port; with one, a stranger could have us knock at any
// port of any host.
func CheckURL(raw string) (problem string) {
	_, problem = parseURL(raw)
	return problem
}

func parseURL(raw string) (u *url.URL, problem string) {
	if len(raw) > maxURL {
		return nil, "it is longer than 2048 bytes"
	}
	for _, r := range raw {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune("\\\"<>^`{|}", r) {
			return nil, "it has a character that a URL cannot have"
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, "it is not a URL"
	}
	if !strings.HasPrefix(raw, "https://") {
		return nil, "it is not https"
	}
	if u.User != nil {
		return nil, "it carries user information"
	}
	if u.Hostname() == "" {
		return nil, "it has no host"
	}
	if strings.Contains(strings.TrimPrefix(u.Host, "["+u.Hostname()+"]"), ":") {
		return nil, "it names a port"
	}
	if strings.Contains(raw, "#") {
		return nil, "it has a fragment"
	}
	if u.Path == "" || u.Path == "/" {
		return nil, "it has no path"
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return nil, "its path has a dot segment"
		}
	}
	return u, ""
}
