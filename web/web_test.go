package web_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/uuid"

	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
	"scaling.cloud/mcp/web"
)

// now is when every test happens.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var (
	acme   = store.Organization{ID: "org_acme", Slug: "acme", Name: "Acme"}
	globex = store.Organization{ID: "org_globex", Slug: "globex", Name: "Globex"}
)

// The people: alice administers Acme and is a member of Globex, bob is a member
// of Acme, carol administers Globex.
const alice, bob, carol = "user_alice", "user_bob", "user_carol"

type sessionsFunc func(*http.Request) (*store.Session, error)

func (f sessionsFunc) Session(r *http.Request) (*store.Session, error) { return f(r) }

type membershipsFunc func(context.Context, string) ([]store.Membership, error)

func (f membershipsFunc) Memberships(ctx context.Context, userID string) ([]store.Membership, error) {
	return f(ctx, userID)
}

type publishFunc func(context.Context, ...*store.Revocation) bool

func (f publishFunc) Publish(ctx context.Context, revoked ...*store.Revocation) bool {
	return f(ctx, revoked...)
}

// dashboard is a Server on a database of its own, and the world around it.
type dashboard struct {
	t         testing.TB
	store     *store.Store
	handler   http.Handler
	roles     map[string][]store.Membership
	clerkAway bool // nobody's roles can be read
	asked     int  // how often they were asked for
	redisAway bool // no revocation is confirmed
	published []*store.Revocation
	log       strings.Builder
}

func open(t testing.TB) *dashboard {
	t.Helper()
	d := &dashboard{t: t, store: storetest.Open(t), roles: map[string][]store.Membership{
		alice: {{Organization: acme, Role: store.RoleAdmin}, {Organization: globex, Role: store.RoleMember}},
		bob:   {{Organization: acme, Role: store.RoleMember}},
		carol: {{Organization: globex, Role: store.RoleAdmin}},
	}}
	for id, name := range map[string]string{alice: "Alice Archer", bob: "Bob Baker", carol: "Carol Clark"} {
		email := strings.ToLower(strings.Fields(name)[0]) + "@example.com"
		_, err := d.store.SavePerson(t.Context(), store.User{ID: id, Name: name, Email: email, EmailVerified: true}, d.roles[id], now, "")
		d.must(err)
	}
	_, err := d.store.RegisterClient(t.Context(), store.Client{ID: "client", Kind: store.ClientRegistered,
		AuthMethod: store.AuthMethodNone, RedirectURIs: []string{}, GrantTypes: []string{store.GrantCode}, CreatedAt: now}, []byte("x"))
	d.must(err)
	server := web.New(web.Config{
		PublicURL: "https://mcp.example.com",
		Store:     d.store,
		Sessions: sessionsFunc(func(r *http.Request) (*store.Session, error) {
			cookie, err := r.Cookie("user")
			if err != nil {
				return nil, store.ErrNotFound
			}
			user, err := d.store.User(r.Context(), cookie.Value)
			if err != nil {
				return nil, err
			}
			administers := slices.ContainsFunc(d.roles[user.ID], store.Membership.Admin)
			return &store.Session{UserID: user.ID, Name: user.Name, Email: user.Email, Administers: administers}, nil
		}),
		Memberships: membershipsFunc(func(_ context.Context, userID string) ([]store.Membership, error) {
			d.asked++
			if d.clerkAway {
				return nil, errors.New("clerk: 503")
			}
			return d.roles[userID], nil
		}),
		Revocations: publishFunc(func(ctx context.Context, revoked ...*store.Revocation) bool {
			d.published = append(d.published, revoked...)
			if d.redisAway {
				return false
			}
			d.must(d.store.ConfirmRevocations(ctx, revoked, now))
			return true
		}),
		Drafts: drafts{d.store},
		Log:    slog.New(slog.NewTextHandler(&d.log, nil)),
		Now:    func() time.Time { return now },
	})
	mux := http.NewServeMux()
	server.Mount(mux)
	mux.Handle("GET /{$}", server.Landing())
	d.handler = mux
	return d
}

func (d *dashboard) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// connect stores a connection of userID to org, changed by the given functions.
func (d *dashboard) connect(userID string, org store.Organization, change ...func(*store.Connection)) uuid.UUID {
	d.t.Helper()
	connectedAt := now.Add(-72 * time.Hour)
	c := store.Connection{
		ID: uuid.Must(uuid.NewV7()), OrgID: org.ID, UserID: userID, ClientName: "Claude", ClientIdentity: "claude",
		ClientVerified: true, RedirectURI: "https://claude.ai/api/mcp/auth_callback", Scopes: store.DefaultScopes(),
		ConnectedAt: &connectedAt, ExpiresAt: now.Add(180 * 24 * time.Hour),
	}
	for _, f := range change {
		f(&c)
	}
	_, err := d.store.Pool().Exec(d.t.Context(), `
		INSERT INTO connections (id, org_id, user_id, client_id, client_name, client_identity, client_verified, redirect_uri,
		                         resource, scopes, created_at, connected_at, last_used_at, expires_at, revoked_at, revoked_by, revoke_reason)
		VALUES ($1, $2, $3, 'client', $4, $5, $6, $7, 'https://mcp.example.com/mcp', $8, $9, $10, $11, $12, $13, $14, $15)`,
		c.ID, c.OrgID, c.UserID, c.ClientName, c.ClientIdentity, c.ClientVerified, c.RedirectURI,
		c.Scopes, connectedAt, c.ConnectedAt, c.LastUsedAt, c.ExpiresAt, c.RevokedAt, c.RevokedBy, c.RevokeReason)
	d.must(err)
	return c.ID
}

func named(name string) func(*store.Connection) {
	return func(c *store.Connection) { c.ClientName = name }
}

func redirectingTo(uri string) func(*store.Connection) {
	return func(c *store.Connection) { c.RedirectURI, c.ClientVerified = uri, false }
}

func revoked(reason store.RevokeReason, by string) func(*store.Connection) {
	return func(c *store.Connection) {
		at := now.Add(-2 * time.Hour)
		c.RevokedAt, c.RevokeReason = &at, &reason
		if by != "" {
			c.RevokedBy = &by
		}
	}
}

// isRevoked reads the truth from the database.
func (d *dashboard) isRevoked(id uuid.UUID) bool {
	d.t.Helper()
	state, err := d.store.ConnectionState(d.t.Context(), id)
	d.must(err)
	return !state.Live
}

// page is an answer, parsed.
type page struct {
	*goquery.Document
	status int
	header http.Header
}

// text is the text of the elements that match selector, with single spaces.
func (p *page) text(selector string) string {
	return strings.Join(strings.Fields(p.Find(selector).Text()), " ")
}

// connections are the ids of the rows of the table that matches selector.
func (p *page) connections(selector string) []string {
	ids := p.Find(selector + " [data-connection]").Map(func(_ int, row *goquery.Selection) string {
		return row.AttrOr("data-connection", "")
	})
	return slices.Clip(ids)
}

func (d *dashboard) do(user string, r *http.Request) *page {
	d.t.Helper()
	if user != "" {
		r.AddCookie(&http.Cookie{Name: "user", Value: user})
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	doc, err := goquery.NewDocumentFromReader(w.Body)
	d.must(err)
	return &page{doc, w.Code, w.Result().Header}
}

func (d *dashboard) get(user, target string) *page {
	d.t.Helper()
	target, _, _ = strings.Cut(target, "#") // browsers keep it to themselves
	return d.do(user, httptest.NewRequest(http.MethodGet, target, nil))
}

// submit sends the first form of a page that has a button with the given text,
// as a browser would.
func (d *dashboard) submit(user string, p *page, button string) *page {
	d.t.Helper()
	form := p.Find("form").FilterFunction(func(_ int, f *goquery.Selection) bool {
		return strings.TrimSpace(f.Find("button").Text()) == button
	}).First()
	action, ok := form.Attr("action")
	if !ok || form.AttrOr("method", "") != "post" {
		d.t.Fatalf("no form with the button %q that posts", button)
	}
	values := url.Values{}
	form.Find("input").Each(func(_ int, in *goquery.Selection) {
		values.Add(in.AttrOr("name", ""), in.AttrOr("value", ""))
	})
	return d.post(user, action, values)
}

func (d *dashboard) post(user, target string, values url.Values) *page {
	d.t.Helper()
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return d.do(user, r)
}

// follow opens where a 303 leads.
func (d *dashboard) follow(user string, p *page) *page {
	d.t.Helper()
	if p.status != http.StatusSeeOther {
		d.t.Fatalf("got status %d, want 303", p.status)
	}
	return d.get(user, p.header.Get("Location"))
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func expectStatus(t testing.TB, p *page, want int) {
	t.Helper()
	if p.status != want {
		t.Errorf("got status %d, want %d", p.status, want)
	}
}
