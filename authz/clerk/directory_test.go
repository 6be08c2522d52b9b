package clerk_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/clerk"
	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/store/storetest"
)

// clock is a time that tests move by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// directory is a Directory on a development Clerk, which counts the questions.
type directory struct {
	*clerk.Directory
	dev   *clerkdev.Server
	store *store.Store
	clock *clock
	asked *atomic.Int32

	published *published
}

// published collects what was published.
type published struct {
	mu  sync.Mutex
	ids []uuid.UUID
}

func (p *published) Publish(_ context.Context, revoked ...*store.Revocation) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range revoked {
		p.ids = append(p.ids, r.ConnectionID)
	}
	return true
}

func newDirectory(t *testing.T, change func(*clerkdev.Config)) directory {
	t.Helper()
	d := directory{dev: startDev(t, change), store: storetest.Open(t), clock: &clock{time.Now()}, asked: &atomic.Int32{}, published: &published{}}
	target, err := url.Parse(d.dev.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	counting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(counting.Close)
	client := clerk.New(clerk.Config{APIURL: counting.URL, SecretKey: secretKey, Now: d.clock.Now})
	d.Directory = clerk.NewDirectory(client, d.store, d.published)
	return d
}

func roles(memberships []store.Membership) map[string]string {
	roles := map[string]string{}
	for _, m := range memberships {
		roles[m.Slug] = m.Role
	}
	return roles
}

func (d directory) wantMemberships(t *testing.T, userID string, want map[string]string) {
	t.Helper()
	got, err := d.Memberships(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, roles(got)); diff != "" {
		t.Errorf("memberships (-want +got):\n%s", diff)
	}
}

func TestSyncStoresWhatClerkSays(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, nil)
	u, memberships, err := d.Sync(t.Context(), clerkdev.AliceID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"acme": "org:admin", "globex": "org:member"}, roles(memberships)); diff != "" {
		t.Errorf("memberships (-want +got):\n%s", diff)
	}
	stored, err := d.store.User(t.Context(), clerkdev.AliceID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(u, *stored); diff != "" || u.Name != "Alice Archer" {
		t.Errorf("stored user %s (-returned +stored):\n%s", u.Name, diff)
	}
	members := func() (names []string) {
		users, err := d.store.Members(t.Context(), clerkdev.GlobexID)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range users {
			names = append(names, u.Name)
		}
		return names
	}
	if diff := cmp.Diff([]string{"Alice Archer"}, members()); diff != "" {
		t.Errorf("members of Globex (-want +got):\n%s", diff)
	}
	command(t, d.dev, "remove", `{"user":"alice@acme.example","organization":"globex"}`)
	d.clock.now = d.clock.now.Add(time.Second)
	if _, _, err := d.Sync(t.Context(), clerkdev.AliceID); err != nil {
		t.Fatal(err)
	}
	if got := members(); len(got) != 0 {
		t.Errorf("members of Globex after the removal: got %v", got)
	}
}

func TestMembershipsAreAtMostAMinuteOld(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, nil)
	admin, member := map[string]string{"acme": "org:admin", "globex": "org:member"}, map[string]string{"acme": "org:member", "globex": "org:member"}
	d.wantMemberships(t, clerkdev.AliceID, admin)
	asked := d.asked.Load()
	command(t, d.dev, "role", `{"user":"alice@acme.example","organization":"acme","role":"org:member"}`)

	d.clock.now = d.clock.now.Add(store.MembershipAge - time.Nanosecond)
	d.wantMemberships(t, clerkdev.AliceID, admin)
	if got := d.asked.Load(); got != asked {
		t.Errorf("Clerk was asked %d times for what was known", got-asked)
	}
	d.clock.now = d.clock.now.Add(time.Nanosecond)
	d.wantMemberships(t, clerkdev.AliceID, member)
}

func TestSyncReplacesWhatIsRemembered(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, nil)
	d.wantMemberships(t, clerkdev.BobID, map[string]string{"acme": "org:member"})
	command(t, d.dev, "role", `{"user":"bob@acme.example","organization":"acme","role":"org:admin"}`)
	if _, _, err := d.Sync(t.Context(), clerkdev.BobID); err != nil {
		t.Fatal(err)
	}
	d.wantMemberships(t, clerkdev.BobID, map[string]string{"acme": "org:admin"})
	command(t, d.dev, "delete-user", `{"user":"bob@acme.example"}`)
	if _, _, err := d.Sync(t.Context(), clerkdev.BobID); !errors.Is(err, clerk.ErrNotFound) {
		t.Fatalf("deleted: got %v, want ErrNotFound", err)
	}
	if _, err := d.Memberships(t.Context(), clerkdev.BobID); !errors.Is(err, clerk.ErrNotFound) {
		t.Errorf("deleted, memberships: got %v, want ErrNotFound", err)
	}
}

func TestBannedPeopleBelongNowhere(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, nil)
	command(t, d.dev, "ban", `{"user":"bob@acme.example"}`)
	for range 2 { // asked, and remembered
		d.wantMemberships(t, clerkdev.BobID, map[string]string{})
	}
	u, _, err := d.Sync(t.Context(), clerkdev.BobID)
	if err != nil || !u.Banned {
		t.Errorf("Sync: got banned=%v, %v", u.Banned, err)
	}
	stored, err := d.store.User(t.Context(), clerkdev.BobID)
	if err != nil || !stored.Banned {
		t.Errorf("stored: got %+v, %v", stored, err)
	}
}

func TestNothingIsReturnedOrStoredWhileClerkIsAway(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, nil)
	d.wantMemberships(t, clerkdev.AliceID, map[string]string{"acme": "org:admin", "globex": "org:member"})
	command(t, d.dev, "fail", `{"status":500,"count":1000}`)
	d.clock.now = d.clock.now.Add(store.MembershipAge)
	if got, err := d.Memberships(t.Context(), clerkdev.AliceID); !errors.Is(err, clerk.ErrUnavailable) || got != nil {
		t.Errorf("Memberships: got %v, %v, want ErrUnavailable", got, err)
	}
	if _, _, err := d.Sync(t.Context(), clerkdev.CarolID); !errors.Is(err, clerk.ErrUnavailable) {
		t.Errorf("Sync: got %v, want ErrUnavailable", err)
	}
	if _, err := d.store.User(t.Context(), clerkdev.CarolID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("stored: got %v, want ErrNotFound", err)
	}
	// It is not remembered that Clerk was away.
	command(t, d.dev, "fail", `{"count":0}`)
	d.wantMemberships(t, clerkdev.AliceID, map[string]string{"acme": "org:admin", "globex": "org:member"})
}

func TestConcurrentQuestionsAreAskedOnce(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, nil)
	first, leave := context.WithCancel(t.Context())
	leave() // whoever asks first and goes away does not take the answer along
	_, _ = d.Memberships(first, clerkdev.AliceID)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			got, err := d.Memberships(t.Context(), clerkdev.AliceID)
			if err != nil || len(got) != 2 {
				t.Errorf("got %v, %v, want two", got, err)
			}
		})
	}
	wg.Wait()
	if got := d.asked.Load(); got > 2*2 { // a question is two requests; the last may miss the first's answer by a hair
		t.Errorf("asked Clerk %d times", got)
	}
}

func TestCallersMayChangeWhatTheyGot(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, nil)
	for range 3 {
		got, err := d.Memberships(t.Context(), clerkdev.BobID)
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Role != store.RoleMember {
			t.Fatal("one caller's change is another's answer")
		}
		got[0].Role = store.RoleAdmin
	}
}
