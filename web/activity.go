package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/visible"
	"scaling.cloud/mcp/web/ui"
)

const activityPath = "/settings/activity"

// activityPageSize is how many calls are on a page, and activityOfConnection how many
// are on that of their connection.
const (
	activityPageSize     = 50
	activityOfConnection = 20
)

// activitySuggested is how many people and clients a field suggests. Others can
// be typed.
const activitySuggested = 200

// activityScope is what a person may see of the audit log, and chose to: one of
// the organizations that they administer as a whole, or their own calls in one or
// all of those that they are a member of.
type activityScope struct {
	viewer       string              // user id
	org          *store.Organization // nil: all that they are in
	whole        bool                // everybody's in org
	orgIDs       []string
	administered []store.Organization
}

// activityFilter is what they narrowed it by, as they wrote it, and what was
// wrong with that, by field.
type activityFilter struct {
	person, client, tool, outcome, from, to string
	connection                              string
	query                                   store.ActivityQuery
	wrong                                   map[string]string
}

// activityView is Settings → Activity.
type activityView struct {
	page     ui.PageData
	scope    activityScope
	filter   activityFilter
	activity []*store.Activity
	older    string // URL of the next page, or empty
	deep     bool   // it is not the first
	people   []*store.User
	clients  []string
	waiting  int // drafts of the viewer
	now      time.Time
}

// activity lists calls, the newest first.
func (s *Server) activity(w http.ResponseWriter, r *http.Request, session *store.Session) error {
	ctx, now := r.Context(), s.now()
	scope, filter, err := s.chosenActivity(r, session.UserID)
	if err != nil {
		return err
	}
	view := activityView{
		page:  ui.PageData{Title: "Activity", Current: activityPath, Account: account(session)},
		scope: *scope, filter: *filter, deep: filter.query.After != nil, now: now,
	}
	if view.clients, err = s.store.ActivityClients(ctx, scope.orgIDs, scope.userID(), activitySuggested); err != nil {
		return err
	}
	if scope.whole {
		if view.people, err = s.store.ActivityPeople(ctx, scope.org.ID, activitySuggested); err != nil {
			return err
		}
	}
	drafts, err := s.store.DraftsOf(ctx, scope.orgIDs, session.UserID, now)
	if err != nil {
		return err
	}
	for _, d := range drafts {
		if d.State(now) == store.DraftWaiting {
			view.waiting++
		}
	}
	if len(filter.wrong) > 0 {
		return renderStatus(ctx, w, http.StatusUnprocessableEntity, activityPage(view))
	}
	query := filter.query
	query.Limit = activityPageSize + 1
	if view.activity, err = s.store.Activity(ctx, scope.orgIDs, query, now); err != nil {
		return err
	}
	if len(view.activity) > activityPageSize {
		view.activity = view.activity[:activityPageSize]
		view.older = view.url(activityPath, "after", activityCursor(view.activity[activityPageSize-1].Position()))
	}
	return render(ctx, w, activityPage(view))
}

// chosenActivity returns what a request asks to see, if the person may see it
// now. What they may not see and what does not exist are both store.ErrNotFound.
func (s *Server) chosenActivity(r *http.Request, userID string) (*activityScope, *activityFilter, error) {
	memberships, err := s.memberOf(r.Context(), userID)
	if err != nil {
		return nil, nil, clerkAway(forMembers, err) // the same for any organization
	}
	query := r.URL.Query()
	scope, err := chooseActivity(memberships, query.Get("view") == "mine", query.Get("org"))
	if err != nil {
		return nil, nil, err
	}
	scope.viewer = userID
	filter, err := s.activityFilter(r, scope)
	return scope, filter, err
}

// chooseActivity returns the organization that slug names, as a whole if the
// person administers it and does not ask for their own calls alone. Without a
// slug it is the first that they administer, or what is their own in all.
func chooseActivity(memberships []store.Membership, mine bool, slug string) (*activityScope, error) {
	var scope activityScope
	for _, m := range memberships {
		scope.orgIDs = append(scope.orgIDs, m.ID)
		if m.Admin() {
			scope.administered = append(scope.administered, m.Organization)
		}
	}
	if slug == "" && !mine && len(scope.administered) > 0 {
		slug = scope.administered[0].Slug
	}
	if slug == "" {
		return &scope, nil
	}
	for _, m := range memberships {
		if m.Slug == slug {
			scope.org, scope.orgIDs = &m.Organization, []string{m.ID}
			scope.whole = m.Admin() && !mine
			return &scope, nil
		}
	}
	return nil, store.ErrNotFound
}

// userID is whose calls are seen; empty: everybody's.
func (a *activityScope) userID() string {
	if a.whole {
		return ""
	}
	return a.viewer
}

// activityFilter reads how a request narrows what is in scope.
func (s *Server) activityFilter(r *http.Request, scope *activityScope) (*activityFilter, error) {
	query := r.URL.Query()
	for name := range query {
		if value := query.Get(name); !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return nil, store.ErrNotFound // the database has no such text
		}
	}
	field := func(name string) string { return strings.TrimSpace(query.Get(name)) }
	f := activityFilter{
		person: field("person"), client: query.Get("client"), tool: field("tool"), outcome: field("outcome"),
		from: field("from"), to: field("to"), connection: field("connection"), wrong: map[string]string{},
	}
	f.query = store.ActivityQuery{UserID: scope.userID(), ClientName: f.client, Action: f.tool, Outcome: f.outcome}
	if !scope.whole {
		f.person = ""
	}
	switch {
	case f.person == "":
	case strings.Contains(f.person, "@"):
		id, err := s.store.ActivityPerson(r.Context(), scope.org.ID, f.person)
		if errors.Is(err, store.ErrNotFound) {
			f.wrong["person"] = "Nobody with this address is or was in " + visible.Line(scope.org.Name) + "."
		} else if err != nil {
			return nil, err
		}
		f.query.UserID = id
	case strings.HasPrefix(f.person, "user_"): // stays when a person's name and address are gone
		f.query.UserID = f.person
	default:
		f.wrong["person"] = "Write an e-mail address."
	}
	if f.connection != "" {
		id, err := uuid.Parse(f.connection)
		if err != nil {
			return nil, store.ErrNotFound // no form of ours says so
		}
		f.query.ConnectionID = id
	}
	if f.from != "" {
		if day, ok := day(f.from); ok {
			f.query.From = &day
		} else {
			f.wrong["from"] = notADay
		}
	}
	if f.to != "" {
		if day, ok := day(f.to); ok {
			f.query.Before = new(day.AddDate(0, 0, 1))
		} else {
			f.wrong["to"] = notADay
		}
	}
	if f.wrong["from"] == "" && f.wrong["to"] == "" && f.from != "" && f.to != "" && !f.query.From.Before(*f.query.Before) {
		f.wrong["to"] = "This day is before the first one."
	}
	for _, field := range f.fields() {
		if len(field.says) > maxFilter {
			f.wrong[field.name] = "This is too long."
		}
	}
	if after := query.Get("after"); after != "" {
		position, ok := parseActivityCursor(after)
		if !ok {
			return nil, store.ErrNotFound
		}
		f.query.After = position
	}
	return &f, nil
}

// maxFilter is more than any name has.
const maxFilter = 500

const notADay = "Write a day like 2026-11-25."

func day(s string) (time.Time, bool) {
	t, err := time.Parse(time.DateOnly, s)
	return t, err == nil && t.Year() > 0
}

// activityCursor says in a URL where a page begins.
func activityCursor(p store.ActivityPosition) string {
	return strconv.FormatInt(p.At.UnixMicro(), 10) + "." + p.ID.String()
}

func parseActivityCursor(s string) (*store.ActivityPosition, bool) {
	micros, id, _ := strings.Cut(s, ".")
	at, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || at < 0 || at > 1<<52 { // the year 2112
		return nil, false
	}
	parsed, err := uuid.Parse(id)
	return &store.ActivityPosition{At: time.UnixMicro(at), ID: parsed}, err == nil
}

// values are the query of a URL that shows the same.
func (v activityView) values() url.Values {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	if !v.scope.whole && len(v.scope.administered) > 0 {
		set("view", "mine")
	}
	if v.scope.org != nil {
		set("org", v.scope.org.Slug)
	}
	for _, field := range v.filter.fields() {
		set(field.name, field.says)
	}
	return values
}

// fields are the filter's, by name.
func (f activityFilter) fields() []word {
	return []word{
		{"person", f.person}, {"client", f.client}, {"connection", f.connection},
		{"tool", f.tool}, {"outcome", f.outcome}, {"from", f.from}, {"to", f.to},
	}
}

// narrowed reports whether anything is filtered.
func (f activityFilter) narrowed() bool {
	for _, field := range f.fields() {
		if field.says != "" {
			return true
		}
	}
	return false
}

// url is a page that shows the same, with one value changed; an empty value
// leaves it out.
func (v activityView) url(path, name, value string) string {
	values := v.values()
	values.Del(name)
	if value != "" {
		values.Set(name, value)
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// all is the page without a filter.
func (v activityView) all() string {
	v.filter = activityFilter{}
	return v.url(activityPath, "", "")
}

// ofConnection is the page of one connection's activity.
func ofConnection(c *store.ListedConnection) string {
	return activityPath + "?" + url.Values{"org": {c.OrgSlug}, "connection": {c.ID.String()}}.Encode()
}

// took is a duration the way a person would say it.
func took(d time.Duration) string {
	switch {
	case d == 0:
		return "–" // nothing that takes time
	case d < time.Millisecond:
		return "under 1 ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}

// activityOf is the activity of a whole organization.
func activityOf(slug string) string { return activityPath + "?" + url.Values{"org": {slug}}.Encode() }

// invalid marks the control of a field that is wrong, and says where it is told
// why.
func invalid(v activityView, name string) templ.Attributes {
	if v.filter.wrong[name] == "" {
		return nil
	}
	return templ.Attributes{"aria-invalid": "true", "aria-describedby": name + "-wrong"}
}

// waits says how many drafts wait for their author.
func waits(n int) string {
	if n == 1 {
		return "A public update waits for your word"
	}
	return strconv.Itoa(n) + " public updates wait for your word"
}
