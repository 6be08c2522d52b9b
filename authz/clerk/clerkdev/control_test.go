package clerkdev_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/clerk/clerk-sdk-go/v2/session"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
)

// received is a webhook as its receiver sees it.
type received struct {
	header http.Header
	body   []byte
}

// receiver takes webhooks and answers with status.
func receiver(t *testing.T, status int) (url string, webhooks <-chan received) {
	c := make(chan received, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		c <- received{r.Header, body}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL, c
}

func TestEveryChangeIsSeenByTheBackendAndSentAsClerkSendsIt(t *testing.T) {
	t.Parallel()
	hookURL, webhooks := receiver(t, http.StatusOK)
	s := start(t, func(c *clerkdev.Config) { c.WebhookURL, c.WebhookSecret = hookURL, webhookSecret })
	users := user.NewClient(sdk(s, secretKey))
	memberships := func(id string) map[string]string {
		list, err := users.ListOrganizationMemberships(t.Context(), id, &user.ListOrganizationMembershipsParams{})
		if err != nil {
			t.Fatal(err)
		}
		roles := map[string]string{}
		for _, m := range list.OrganizationMemberships {
			roles[m.Organization.Slug] = m.Role
		}
		return roles
	}
	banned := func(want bool) func() {
		return func() {
			t.Helper()
			bob, err := users.Get(t.Context(), clerkdev.BobID)
			if err != nil {
				t.Fatal(err)
			}
			if bob.Banned != want {
				t.Errorf("banned: got %v, want %v", bob.Banned, want)
			}
		}
	}
	roles := func(id string, want map[string]string) func() {
		return func() {
			t.Helper()
			if diff := cmp.Diff(want, memberships(id)); diff != "" {
				t.Errorf("memberships (-want +got):\n%s", diff)
			}
		}
	}
	sessionID := "" // of the last one that was revoked
	for _, step := range []struct {
		action, body string
		event        string
		subject      string // a path into data and the value there
		check        func()
	}{
		{"ban", `{"user":"bob@acme.example"}`, "user.updated", "id=" + clerkdev.BobID, banned(true)},
		{"unban", `{"user":"bob@acme.example"}`, "user.updated", "id=" + clerkdev.BobID, banned(false)},
		{"role", `{"user":"bob@acme.example","organization":"acme","role":"org:admin"}`, "organizationMembership.updated", "role=org:admin",
			roles(clerkdev.BobID, map[string]string{"acme": "org:admin"})},
		{"add", `{"user":"bob@acme.example","organization":"globex"}`, "organizationMembership.created", "organization.id=" + clerkdev.GlobexID,
			roles(clerkdev.BobID, map[string]string{"acme": "org:admin", "globex": "org:member"})},
		{"remove", `{"user":"bob@acme.example","organization":"acme"}`, "organizationMembership.deleted", "public_user_data.user_id=" + clerkdev.BobID,
			roles(clerkdev.BobID, map[string]string{"globex": "org:member"})},
		{"revoke-sessions", `{"user":"bob@acme.example"}`, "session.revoked", "user_id=" + clerkdev.BobID, func() {
			revoked, err := session.NewClient(sdk(s, secretKey)).Get(t.Context(), sessionID)
			if err != nil {
				t.Fatal(err)
			}
			if revoked.Status != "revoked" || revoked.UserID != clerkdev.BobID || revoked.UpdatedAt == 0 {
				t.Errorf("session: got %s of %s, want revoked, of bob", revoked.Status, revoked.UserID)
			}
		}},
		{"delete-organization", `{"organization":"globex"}`, "organization.deleted", "id=" + clerkdev.GlobexID,
			roles(clerkdev.BobID, map[string]string{})},
		{"delete-user", `{"user":"bob@acme.example"}`, "user.deleted", "id=" + clerkdev.BobID, func() {
			if _, err := users.Get(t.Context(), clerkdev.BobID); statusOf(err) != http.StatusNotFound {
				t.Errorf("deleted user: got %v, want 404", err)
			}
		}},
	} {
		mustDo(t, s, step.action, step.body)
		// The control API answers after the receiver: nothing to wait for.
		select {
		case got := <-webhooks:
			if id := checkEvent(t, got, step.event, step.subject); step.action == "revoke-sessions" {
				sessionID = id
			}
		default:
			t.Errorf("%s: no webhook was sent", step.action)
		}
		step.check()
	}
}

// checkEvent returns the id of what the webhook is about.
func checkEvent(t *testing.T, got received, kind, subject string) string {
	t.Helper()
	var e struct {
		Object     string         `json:"object"`
		Type       string         `json:"type"`
		InstanceID string         `json:"instance_id"`
		Data       map[string]any `json:"data"`
	}
	if err := json.Unmarshal(got.body, &e); err != nil {
		t.Fatal(err)
	}
	if e.Object != "event" || e.Type != kind || e.InstanceID != clerkdev.InstanceID {
		t.Errorf("got %s %s of %s, want event %s", e.Object, e.Type, e.InstanceID, kind)
	}
	path, want, _ := strings.Cut(subject, "=")
	var at any = e.Data
	for name := range strings.SplitSeq(path, ".") {
		object, _ := at.(map[string]any)
		at = object[name]
	}
	if at != want {
		t.Errorf("%s: data.%s: got %v, want %s", kind, path, at, want)
	}
	if got.header.Get("svix-id") == "" || !strings.HasPrefix(got.header.Get("svix-signature"), "v1,") {
		t.Errorf("%s: not signed: %v", kind, got.header)
	}
	id, _ := e.Data["id"].(string)
	return id
}

func TestWebhookIsLeftOutOnRequest(t *testing.T) {
	t.Parallel()
	hookURL, webhooks := receiver(t, http.StatusOK)
	s := start(t, func(c *clerkdev.Config) { c.WebhookURL, c.WebhookSecret = hookURL, webhookSecret })
	mustDo(t, s, "ban", `{"user":"bob@acme.example","webhook":false}`)
	if len(webhooks) != 0 {
		t.Error("a webhook was sent")
	}
}

func TestFailedDeliveryIsReportedAndTheChangeStands(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"refused": http.StatusUnauthorized, "redirected": http.StatusFound} {
		t.Run(name, func(t *testing.T) {
			hookURL, _ := receiver(t, status)
			s := start(t, func(c *clerkdev.Config) { c.WebhookURL, c.WebhookSecret = hookURL, webhookSecret })
			_, text := do(t, s, "ban", `{"user":"bob@acme.example"}`)
			var answer struct {
				OK       bool `json:"ok"`
				Webhooks []struct {
					Status int    `json:"status"`
					Error  string `json:"error"`
				} `json:"webhooks"`
			}
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatal(err)
			}
			if !answer.OK || len(answer.Webhooks) != 1 || answer.Webhooks[0].Status != status || answer.Webhooks[0].Error == "" {
				t.Errorf("got %s, want ok and one failed delivery with %d", text, status)
			}
		})
	}
}

func TestControlRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, test := range []struct {
		action, body string
		status       int
		want         string
	}{
		{"ban", `{"user":"nobody@acme.example"}`, 422, "nobody@acme.example"},
		{"ban", `{}`, 422, "user"},
		{"ban", `{"usr":"bob@acme.example"}`, 400, "usr"},
		{"ban", `{"user":"bob@acme.example"`, 400, "JSON"},
		{"ban", `"bob@acme.example";`, 400, "JSON"},
		{"fail", `status=503&count=many`, 400, "count"},
		{"role", `{"user":"bob@acme.example","organization":"acme","role":"admin"}`, 422, "org:admin"},
		{"role", `{"user":"bob@acme.example","organization":"globex","role":"org:admin"}`, 422, "not a member"},
		{"remove", `{"user":"bob@acme.example","organization":"nowhere"}`, 422, "nowhere"},
		{"add", `{"user":"bob@acme.example","organization":"acme"}`, 422, "already"},
		{"delete-everything", `{}`, 404, "delete-user"},
	} {
		status, text := do(t, s, test.action, test.body)
		if status != test.status || !strings.Contains(text, test.want) {
			t.Errorf("/dev/%s %s: got %d %s, want %d naming %q", test.action, test.body, status, text, test.status, test.want)
		}
	}
}

func TestControlPageDoesWhatItsButtonsSay(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	page := func() *goquery.Document {
		response, err := http.Get(s.URL() + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		document, err := goquery.NewDocumentFromReader(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return document
	}
	bob := page().Find("section[aria-label='bob@acme.example']")
	action, _ := bob.Find("button:contains(Ban)").Attr("formaction")
	response, err := http.PostForm(s.URL()+action, url.Values{"user": {bob.Find("input[name=user]").AttrOr("value", "")}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.Request.URL.Path != "/dev" || response.StatusCode != http.StatusOK {
		t.Errorf("got %d at %s, want the page again", response.StatusCode, response.Request.URL)
	}
	after := page()
	if after.Find("section[aria-label='bob@acme.example'] .badge").Text() != "banned" {
		t.Error("the page does not say that bob is banned")
	}
	if got := after.Find(".history li").Text(); !strings.Contains(got, "ban bob@acme.example") {
		t.Errorf("history: got %q", got)
	}
}
