package clerkdev_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/npmtest"
)

// library is Clerk's own library for servers, in a running testdata/backend.mjs.
type library struct {
	t   *testing.T
	in  *json.Encoder
	out *json.Decoder
}

// understood is what the library made of an answer.
type understood struct {
	Value   any      `json:"value"`
	Missing []string `json:"missing"` // what its objects have room for and were not given
	Error   *thrown  `json:"error"`
}

// thrown is an error of the library's.
type thrown struct {
	Name       string `json:"name"`
	Message    string `json:"message"`
	Status     int    `json:"status"`
	Code       string `json:"code"` // of the first of Clerk's errors
	Traced     bool   `json:"traced"`
	RetryAfter int    `json:"retryAfter"`
}

func startLibrary(t *testing.T) *library {
	t.Helper()
	t.Attr("client", "@clerk/backend "+npmtest.Version(t, "@clerk/backend"))
	in, out := npmtest.Start(t, "testdata/backend.mjs")
	return &library{t: t, in: in, out: out}
}

func (l *library) do(order map[string]any) (u understood) {
	l.t.Helper()
	if err := l.in.Encode(order); err != nil {
		l.t.Fatal(err)
	}
	if err := l.out.Decode(&u); err != nil {
		l.t.Fatal(err)
	}
	return u
}

// call calls a method of the Backend API's client.
func (l *library) call(s *clerkdev.Server, key, method string, args ...any) understood {
	l.t.Helper()
	return l.do(map[string]any{"call": method, "args": args, "apiUrl": s.URL(), "secretKey": key})
}

// verify verifies a webhook, and returns why it was refused.
func (l *library) verify(hook received, secret string) (u understood, refused string) {
	l.t.Helper()
	headers := map[string]string{}
	for name := range hook.header {
		headers[name] = hook.header.Get(name)
	}
	u = l.do(map[string]any{"verify": string(hook.body), "headers": headers, "signingSecret": secret})
	if u.Error != nil {
		refused = u.Error.Message
	}
	return u, refused
}

func fromJSON(t *testing.T, text string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// TestClerksLibraryReads: what Clerk's library makes of our objects is whole.
func TestClerksLibraryReads(t *testing.T) {
	t.Parallel()
	l := startLibrary(t)
	s := start(t, func(c *clerkdev.Config) { c.Now = func() time.Time { return time.UnixMilli(1716883200123) } })
	const acme = `{
		"id": "org_2DemoAcme000000000000000001", "name": "Acme", "slug": "acme", "imageUrl": "", "hasImage": false,
		"maxAllowedMemberships": 100, "adminDeleteEnabled": true, "publicMetadata": {}, "privateMetadata": {},
		"createdBy": "", "createdAt": 1716883200123, "updatedAt": 1716883200123}`
	const alice = `{
		"id": "orgmem_2DemoAcme0000000000000000012DemoAlice00000000000000001", "role": "org:admin",
		"permissions": ["org:sys_memberships:read", "org:sys_memberships:manage", "org:sys_profile:manage", "org:sys_profile:delete"],
		"publicMetadata": {}, "privateMetadata": {}, "organization": ` + acme + `,
		"publicUserData": {"userId": "user_2DemoAlice00000000000000001", "identifier": "alice@acme.example",
			"firstName": "Alice", "lastName": "Archer", "imageUrl": "", "hasImage": false},
		"createdAt": 1716883200123, "updatedAt": 1716883200123}`
	// Clerk counts the members only where it is asked to.
	uncounted := "organization.membersCount"
	for name, test := range map[string]struct {
		method  string
		arg     any
		want    string
		missing []string
	}{
		"a person": {method: "users.getUser", arg: clerkdev.AliceID, want: `{
			"id": "user_2DemoAlice00000000000000001", "username": null, "firstName": "Alice", "lastName": "Archer",
			"imageUrl": "", "hasImage": false, "externalId": null, "locale": null, "timezone": null,
			"primaryEmailAddressId": "idn_2DemoAlice00000000000000001", "primaryPhoneNumberId": null, "primaryWeb3WalletId": null,
			"emailAddresses": [{"id": "idn_2DemoAlice00000000000000001", "emailAddress": "alice@acme.example", "linkedTo": [],
				"verification": {"status": "verified", "strategy": "email_code", "attempts": 1, "expireAt": 1716883200123,
					"externalVerificationRedirectURL": null, "nonce": null, "message": null}}],
			"phoneNumbers": [], "web3Wallets": [], "externalAccounts": [], "enterpriseAccounts": [],
			"passwordEnabled": false, "twoFactorEnabled": false, "totpEnabled": false, "backupCodeEnabled": false,
			"banned": false, "locked": false, "deprovisioned": false,
			"createOrganizationEnabled": true, "createOrganizationsLimit": null, "deleteSelfEnabled": true,
			"publicMetadata": {}, "privateMetadata": {}, "unsafeMetadata": {},
			"lastSignInAt": null, "lastActiveAt": null, "legalAcceptedAt": null,
			"createdAt": 1716883200123, "updatedAt": 1716883200123}`},
		"an organization": {method: "organizations.getOrganization", arg: map[string]any{"organizationId": clerkdev.AcmeID},
			want: acme, missing: []string{"membersCount"}},
		"the organizations of a person": {method: "users.getOrganizationMembershipList",
			arg:  map[string]any{"userId": clerkdev.AliceID, "limit": 1},
			want: `{"data": [` + alice + `], "totalCount": 2}`, missing: []string{"data[]." + uncounted}},
		"members of an organization, by person and role": {method: "organizations.getOrganizationMembershipList",
			arg:  map[string]any{"organizationId": clerkdev.AcmeID, "userId": []string{clerkdev.BobID, clerkdev.AliceID}, "role": []string{"org:admin"}},
			want: `{"data": [` + alice + `], "totalCount": 1}`, missing: []string{"data[]." + uncounted}},
		"nobody of an organization": {method: "organizations.getOrganizationMembershipList",
			arg:  map[string]any{"organizationId": clerkdev.AcmeID, "userId": []string{clerkdev.CarolID}},
			want: `{"data": [], "totalCount": 0}`},
	} {
		got := l.call(s, secretKey, test.method, test.arg)
		if got.Error != nil {
			t.Errorf("%s: %+v", name, *got.Error)
			continue
		}
		if diff := cmp.Diff(fromJSON(t, test.want), got.Value); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(got.Missing)+len(test.missing) > 0 && !cmp.Equal(got.Missing, test.missing) {
			t.Errorf("%s: of its members %q are missing, want %q", name, got.Missing, test.missing)
		}
	}
}

func TestClerksLibraryPages(t *testing.T) {
	t.Parallel()
	l := startLibrary(t)
	const many = 12
	s := start(t, func(c *clerkdev.Config) {
		c.Directory = clerkdev.Demo()
		for i := range many {
			id := fmt.Sprintf("org_2Many%023d", i)
			c.Directory.Organizations = append(c.Directory.Organizations, clerkdev.Organization{ID: id, Slug: fmt.Sprintf("many-%d", i), Name: "Many"})
			c.Directory.Members = append(c.Directory.Members, clerkdev.Member{OrganizationID: id, UserID: clerkdev.DaveID, Role: clerkdev.RoleMember})
		}
	})
	seen := map[any]bool{}
	for offset := 0; offset < many; offset += 5 {
		got := l.call(s, secretKey, "users.getOrganizationMembershipList", map[string]any{"userId": clerkdev.DaveID, "limit": 5, "offset": offset})
		if got.Error != nil {
			t.Fatalf("%+v", *got.Error)
		}
		page := got.Value.(map[string]any)
		data := page["data"].([]any)
		if want := min(5, many-offset); len(data) != want || page["totalCount"] != float64(many) {
			t.Errorf("from %d: %d of %v, want %d of %d", offset, len(data), page["totalCount"], want, many)
		}
		for _, one := range data {
			seen[one.(map[string]any)["organization"].(map[string]any)["slug"]] = true
		}
	}
	if len(seen) != many {
		t.Errorf("%d organizations were seen, want %d", len(seen), many)
	}
}

// TestClerksLibraryThrows what it throws for Clerk's own refusals, and so with a
// code and a trace.
func TestClerksLibraryThrows(t *testing.T) {
	t.Parallel()
	l := startLibrary(t)
	s := start(t, nil)
	for _, test := range []struct {
		name        string
		fail        string // told to the control first
		key, method string
		arg         any
		want        thrown
	}{
		{name: "an unknown person", method: "users.getUser", arg: "user_nobody", want: thrown{Status: 404, Code: "resource_not_found"}},
		{name: "an unknown organization", method: "organizations.getOrganization", arg: map[string]any{"organizationId": "org_none"},
			want: thrown{Status: 404, Code: "resource_not_found"}},
		{name: "memberships of nobody", method: "users.getOrganizationMembershipList", arg: map[string]any{"userId": "user_nobody"},
			want: thrown{Status: 404, Code: "resource_not_found"}},
		{name: "too large a page", method: "users.getOrganizationMembershipList", arg: map[string]any{"userId": clerkdev.AliceID, "limit": 501},
			want: thrown{Status: 422, Code: "form_param_value_invalid"}},
		{name: "another instance's secret", key: "sk_test_other", method: "users.getUser", arg: clerkdev.AliceID,
			want: thrown{Status: 401, Code: "clerk_key_invalid"}},
		{name: "too many requests", fail: `{"status":429,"count":1,"retry_after":7}`, method: "users.getUser", arg: clerkdev.AliceID,
			want: thrown{Status: 429, Code: "injected_failure", RetryAfter: 7}},
		{name: "an outage", fail: `{"status":503,"count":1}`, method: "users.getUser", arg: clerkdev.AliceID,
			want: thrown{Status: 503, Code: "injected_failure"}},
		{name: "after it", method: "users.getUser", arg: "user_nobody", want: thrown{Status: 404, Code: "resource_not_found"}},
		{name: "what the product does not read", method: "users.getUserList", arg: map[string]any{"limit": 10},
			want: thrown{Status: 404, Code: "resource_not_found"}},
	} {
		if test.fail != "" {
			mustDo(t, s, "fail", test.fail)
		}
		key := secretKey
		if test.key != "" {
			key = test.key
		}
		got := l.call(s, key, test.method, test.arg)
		if got.Error == nil {
			t.Errorf("%s: got %v, want an error", test.name, got.Value)
			continue
		}
		test.want.Name, test.want.Message, test.want.Traced = "ClerkAPIResponseError", got.Error.Message, true
		if diff := cmp.Diff(test.want, *got.Error); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestClerksLibraryVerifiesWebhooks that we sent, and refuses them where anything
// that is signed is changed.
func TestClerksLibraryVerifiesWebhooks(t *testing.T) {
	t.Parallel()
	l := startLibrary(t)
	hookURL, webhooks := receiver(t, http.StatusOK)
	now := &clock{now: time.Now()}
	s := start(t, func(c *clerkdev.Config) {
		c.WebhookURL, c.WebhookSecret, c.Now = hookURL, webhookSecret, now.Now
	})
	for _, step := range []struct{ action, command, event, object, id string }{
		{"ban", `{"user":"bob@acme.example"}`, "user.updated", "user", clerkdev.BobID},
		{"role", `{"user":"alice@acme.example","organization":"acme","role":"org:member"}`, "organizationMembership.updated", "organization_membership", ""},
		{"remove", `{"user":"alice@acme.example","organization":"acme"}`, "organizationMembership.deleted", "organization_membership", ""},
		{"add", `{"user":"alice@acme.example","organization":"acme"}`, "organizationMembership.created", "organization_membership", ""},
		{"delete-organization", `{"organization":"globex"}`, "organization.deleted", "organization", clerkdev.GlobexID},
		{"revoke-sessions", `{"user":"alice@acme.example"}`, "session.revoked", "session", ""},
		{"delete-user", `{"user":"carol@globex.example"}`, "user.deleted", "user", clerkdev.CarolID},
	} {
		mustDo(t, s, step.action, step.command)
		hook := <-webhooks
		got, refused := l.verify(hook, webhookSecret)
		if refused != "" {
			t.Errorf("%s: %s", step.event, refused)
			continue
		}
		if diff := cmp.Diff(fromJSON(t, string(hook.body)), got.Value); diff != "" || len(got.Missing) > 0 {
			t.Errorf("%s: missing %q (-sent +understood):\n%s", step.event, got.Missing, diff)
		}
		event := got.Value.(map[string]any)
		data, _ := event["data"].(map[string]any)
		if event["type"] != step.event || data["object"] != step.object || step.id != "" && data["id"] != step.id {
			t.Errorf("%s: got %v of %v %v", step.event, event["type"], data["object"], data["id"])
		}
		if step.event == "session.revoked" {
			read := l.call(s, secretKey, "sessions.getSession", data["id"])
			if session, _ := read.Value.(map[string]any); session["status"] != "revoked" || session["userId"] != clerkdev.AliceID {
				t.Errorf("the session that ended is read as %+v", read)
			}
		}
	}

	send := func() received {
		t.Helper()
		mustDo(t, s, "ban", `{"user":"alice@acme.example"}`)
		return <-webhooks
	}
	for name, test := range map[string]struct {
		age    time.Duration
		change func(*received)
		secret string
		want   string // in the refusal; empty: none
	}{
		"untouched":        {},
		"four minutes old": {age: 4 * time.Minute},
		"six minutes old":  {age: 6 * time.Minute, want: "too old"},
		"of the future":    {age: -6 * time.Minute, want: "too new"},
		"another body": {change: func(r *received) {
			r.body = []byte(strings.Replace(string(r.body), `"banned":true`, `"banned":false`, 1))
		}, want: "No matching signature"},
		"another id":          {change: func(r *received) { r.header.Set("svix-id", "msg_other") }, want: "No matching signature"},
		"another time":        {change: func(r *received) { r.header.Set("svix-timestamp", fmt.Sprint(time.Now().Unix()+1)) }, want: "No matching signature"},
		"no signature":        {change: func(r *received) { r.header.Del("svix-signature") }, want: "svix-signature"},
		"by another endpoint": {secret: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", want: "No matching signature"},
	} {
		now.now = time.Now().Add(-test.age)
		hook := send()
		if test.change != nil {
			test.change(&hook)
		}
		secret := webhookSecret
		if test.secret != "" {
			secret = test.secret
		}
		if _, refused := l.verify(hook, secret); (refused == "") != (test.want == "") || !strings.Contains(refused, test.want) {
			t.Errorf("%s: refused with %q, want %q", name, refused, test.want)
		}
	}
}
