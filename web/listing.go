package web

import (
	"encoding/base64"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
)

// listing is what a person asks of the list of connections. It is all in the URL,
// so that a list can be gone back to, and shown to a colleague.
type listing struct {
	org    string // its slug; empty for one's own
	Search string
	Client string // an identity
	Member string // a user id
	State  string
	Sort   store.ConnectionSort
	After  string // where the page begins; empty for the first
}

// Which connections are listed, by whether they live.
const (
	stateAll   = "" // those that have ended below those that live
	stateLive  = "live"
	stateEnded = "ended"
)

// maxSearch is far more than a name has.
const maxSearch = 200

// newListing reads a listing. What makes no sense is as if it were not there.
func newListing(query url.Values) listing {
	l := listing{
		Search: strings.ToValidUTF8(strings.TrimSpace(query.Get("q")), ""),
		Client: clean(query.Get("client")), Member: clean(query.Get("member")),
		State: query.Get("state"), Sort: store.ConnectionSort(query.Get("sort")), After: query.Get("after"),
	}
	if l.Search = clean(l.Search); len(l.Search) > maxSearch {
		l.Search = strings.ToValidUTF8(l.Search[:maxSearch], "")
	}
	if l.State != stateLive && l.State != stateEnded {
		l.State = stateAll
	}
	if l.Sort != store.SortByConnect && l.Sort != store.SortByName {
		l.Sort = store.SortByUse
	}
	if l.position() == nil {
		l.After = ""
	}
	return l
}

// clean is text without what the database refuses to hold.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// query is what the store is asked for. It does not say how many.
func (l listing) query(viewer string, org *store.Organization) store.ConnectionQuery {
	q := store.ConnectionQuery{Search: l.Search, Client: l.Client, Sort: l.Sort, After: l.position()}
	if org != nil {
		q.OrgID, q.Member = org.ID, l.Member
	} else {
		q.UserID = viewer
	}
	return q
}

// url is where the list is.
func (l listing) url() string {
	values := url.Values{}
	for name, value := range map[string]string{
		"q": l.Search, "client": l.Client, "member": l.Member, "state": l.State, "after": l.After, "org": l.org,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if l.org != "" {
		values.Set("view", "organization")
	}
	if l.Sort != "" && l.Sort != store.SortByUse {
		values.Set("sort", string(l.Sort))
	}
	if len(values) == 0 {
		return connectionsPath
	}
	return connectionsPath + "?" + values.Encode()
}

// ofClient, ofMember and inState are the first pages of other lists: of the same
// connections, but of one client, of one member, in one state. Empty is any.
func (l listing) ofClient(identity string) string {
	l.Client, l.After = identity, ""
	return l.url()
}

func (l listing) ofMember(userID string) string {
	l.Member, l.After = userID, ""
	return l.url()
}

func (l listing) inState(state string) string {
	l.State, l.After = state, ""
	return l.url()
}

// start is the first page of the same list.
func (l listing) start() string {
	l.After = ""
	return l.url()
}

// narrowed reports whether something is left out.
func (l listing) narrowed() bool {
	return l.Search != "" || l.Client != "" || l.Member != "" || l.State != stateAll || l.After != ""
}

// after is the page that follows a position.
func (l listing) after(p store.ConnectionPosition) string {
	key := p.Name
	if l.Sort != store.SortByName {
		key = p.At.UTC().Format(time.RFC3339Nano)
	}
	l.After = base64.RawURLEncoding.EncodeToString([]byte(p.ID + "\n" + key))
	return l.url()
}

// position is where the page begins, or nil for the first page.
func (l listing) position() *store.ConnectionPosition {
	text, err := base64.RawURLEncoding.DecodeString(l.After)
	id, key, ok := strings.Cut(string(text), "\n")
	if err != nil || !ok || clean(id) != id || clean(key) != key {
		return nil
	}
	if l.Client != "" || l.State == stateEnded { // the place of a connection, and not of a client
		if _, err := uuid.Parse(id); err != nil {
			return nil
		}
	}
	p := store.ConnectionPosition{ID: id, Name: key}
	if l.Sort != store.SortByName {
		if p.At, err = time.Parse(time.RFC3339Nano, key); err != nil {
			return nil
		}
	}
	return &p
}
