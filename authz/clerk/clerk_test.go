package clerk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"scaling.cloud/mcp/authz/clerk"
	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store"
)

const secretKey = "sk_test_dev"

// startDev runs a development Clerk until the end of the test.
func startDev(t *testing.T, change func(*clerkdev.Config)) *clerkdev.Server {
	t.Helper()
	c := clerkdev.Config{
		Listen:       "127.0.0.1:0",
		ClientID:     "client_dev",
		ClientSecret: "secret",
		SecretKey:    secretKey,
		RedirectURIs: []string{"http://localhost:8080/sign-in/callback"},
	}
	if change != nil {
		change(&c)
	}
	s, err := clerkdev.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// command sends a control command to the development Clerk.
func command(t *testing.T, s *clerkdev.Server, action, body string) {
	t.Helper()
	response, err := http.Post(s.URL()+"/dev/"+action, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("/dev/%s %s: got %s", action, body, response.Status)
	}
}

func newClient(url string) *clerk.Client {
	return clerk.New(clerk.Config{APIURL: url, SecretKey: secretKey})
}

func TestUserIsWhatClerkSays(t *testing.T) {
	t.Parallel()
	id := func(n int) string { return fmt.Sprintf("user_2Test%022d", n) }
	dev := startDev(t, func(c *clerkdev.Config) {
		c.Directory.People = []clerkdev.Person{
			{ID: id(1), Email: "ada@acme.example", FirstName: "Ada", LastName: "Byron"},
			{ID: id(2), Email: "ada@acme.example", FirstName: "Ada"},
			{ID: id(3), Email: "ada@acme.example", LastName: " Byron "},
			{ID: id(4), Email: "ada@acme.example", EmailUnverified: true},
			{ID: id(5), Email: "ada@acme.example", FirstName: "Ada", Banned: true},
			{ID: id(6), Email: "ada@acme.example", FirstName: "Ada", Deprovisioned: true},
		}
	})
	client := newClient(dev.URL())
	for n, want := range map[int]store.User{
		1: {Name: "Ada Byron", EmailVerified: true},
		2: {Name: "Ada", EmailVerified: true},
		3: {Name: "Byron", EmailVerified: true},
		4: {Name: "ada@acme.example"},
		5: {Name: "Ada", EmailVerified: true, Banned: true},
		6: {Name: "Ada", EmailVerified: true, Banned: true},
	} {
		want.ID, want.Email = id(n), "ada@acme.example"
		got, err := client.User(t.Context(), id(n))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("user %d (-want +got):\n%s", n, diff)
		}
	}
}

func TestMembershipsAreSortedByOrganization(t *testing.T) {
	t.Parallel()
	dev := startDev(t, func(c *clerkdev.Config) {
		c.Directory = clerkdev.Demo()
		c.Directory.Organizations = append(c.Directory.Organizations,
			clerkdev.Organization{ID: "org_2Zeta", Slug: "zeta", Name: "aardvark"},
			clerkdev.Organization{ID: "org_2NoSlug", Name: "Beta"})
		c.Directory.Members = append(c.Directory.Members,
			clerkdev.Member{OrganizationID: "org_2Zeta", UserID: clerkdev.AliceID, Role: "org:billing"},
			clerkdev.Member{OrganizationID: "org_2NoSlug", UserID: clerkdev.AliceID, Role: clerkdev.RoleMember})
	})
	got, err := newClient(dev.URL()).Memberships(t.Context(), clerkdev.AliceID)
	if err != nil {
		t.Fatal(err)
	}
	want := []store.Membership{
		{Organization: store.Organization{ID: "org_2Zeta", Slug: "zeta", Name: "aardvark"}, Role: "org:billing"},
		{Organization: store.Organization{ID: clerkdev.AcmeID, Slug: "acme", Name: "Acme"}, Role: store.RoleAdmin},
		{Organization: store.Organization{ID: "org_2NoSlug", Slug: "org_2NoSlug", Name: "Beta"}, Role: store.RoleMember},
		{Organization: store.Organization{ID: clerkdev.GlobexID, Slug: "globex", Name: "Globex"}, Role: store.RoleMember},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none, err := newClient(dev.URL()).Memberships(t.Context(), clerkdev.DaveID); err != nil || len(none) != 0 {
		t.Errorf("dave: got %v, %v, want none", none, err)
	}
}

func TestMembershipsAreReadToTheLastPageOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		count int
		want  error
	}{{100, nil}, {101, nil}, {257, nil}, {1000, nil}, {1001, clerk.ErrUnavailable}} {
		dev := startDev(t, func(c *clerkdev.Config) {
			c.Directory = clerkdev.Demo()
			for i := range test.count {
				id := fmt.Sprintf("org_2Many%04d", i)
				c.Directory.Organizations = append(c.Directory.Organizations, clerkdev.Organization{ID: id, Slug: id, Name: id})
				c.Directory.Members = append(c.Directory.Members, clerkdev.Member{OrganizationID: id, UserID: clerkdev.DaveID, Role: clerkdev.RoleMember})
			}
		})
		got, err := newClient(dev.URL()).Memberships(t.Context(), clerkdev.DaveID)
		if !errors.Is(err, test.want) {
			t.Errorf("%d memberships: got error %v, want %v", test.count, err, test.want)
		}
		if test.want == nil && len(got) != test.count {
			t.Errorf("got %d memberships, want %d", len(got), test.count)
		}
	}
}

func TestIDsThatAreNoneNeverReachClerk(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 16)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.String() }))
	defer server.Close()
	client := newClient(server.URL)
	for _, id := range []string{"", "user_", "alice", "org_2abc", "user_../organizations/org_x", "user_x?limit=1", "user_x/ban", "user_x\n", "../user_x"} {
		if _, err := client.User(t.Context(), id); !errors.Is(err, clerk.ErrNotFound) {
			t.Errorf("User(%q): got %v, want ErrNotFound", id, err)
		}
		if _, err := client.Memberships(t.Context(), id); !errors.Is(err, clerk.ErrNotFound) {
			t.Errorf("Memberships(%q): got %v, want ErrNotFound", id, err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("asked for %s", <-asked)
	}
}

func TestOutcomesOfRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"Clerk's 404":                       {404, `{"errors":[{"code":"resource_not_found"}],"clerk_trace_id":"x"}`, clerk.ErrNotFound},
		"a proxy's 404":                     {404, `<h1>Not Found</h1>`, clerk.ErrUnavailable},
		"404 for another reason":            {404, `{"errors":[{"code":"instance_not_found"}]}`, clerk.ErrUnavailable},
		"404 only in the body":              {500, `{"errors":[{"code":"resource_not_found"}],"status":404}`, clerk.ErrUnavailable},
		"404 without errors":                {404, `{"errors":[]}`, clerk.ErrUnavailable},
		"wrong secret key":                  {401, `{"errors":[{"code":"clerk_key_invalid"}]}`, clerk.ErrUnavailable},
		"not JSON":                          {200, `<html>`, clerk.ErrUnavailable},
		"cut off":                           {200, `{"id":"` + clerkdev.AliceID, clerk.ErrUnavailable},
		"empty":                             {200, ``, clerk.ErrUnavailable},
		"somebody else":                     {200, `{"id":"` + clerkdev.BobID + `"}`, clerk.ErrUnavailable},
		"deprovisioned is not a boolean":    {200, `{"id":"` + clerkdev.AliceID + `","deprovisioned":"no"}`, clerk.ErrUnavailable},
		"more than anybody's data can be":   {200, `{"x":"` + strings.Repeat("x", 5<<20) + `"}`, clerk.ErrUnavailable},
		"an unexpected but complete answer": {200, `{"id":"` + clerkdev.AliceID + `","email_addresses":null,"new":{}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}))
			defer server.Close()
			_, err := newClient(server.URL).User(t.Context(), clerkdev.AliceID)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err != nil && (len(err.Error()) > 400 || strings.Contains(err.Error(), secretKey)) {
				t.Errorf("unfit for a log: %s", err)
			}
		})
	}
}

func TestMembershipListsThatContradictThemselvesAreNotBelieved(t *testing.T) {
	t.Parallel()
	one := `{"role":"org:admin","organization":{"id":"org_2A","name":"A","slug":"a"},"public_user_data":{"user_id":"` + clerkdev.AliceID + `"}}`
	for name, body := range map[string]string{
		"fewer than promised":   `{"data":[],"total_count":2}`,
		"no organization":       `{"data":[{"role":"org:admin"}],"total_count":1}`,
		"no role":               `{"data":[` + strings.Replace(one, "org:admin", "", 1) + `],"total_count":1}`,
		"null":                  `{"data":[null],"total_count":1}`,
		"id that is a path":     `{"data":[` + strings.Replace(one, "org_2A", "org_2A/..", 1) + `],"total_count":1}`,
		"of somebody else":      `{"data":[` + strings.Replace(one, clerkdev.AliceID, clerkdev.BobID, 1) + `],"total_count":1}`,
		"array instead of list": `[` + one + `]`,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
			defer server.Close()
			if got, err := newClient(server.URL).Memberships(t.Context(), clerkdev.AliceID); !errors.Is(err, clerk.ErrUnavailable) {
				t.Errorf("got %v, %v, want ErrUnavailable", got, err)
			}
		})
	}
}

func TestShortOutageIsNotNoticedALongOneIsUnavailable(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	client := newClient(dev.URL())
	for _, status := range []int{429, 502, 503, 504} {
		command(t, dev, "fail", fmt.Sprintf(`{"status":%d,"count":2}`, status))
		if _, err := client.User(t.Context(), clerkdev.AliceID); err != nil {
			t.Errorf("two answers %d: %v", status, err)
		}
		command(t, dev, "fail", fmt.Sprintf(`{"status":%d,"count":3}`, status))
		if _, err := client.User(t.Context(), clerkdev.AliceID); !errors.Is(err, clerk.ErrUnavailable) {
			t.Errorf("three answers %d: got %v, want ErrUnavailable", status, err)
		}
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.User(t.Context(), clerkdev.AliceID); !errors.Is(err, clerk.ErrUnavailable) {
		t.Errorf("nobody listens: got %v, want ErrUnavailable", err)
	}
}

func TestRetryAfterBeyondTheDeadlineIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	command(t, dev, "fail", `{"status":429,"count":1,"retry_after":3600}`)
	started := time.Now()
	if _, err := newClient(dev.URL()).User(t.Context(), clerkdev.AliceID); !errors.Is(err, clerk.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestCallerWhoGoesAwayIsUnavailableToo(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newClient(dev.URL()).User(ctx, clerkdev.AliceID)
	if !errors.Is(err, clerk.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want ErrUnavailable because of context.Canceled", err)
	}
}
