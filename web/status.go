package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/visible"
	"scaling.cloud/mcp/web/ui"
)

// During an outage everybody looks at once, and that may be the hour in which
// the database is slow. A copy of each page is therefore kept for a moment, and
// of any number of visitors one makes it anew.
const (
	// statusFresh is how old a page may be when it is read: the copy here and those
	// of browsers and of what stands between them are no older together. Nothing may
	// be served stale while it is made anew (RFC 5861 §3): somebody who reloads
	// wants to know whether it is over.
	statusFresh = 30 * time.Second
	// statusKept is how old a copy may be before it is made anew.
	statusKept = 5 * time.Second
	// statusAway is how old a copy may be while the database does not answer, here
	// and in caches that find us away (RFC 5861 §4).
	statusAway = 5 * time.Minute
	// statusPatience is how long to wait for the database.
	statusPatience = 2 * time.Second
	// statusCopies is how many copies are kept, one for each organization. That of a
	// bad day weighs 200 KB, and none 8 MB.
	statusCopies = 256
)

// statusPages makes status pages and keeps copies of them. It is safe for
// concurrent use.
type statusPages struct {
	copies *lru.Cache[string, *statusCopy]
	making singleflight.Group
}

// statusCopy is a status page as it was at an instant.
type statusCopy struct {
	at   time.Time
	html []byte
	etag string
}

func newStatusPages() *statusPages {
	copies, err := lru.New[string, *statusCopy](statusCopies)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &statusPages{copies: copies}
}

// slugs are those that an organization may have. No other is looked for.
var slugs = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// status shows an organization's public status page to anybody: it neither knows
// nor asks who is signed in.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	page, err := s.statusCopy(r.Context(), r.PathValue("slug"))
	switch {
	case errors.Is(err, store.ErrNotFound):
		// The same for a page that is not published: whose customer somebody is, is
		// not theirs to learn.
		s.statusProblem(w, r, http.StatusNotFound, "There is no status page here", "Please check the address.")
	case err != nil:
		s.log.ErrorContext(r.Context(), "status page failed", "error", err)
		w.Header().Set("Retry-After", "5")
		s.statusProblem(w, r, http.StatusServiceUnavailable, "This page cannot be shown right now",
			"That says nothing about what it reports on. Please try again in a moment.")
	default:
		ui.SetHeaders(w.Header())
		left := max(statusFresh-s.now().Sub(page.at), statusKept)
		w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d, stale-if-error=%d", int(left.Seconds()), int(statusAway.Seconds())))
		w.Header().Set("ETag", page.etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(page.html))
	}
}

func (s *Server) statusProblem(w http.ResponseWriter, r *http.Request, status int, title, message string) {
	ui.SetHeaders(w.Header())
	w.WriteHeader(status)
	// All that can fail is writing to a browser that has gone.
	_ = statusProblem(title, message).Render(r.Context(), w)
}

// statusCopy returns a copy of the status page with the given slug that is young
// enough, or store.ErrNotFound.
func (s *Server) statusCopy(ctx context.Context, slug string) (*statusCopy, error) {
	if !slugs.MatchString(slug) {
		return nil, store.ErrNotFound
	}
	kept, ok := s.statusPages.copies.Get(slug)
	if ok && s.now().Sub(kept.at) < statusKept {
		return kept, nil
	}
	made, err, _ := s.statusPages.making.Do(slug, func() (any, error) {
		// The page is for others as well, who wait: it is made though this visitor
		// may leave.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusPatience)
		defer cancel()
		return s.makeStatusCopy(ctx, slug)
	})
	if errors.Is(err, store.ErrNotFound) {
		s.statusPages.copies.Remove(slug)
		return nil, err
	}
	if err != nil && ok && s.now().Sub(kept.at) < statusAway {
		s.log.WarnContext(ctx, "status page is an older copy", "slug", slug, "error", err)
		return kept, nil
	}
	if err != nil {
		return nil, err
	}
	return made.(*statusCopy), nil
}

func (s *Server) makeStatusCopy(ctx context.Context, slug string) (*statusCopy, error) {
	at := s.now() // before reading: what happens meanwhile may not be in it
	page, err := s.store.StatusPage(ctx, slug, at)
	if err != nil {
		return nil, err
	}
	var html bytes.Buffer
	if err := statusPage(statusView{page, at}).Render(ctx, &html); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(html.Bytes())
	made := &statusCopy{at, html.Bytes(), `"` + hex.EncodeToString(sum[:16]) + `"`}
	s.statusPages.copies.Add(slug, made)
	return made, nil
}

// statusView is an organization's status page.
type statusView struct {
	page *store.StatusPage
	now  time.Time
}

// banner is what the page says of the organization as a whole.
func (v statusView) banner() (ui.Tone, string) {
	switch status := v.page.Status(); {
	case len(v.page.Components) == 0:
		return ui.Calm, "Nothing is reported on yet"
	case status == store.ComponentMajorOutage:
		return ui.Bad, "Major outage"
	case status == store.ComponentPartialOutage:
		return ui.Bad, "Partial outage"
	case status == store.ComponentDegraded:
		return ui.Warn, "Some systems are degraded"
	}
	for _, c := range v.page.Components {
		if c.Status() == store.ComponentMaintenance {
			return ui.Calm, "Maintenance under way, everything else operational"
		}
	}
	return ui.Good, "All systems operational"
}

// componentGroup is components under one label, as the page shows it.
type componentGroup struct {
	label      string
	components []*store.StatusComponent
}

// groups are the components by label, in the order in which labels come first on
// the page. Those without one have a name only where others have.
func (v statusView) groups() []*componentGroup {
	var groups []*componentGroup
	byLabel := map[string]*componentGroup{}
	for _, c := range v.page.Components {
		g := byLabel[c.GroupLabel]
		if g == nil {
			g = &componentGroup{label: visible.Line(c.GroupLabel)}
			byLabel[c.GroupLabel] = g
			groups = append(groups, g)
		}
		g.components = append(g.components, c)
	}
	if unlabelled := byLabel[""]; unlabelled != nil && len(groups) > 1 {
		unlabelled.label = "Other"
	}
	return groups
}

// latest are the entries of a timeline that show at once: the newest, down to
// what was last said.
func latest(timeline []store.PublicEntry) []store.PublicEntry {
	for n, e := range timeline {
		if e.Body != nil {
			return timeline[:n+1]
		}
	}
	return timeline[:1]
}

func entryWords(e store.PublicEntry) string {
	if e.Status == nil {
		return "Update"
	}
	return capitalized(*e.Status)
}

func componentTone(s store.ComponentStatus) ui.Tone {
	switch s {
	case store.ComponentOperational:
		return ui.Good
	case store.ComponentDegraded:
		return ui.Warn
	case store.ComponentMaintenance:
		return ui.Calm
	}
	return ui.Bad
}

func componentWords(s store.ComponentStatus) string {
	switch s {
	case store.ComponentPartialOutage:
		return "Partial outage"
	case store.ComponentMajorOutage:
		return "Major outage"
	}
	return capitalized(s)
}
