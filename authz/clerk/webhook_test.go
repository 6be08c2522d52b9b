package clerk_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"scaling.cloud/mcp/authz/clerk"
	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store"
	"scaling.cloud/mcp/wiretest"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver is a server that takes the webhooks of a development Clerk, with
// somebody of everybody connected and signed in.
type receiver struct {
	directory
	url  string
	log  *bytes.Buffer
	live map[string]uuid.UUID // connections, by person and organization
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(wiretest.Watch(t, mux))
	t.Cleanup(server.Close)
	r := &receiver{url: server.URL + "/webhooks/clerk", log: &bytes.Buffer{}, live: map[string]uuid.UUID{}}
	r.directory = newDirectory(t, func(c *clerkdev.Config) { c.WebhookURL, c.WebhookSecret = r.url, webhookSecret })
	secret, err := clerk.ParseWebhookSecret(webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("POST /webhooks/clerk", clerk.NewWebhooks(r.Directory, secret, slog.New(slog.NewTextHandler(r.log, nil))))
	_, err = r.store.RegisterClient(t.Context(), store.Client{ID: "claude", Kind: store.ClientRegistered, AuthMethod: store.AuthMethodNone,
		RedirectURIs: []string{"https://claude.example/cb"}, GrantTypes: []string{store.GrantCode}, CreatedAt: r.clock.now}, []byte("claude"))
	if err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]string{"alice": clerkdev.AliceID, "bob": clerkdev.BobID, "carol": clerkdev.CarolID} {
		_, memberships, err := r.Sync(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range memberships {
			r.live[name+" in "+m.Slug] = r.connect(t, id, m.ID)
		}
		if err := r.store.CreateSession(t.Context(), []byte(id), id, false, r.clock.now); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// connect stores a live connection.
func (r *receiver) connect(t *testing.T, userID, orgID string) uuid.UUID {
	t.Helper()
	ctx, now, id := t.Context(), r.clock.now, uuid.New()
	hash := func(what string) []byte { h := sha256.Sum256([]byte(what + id.String())); return h[:] }
	if err := r.store.CreateAuthorizationRequest(ctx, hash("handle"), hash("browser"), store.AuthorizationRequest{ClientID: "claude"}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.ShowAuthorizationRequest(ctx, hash("handle"), hash("browser"), userID, now); err != nil {
		t.Fatal(err)
	}
	err := r.store.CreateGrant(ctx, store.Grant{
		Decision:   store.Decision{HandleHash: hash("handle"), BrowserHash: hash("browser"), UserID: userID},
		Connection: store.Connection{ID: id, OrgID: orgID, UserID: userID, ClientID: "claude", Scopes: []string{store.ScopeIncidentsRead}, ExpiresAt: now.Add(time.Hour)},
		CodeHash:   hash("code"), CodeExpiresAt: now.Add(time.Minute),
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.store.RedeemCode(ctx, store.CodeRedemption{CodeHash: hash("code"), ConnectionID: id, ClientID: "claude",
		RefreshHash: hash("refresh"), RefreshExpiresAt: now.Add(time.Hour), Supersedes: func(string) bool { return false }}, now)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// wantEnded fails the test unless of all connections those that are named have
// ended, and of all browser sessions those of the person named.
func (r *receiver) wantEnded(t *testing.T, connections []string, session string) {
	t.Helper()
	want, got, published := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, name := range connections {
		want[name] = true
	}
	for name, id := range r.live {
		state, err := r.store.ConnectionState(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !state.Live {
			got[name] = true
		}
		for _, told := range r.published.ids {
			if told == id {
				published[name] = true
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ended connections (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, published); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	for name, id := range map[string]string{"alice": clerkdev.AliceID, "bob": clerkdev.BobID, "carol": clerkdev.CarolID} {
		_, err := r.store.Session(t.Context(), []byte(id), r.clock.now)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		if ended := err != nil; ended != (name == session) {
			t.Errorf("browser session of %s: ended is %v", name, ended)
		}
	}
}

// send delivers a webhook and returns the answer.
func (r *receiver) send(t *testing.T, id, body string) (status int, answer string) {
	t.Helper()
	at := r.clock.now.Unix()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(webhookSecret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, at, body)
	return r.post(t, http.Header{
		"Svix-Id": {id}, "Svix-Timestamp": {fmt.Sprint(at)},
		"Svix-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}, body)
}

func (r *receiver) post(t *testing.T, h http.Header, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = h
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(text)
}

// TestWebhooksEndWhatClerkHasEnded is the table of Clerk's webhooks, each sent by
// the development Clerk: when Clerk answers, and when it is away.
func TestWebhooksEndWhatClerkHasEnded(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		action, command string
		ends            []string
		session         string // whose browser sessions end
		deletion        bool   // takes effect as it was delivered
	}{
		"banned":               {"ban", `{"user":"alice@acme.example"}`, []string{"alice in acme", "alice in globex"}, "alice", false},
		"deleted":              {"delete-user", `{"user":"alice@acme.example"}`, []string{"alice in acme", "alice in globex"}, "alice", true},
		"removed":              {"remove", `{"user":"alice@acme.example","organization":"acme"}`, []string{"alice in acme"}, "", true},
		"organization deleted": {"delete-organization", `{"organization":"globex"}`, []string{"alice in globex", "carol in globex"}, "", true},
		"sessions revoked":     {"revoke-sessions", `{"user":"bob@acme.example"}`, nil, "bob", true},
		"demoted":              {"role", `{"user":"alice@acme.example","organization":"acme","role":"org:member"}`, nil, "", false},
		"added":                {"add", `{"user":"bob@acme.example","organization":"globex"}`, nil, "", false},
	} {
		for _, away := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, away %v", name, away), func(t *testing.T) {
				t.Parallel()
				r := newReceiver(t)
				if away {
					command(t, r.dev, "fail", `{"status":500,"count":1000}`)
				}
				response, err := http.Post(r.dev.URL()+"/dev/"+row.action, "application/json", strings.NewReader(row.command))
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				var outcome struct{ Webhooks []struct{ Status int } }
				if err := json.NewDecoder(response.Body).Decode(&outcome); err != nil || len(outcome.Webhooks) != 1 {
					t.Fatalf("got %s, %+v, %v, want one webhook", response.Status, outcome, err)
				}
				if away && !row.deletion {
					if got := outcome.Webhooks[0].Status; got != http.StatusServiceUnavailable {
						t.Errorf("answered %d, want 503: it is to be sent again", got)
					}
					r.wantEnded(t, nil, "")
					return
				}
				if got := outcome.Webhooks[0].Status; got != http.StatusNoContent {
					t.Errorf("answered %d, want 204", got)
				}
				r.wantEnded(t, row.ends, row.session)
			})
		}
	}
}

func TestWebhookHasItsEffectOnce(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	removal := fmt.Sprintf(`{"type":"organizationMembership.deleted","data":{"organization":{"id":%q},"public_user_data":{"user_id":%q}}}`, clerkdev.AcmeID, clerkdev.BobID)
	command(t, r.dev, "remove", `{"user":"bob@acme.example","organization":"acme","webhook":false}`)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if status, answer := r.send(t, "msg_1", removal); status != http.StatusNoContent {
				t.Errorf("got %d %s, want 204", status, answer)
			}
		})
	}
	wg.Wait()
	r.wantEnded(t, []string{"bob in acme"}, "")
	if got := len(r.published.ids); got != 1 {
		t.Errorf("%d revocations, want one", got)
	}

	// Bob is added again, and consents again. What was delivered before is no
	// reason to end that, even if it cannot be checked.
	command(t, r.dev, "add", `{"user":"bob@acme.example","organization":"acme","webhook":false}`)
	if _, _, err := r.Sync(t.Context(), clerkdev.BobID); err != nil {
		t.Fatal(err)
	}
	r.wantEnded(t, []string{"bob in acme"}, "")
	r.live["bob in acme, again"] = r.connect(t, clerkdev.BobID, clerkdev.AcmeID)
	command(t, r.dev, "fail", `{"status":500,"count":1000}`)
	asked := r.asked.Load()
	if status, _ := r.send(t, "msg_1", removal); status != http.StatusNoContent {
		t.Errorf("sent once more: got %d, want 204", status)
	}
	if got := r.asked.Load(); got != asked {
		t.Errorf("sent once more: Clerk was asked %d times", got-asked)
	}
	r.wantEnded(t, []string{"bob in acme"}, "")
	// The same words under another id, and Clerk away: as delivered.
	if status, _ := r.send(t, "msg_2", removal); status != http.StatusNoContent {
		t.Errorf("another: got %d, want 204", status)
	}
	r.wantEnded(t, []string{"bob in acme", "bob in acme, again"}, "")
}

// A webhook that comes after what came later says nothing that Clerk does not.
func TestWebhooksOutOfOrderAreHints(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	for i, body := range []string{
		fmt.Sprintf(`{"type":"user.deleted","data":{"id":%q,"deleted":true}}`, clerkdev.BobID),
		fmt.Sprintf(`{"type":"user.updated","data":{"id":%q,"banned":true}}`, clerkdev.BobID),
		fmt.Sprintf(`{"type":"organization.deleted","data":{"id":%q,"deleted":true}}`, clerkdev.AcmeID),
		fmt.Sprintf(`{"type":"organizationMembership.deleted","data":{"organization":{"id":%q},"public_user_data":{"user_id":%q}}}`, clerkdev.AcmeID, clerkdev.BobID),
		fmt.Sprintf(`{"type":"session.ended","data":{"id":"sess_1","user_id":%q,"updated_at":%d}}`, clerkdev.BobID, r.clock.now.Add(time.Hour).UnixMilli()),
		fmt.Sprintf(`{"type":"session.removed","data":{"id":"sess_1","user_id":%q,"updated_at":%d}}`, clerkdev.BobID, r.clock.now.Add(time.Hour).UnixMilli()),
		fmt.Sprintf(`{"type":"session.revoked","data":{"id":"sess_1","user_id":%q,"updated_at":%d}}`, clerkdev.BobID, r.clock.now.Add(-time.Second).UnixMilli()),
		`{"type":"waitlistEntry.created","data":"of a kind that we do not know"}`,
	} {
		if status, answer := r.send(t, fmt.Sprint("msg_", i), body); status != http.StatusNoContent {
			t.Errorf("%s: got %d %s, want 204", body, status, answer)
		}
	}
	r.wantEnded(t, nil, "")

	command(t, r.dev, "delete-user", `{"user":"bob@acme.example"}`)
	if status, _ := r.send(t, "msg_late", fmt.Sprintf(`{"type":"user.created","data":{"id":%q}}`, clerkdev.BobID)); status != http.StatusNoContent {
		t.Errorf("created after deleted: got %d, want 204", status)
	}
	if _, err := r.store.User(t.Context(), clerkdev.BobID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the deleted person is back: %v", err)
	}
	var name, email string
	if err := r.store.Pool().QueryRow(t.Context(), `SELECT name, email FROM users WHERE id = $1`, clerkdev.BobID).Scan(&name, &email); err != nil || name != store.FormerMember || email != "" {
		t.Errorf("of the deleted person %q %q is left, %v", name, email, err)
	}
}

func TestWebhooksAreRefusedInOneForm(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	asked := r.asked.Load()
	wrong := http.Header{"Svix-Id": {"msg_1"}, "Svix-Timestamp": {fmt.Sprint(r.clock.now.Unix())}, "Svix-Signature": {"v1,AAAA"}}
	for name, row := range map[string]struct {
		send   func(t *testing.T) (int, string)
		status int
	}{
		"no signature":      {func(t *testing.T) (int, string) { return r.post(t, http.Header{}, `{}`) }, 400},
		"another signature": {func(t *testing.T) (int, string) { return r.post(t, wrong, `{"type":"user.deleted"}`) }, 400},
		"too large":         {func(t *testing.T) (int, string) { return r.send(t, "msg_2", strings.Repeat(" ", 256<<10+1)) }, 413},
		"not JSON":          {func(t *testing.T) (int, string) { return r.send(t, "msg_3", `type=user.deleted`) }, 400},
		"no type":           {func(t *testing.T) (int, string) { return r.send(t, "msg_4", `{}`) }, 400},
		"no data":           {func(t *testing.T) (int, string) { return r.send(t, "msg_5", `{"type":"user.deleted"}`) }, 400},
		"a path for a user": {func(t *testing.T) (int, string) {
			return r.send(t, "msg_6", `{"type":"user.deleted","data":{"id":"user_x/../../organizations"}}`)
		}, 400},
		"a query for an organization": {func(t *testing.T) (int, string) {
			return r.send(t, "msg_7", `{"type":"organization.deleted","data":{"id":"org_x?a=b"}}`)
		}, 400},
		"a membership of nobody": {func(t *testing.T) (int, string) {
			return r.send(t, "msg_8", `{"type":"organizationMembership.deleted","data":{"organization":{"id":"org_x"}}}`)
		}, 400},
		"a session of nobody": {func(t *testing.T) (int, string) {
			return r.send(t, "msg_9", `{"type":"session.revoked","data":{"id":"sess_x","updated_at":1}}`)
		}, 400},
	} {
		status, answer := row.send(t)
		var body map[string]string
		if err := json.Unmarshal([]byte(answer), &body); err != nil || status != row.status || body["error"] != "invalid_request" || body["error_description"] == "" {
			t.Errorf("%s: got %d %s, want %d invalid_request", name, status, answer, row.status)
		}
	}
	if got := r.asked.Load(); got != asked {
		t.Errorf("Clerk was asked %d times", got-asked)
	}
	command(t, r.dev, "fail", `{"status":500,"count":1000}`)
	status, answer := r.send(t, "msg_10", fmt.Sprintf(`{"type":"user.updated","data":{"id":%q,"first_name":"topsecret"}}`, clerkdev.BobID))
	if status != http.StatusServiceUnavailable || !strings.Contains(answer, `"temporarily_unavailable"`) {
		t.Errorf("Clerk is away: got %d %s, want 503", status, answer)
	}
	r.wantEnded(t, nil, "")
	if log := r.log.String(); strings.Contains(log, "topsecret") || strings.Contains(log, strings.TrimPrefix(webhookSecret, "whsec_")) {
		t.Errorf("a body or the secret is in the log: %s", log)
	}
}
