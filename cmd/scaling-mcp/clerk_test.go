package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/oauth2"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store/storetest"
)

// clerkWorld is a running system, with connections whose tokens are known, and
// whose Clerk can be told what happened there.
type clerkWorld struct {
	t *testing.T
	*system
	clerk     string // URL
	database  *pgx.Conn
	people    map[string]*person
	connected map[string]*connection
}

// connection is a client's, without the client: tokens are used by hand.
type connection struct {
	token  *oauth2.Token
	config oauth2.Config
}

func newClerkWorld(t *testing.T) *clerkWorld {
	t.Helper()
	databaseURL := storetest.OpenURL(t)
	w := &clerkWorld{t: t, system: startDev(t, "--database-url", databaseURL, "--redis-url", storetest.Redis(t)),
		people: map[string]*person{}, connected: map[string]*connection{}}
	var err error
	if w.database, err = pgx.Connect(t.Context(), databaseURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.database.Close(t.Context()) })
	signIn, _ := w.get(t, http.MethodGet, w.url+"/sign-in", asBrowser)
	at, err := signIn.Location()
	if err != nil {
		t.Fatal(err)
	}
	w.clerk = at.Scheme + "://" + at.Host
	for _, row := range [][3]string{
		{"alice@acme.example", clerkdev.AcmeID, "alice in acme"}, {"alice@acme.example", clerkdev.GlobexID, "alice in globex"},
		{"bob@acme.example", clerkdev.AcmeID, "bob in acme"}, {"carol@globex.example", clerkdev.GlobexID, "carol in globex"},
	} {
		if w.people[row[0]] == nil {
			w.people[row[0]] = newPerson(t, row[0])
		}
		c := &connection{token: w.connect(w.people[row[0]], row[2], row[1]).token()}
		c.config = oauth2.Config{ClientID: w.clientID(t, row[2]), Endpoint: oauth2.Endpoint{TokenURL: w.url + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams}}
		w.connected[row[2]] = c
	}
	return w
}

// command tells the development Clerk what happened, and returns how many
// webhooks the server took.
func (w *clerkWorld) command(action, body string) (webhooks int) {
	w.t.Helper()
	response, err := http.Post(w.clerk+"/dev/"+action, "application/json", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	var outcome struct{ Webhooks []struct{ Status int } }
	if err := json.NewDecoder(response.Body).Decode(&outcome); err != nil || response.StatusCode != http.StatusOK {
		w.t.Fatalf("/dev/%s: %s %v", action, response.Status, err)
	}
	for _, sent := range outcome.Webhooks {
		if sent.Status != http.StatusNoContent {
			w.t.Errorf("/dev/%s: the webhook was answered %d, want 204", action, sent.Status)
		}
	}
	return len(outcome.Webhooks)
}

// age makes what Clerk has said older, as waiting would.
func (w *clerkWorld) age(interval string) {
	w.t.Helper()
	for _, table := range []string{"users", "organizations", "memberships"} {
		if _, err := w.database.Exec(w.t.Context(), `UPDATE `+table+` SET synced_at = synced_at - $1::text::interval`, interval); err != nil {
			w.t.Fatal(err)
		}
	}
}

// refresh refreshes a connection, whose tokens are then the new ones. It returns
// the answer if that is a refusal.
func (w *clerkWorld) refresh(name string) *oauth2.RetrieveError {
	w.t.Helper()
	c := w.connected[name]
	fresh, err := c.config.TokenSource(w.t.Context(), &oauth2.Token{RefreshToken: c.token.RefreshToken}).Token()
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return refused
	}
	if err != nil {
		w.t.Fatal(err)
	}
	c.token = fresh
	return nil
}

// wantEnded fails the test unless the next request of each connection that is
// named is refused, and of all others served.
func (w *clerkWorld) wantEnded(after string, ended []string) {
	w.t.Helper()
	for name, c := range w.connected {
		want := http.StatusOK
		if slices.Contains(ended, name) {
			want = http.StatusUnauthorized
		}
		if got := w.status(w.t, c.token.AccessToken).StatusCode; got != want {
			w.t.Errorf("after %s: %s: %d, want %d", after, name, got, want)
		}
	}
}

// TestWhatClerkEndsIsRefusedAtTheNextRequest, by its webhook, and where that is
// lost by the next refresh; and it ends nobody else's.
func TestWhatClerkEndsIsRefusedAtTheNextRequest(t *testing.T) {
	t.Parallel()
	steps := []struct{ action, command, ends string }{
		{"ban", `{"user":"bob@acme.example"`, "bob in acme"},
		{"remove", `{"user":"alice@acme.example","organization":"globex"`, "alice in globex"},
		{"delete-organization", `{"organization":"globex"`, "carol in globex"},
		{"delete-user", `{"user":"alice@acme.example"`, "alice in acme"},
	}
	t.Run("webhook", func(t *testing.T) {
		t.Parallel()
		w := newClerkWorld(t)
		var ended []string
		w.wantEnded("nothing", ended)
		for _, step := range steps {
			if w.command(step.action, step.command+`}`) != 1 {
				t.Errorf("%s: no webhook was sent", step.action)
			}
			ended = append(ended, step.ends)
			w.wantEnded(step.action, ended)
			if refused := w.refresh(step.ends); refused == nil || refused.ErrorCode != "invalid_grant" {
				t.Errorf("after %s: refresh: %v, want invalid_grant", step.action, refused)
			}
		}
	})
	t.Run("refresh", func(t *testing.T) {
		t.Parallel()
		w := newClerkWorld(t)
		var ended []string
		for _, step := range steps {
			if w.command(step.action, step.command+`,"webhook":false}`) != 0 {
				t.Errorf("%s: a webhook was sent", step.action)
			}
			w.wantEnded(step.action+", untold", ended)
			ended = append(ended, step.ends)
			w.age("1 minute")
			for name := range w.connected {
				refused := w.refresh(name)
				if over := slices.Contains(ended, name); over != (refused != nil) || over && refused.ErrorCode != "invalid_grant" {
					t.Errorf("after %s: refresh of %s: %v", step.action, name, refused)
				}
			}
			w.wantEnded(step.action, ended)
		}
	})
}

// TestAnOutageOfClerkEndsNothing within its bound, and after it clients are told
// to wait.
func TestAnOutageOfClerkEndsNothing(t *testing.T) {
	t.Parallel()
	w := newClerkWorld(t)
	const name = "alice in acme"
	w.command("fail", `{"status":500,"count":100000}`)
	w.age("1 hour 50 minutes")
	if refused := w.refresh(name); refused != nil {
		t.Errorf("within the bound: %v", refused)
	}
	w.age("10 minutes")
	refused := w.refresh(name)
	if refused == nil || refused.Response.StatusCode != http.StatusServiceUnavailable || refused.Response.Header.Get("Retry-After") == "" {
		t.Errorf("past the bound: %v, want 503 with Retry-After", refused)
	}
	w.wantEnded("an outage", nil)
	w.command("fail", `{"count":0}`)
	if refused := w.refresh(name); refused != nil {
		t.Errorf("once Clerk is back: %v", refused)
	}
}

func TestRevokedSessionsAtClerkEndBrowserSessionsAndNoConnection(t *testing.T) {
	t.Parallel()
	w := newClerkWorld(t)
	signedIn := func(email string) bool {
		page := w.people[email].open(w.url + "/settings/connections")
		ours, err := url.Parse(w.url)
		if err != nil {
			t.Fatal(err)
		}
		return page.at.Host == ours.Host
	}
	if !signedIn("alice@acme.example") {
		t.Fatal("Alice is not signed in")
	}
	if w.command("revoke-sessions", `{"user":"alice@acme.example"}`) == 0 {
		t.Error("no webhook was sent")
	}
	if signedIn("alice@acme.example") {
		t.Error("Alice is still signed in")
	}
	if !signedIn("bob@acme.example") {
		t.Error("Bob was signed out")
	}
	w.wantEnded("revoke-sessions", nil)
	if log := w.log.String(); strings.Contains(log, "whsec_") || strings.Contains(log, "email_addresses") {
		t.Error("a webhook's secret or body is in the log")
	}
}
