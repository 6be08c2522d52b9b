package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"scaling.cloud/mcp/authz"
	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/store/storetest"
)

// said is what a command wrote, and how it ended.
type said struct {
	out, log string
	err      error
}

// operate runs a command as an operator would.
func operate(t *testing.T, args ...string) said {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), args, &stdout, &stderr)
	return said{stdout.String(), stderr.String(), err}
}

// good is operate for a command that must succeed.
func good(t *testing.T, args ...string) string {
	t.Helper()
	s := operate(t, args...)
	if s.err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args[:2], " "), s.err, s.log)
	}
	return s.out
}

// refused is operate for a command that must end with exit status 1 and a
// sentence that has want in it.
func refused(t *testing.T, want string, args ...string) said {
	t.Helper()
	s := operate(t, args...)
	if s.err == nil || !strings.Contains(s.err.Error(), want) {
		t.Errorf("%s: error is %v, want one that says %q", strings.Join(args[:2], " "), s.err, want)
	}
	return s
}

// parsed is good for a command with --json.
func parsed[T any](t *testing.T, args ...string) T {
	t.Helper()
	var v T
	if out := good(t, append(args, "--json")...); json.Unmarshal([]byte(out), &v) != nil {
		t.Fatalf("%s: not JSON: %s", strings.Join(args[:2], " "), out)
	}
	return v
}

func newMasterKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// keyStates returns the signing keys by state.
func keyStates(keys []listedKey) map[string][]string {
	states := map[string][]string{}
	for _, k := range keys {
		states[string(k.State)] = append(states[string(k.State)], k.KID)
	}
	return states
}

func TestOperatorRotatesAndRetiresSigningKeys(t *testing.T) {
	t.Parallel()
	database := []string{"--database-url", storetest.OpenURL(t)}
	with := append(database, "--master-key", newMasterKey())
	command := func(args ...string) []string { return append(args, with...) }
	list := func() map[string][]string { return keyStates(parsed[[]listedKey](t, command("keys", "list")...)) }

	before := list()
	if len(before["active"]) != 1 || len(before["next"]) != 1 || len(before) != 2 {
		t.Fatalf("at first there are %v, want an active and a next key", before)
	}
	refused(t, "Try again in 5m", command("keys", "rotate")...)
	refused(t, "rotate first", append([]string{"keys", "retire", before["active"][0]}, database...)...)
	refused(t, "rotate first", append([]string{"keys", "retire", before["next"][0]}, database...)...)
	if diff := cmp.Diff(before, list()); diff != "" {
		t.Errorf("refusals changed the keys (-before +after):\n%s", diff)
	}
	if out := good(t, command("keys", "rotate", "--force")...); !strings.Contains(out, before["next"][0]) {
		t.Errorf("rotate says %q, want the key that signs now", out)
	}
	after := list()
	if diff := cmp.Diff(before["next"], after["active"]); diff != "" {
		t.Errorf("the active key (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before["active"], after["retired"]); diff != "" {
		t.Errorf("the retired key (-want +got):\n%s", diff)
	}
	table := good(t, command("keys", "list")...)
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 4 || !strings.HasPrefix(lines[1], after["active"][0]+"  active ") {
		t.Errorf("the list is\n%s", table)
	}
	good(t, append([]string{"keys", "retire", after["retired"][0]}, database...)...)
	if left := list()["retired"]; left != nil {
		t.Errorf("%v is left", left)
	}
	refused(t, "no signing key", append([]string{"keys", "retire", after["retired"][0]}, database...)...)
}

func TestOperatorChangesTheMasterKey(t *testing.T) {
	t.Parallel()
	database := storetest.OpenURL(t)
	old, next := newMasterKey(), newMasterKey()
	list := func(args ...string) []string {
		return append([]string{"keys", "list", "--database-url", database}, args...)
	}
	before := parsed[[]listedKey](t, list("--master-key", old)...)
	if err := refused(t, "another SCALING_MASTER_KEY", list("--master-key", next)...).err; !errors.Is(err, authz.ErrMasterKey) {
		t.Errorf("error is %v, want ErrMasterKey", err)
	}
	if out := good(t, list("--master-key", next, "--master-key-previous", old)...); !strings.Contains(out, "SCALING_MASTER_KEY_PREVIOUS is not needed") {
		t.Errorf("the list does not say that the key before can go:\n%s", out)
	}
	if diff := cmp.Diff(before, parsed[[]listedKey](t, list("--master-key", next)...)); diff != "" {
		t.Errorf("signing keys (-before +after):\n%s", diff)
	}
	refused(t, "another SCALING_MASTER_KEY", list("--master-key", old)...)
	s := refused(t, "32", list("--master-key", "c2hvcnQ=")...)
	if strings.Contains(s.out+s.log+s.err.Error(), "c2hvcnQ=") {
		t.Error("a master key is printed")
	}
}

// introspect asks a server about a token, and returns the status and the answer.
func (s *system) introspect(t *testing.T, id, secret, token string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/oauth/introspect", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// TestBreakGlass is an operator's bad day on a running server: who asks about
// tokens, keys that were stolen, and connections that must end.
func TestBreakGlass(t *testing.T) {
	t.Parallel()
	database, redis, master := storetest.OpenURL(t), storetest.StartRedis(t), newMasterKey()
	s := startDev(t, "--database-url", database, "--redis-url", redis.URL, "--master-key", master)
	with := func(args ...string) []string { return append(args, "--database-url", database) }
	alice, bob := newPerson(t, "alice@acme.example"), newPerson(t, "bob@acme.example")
	victim := s.connect(alice, "Victim", clerkdev.AcmeID).token().AccessToken
	bystander := s.connect(bob, "Bystander", clerkdev.AcmeID).token().AccessToken

	// A resource server asks, until it is removed.
	added := good(t, with("resource-servers", "add", "Gateway")...)
	credentials := regexp.MustCompile(`id +(\S+)\nsecret +(\S+)\n`).FindStringSubmatch(added)
	if credentials == nil {
		t.Fatalf("add says %q", added)
	}
	id, secret := credentials[1], credentials[2]
	if list := good(t, with("resource-servers", "list")...); !strings.Contains(list, id) || !strings.Contains(list, "Gateway") || strings.Contains(list, secret) {
		t.Errorf("the list is\n%s\nwant the id and the name, and no secret", list)
	}
	if status, answer := s.introspect(t, id, secret, victim); status != http.StatusOK || answer["active"] != true || answer["org"] != clerkdev.AcmeID {
		t.Errorf("introspection: %d %v, want the live token", status, answer)
	}

	// A key was stolen: tokens of old and new keys work side by side.
	for range 2 {
		good(t, with("keys", "rotate", "--force", "--master-key", master)...)
	}
	if got := s.status(t, victim).StatusCode; got != http.StatusOK {
		t.Errorf("a token of the key before: %d, want 200", got)
	}

	// Connections end: not before the operator is sure, then all that fit.
	if list := good(t, with("connections", "list", "--user", "alice@acme.example")...); !strings.Contains(list, "Victim") || strings.Contains(list, "Bystander") {
		t.Errorf("the list is\n%s\nwant Alice's connection", list)
	}
	type connection struct {
		ID, State, UserEmail string
	}
	revoke := with("connections", "revoke", "--redis-url", redis.URL)
	refused(t, "say which", revoke...)
	refused(t, "not both", append(revoke, "--org", "acme", "5f9c5e0c-6bb1-4b0f-a2f5-2d8d6c1a2f3e")...)
	refused(t, "no live connection", append(revoke, "5f9c5e0c-6bb1-4b0f-a2f5-2d8d6c1a2f3e")...)
	refused(t, "no live connection", append(revoke, "--org", "nobody", "--yes")...)
	if preview := refused(t, "--yes", append(revoke, "--user", "alice@acme.example")...); !strings.Contains(preview.out, "alice@acme.example") {
		t.Errorf("without --yes it shows %q, want what would be revoked", preview.out)
	}
	if got := s.status(t, victim).StatusCode; got != http.StatusOK {
		t.Fatalf("before: %d, want 200", got)
	}
	done := operate(t, append(revoke, "--user", "alice@acme.example", "--yes", "--json")...)
	if got := s.status(t, victim).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("at the next request: %d, want 401", got)
	}
	if _, answer := s.introspect(t, id, secret, victim); !cmp.Equal(answer, map[string]any{"active": false}) {
		t.Errorf("introspection: %v, want inactive and no more", answer)
	}
	var ended []connection
	if err := json.Unmarshal([]byte(done.out), &ended); done.err != nil || err != nil || len(ended) != 1 || ended[0].State != "revoked: operator" || !strings.Contains(done.log, "next requests are refused") {
		t.Errorf("revoke says %q and %q (%v)", done.out, done.log, done.err)
	}
	if got := s.status(t, bystander).StatusCode; got != http.StatusOK {
		t.Errorf("somebody else: %d, want 200", got)
	}
	if live := parsed[[]connection](t, with("connections", "list")...); len(live) != 1 || live[0].UserEmail != "bob@acme.example" {
		t.Errorf("live are %v, want Bob's", live)
	}
	if all := parsed[[]connection](t, with("connections", "list", "--all")...); len(all) != 2 {
		t.Errorf("all are %v, want Bob's and the revoked one", all)
	}

	// Redis is gone: it is said that the end may take a moment.
	redis.Stop()
	live := parsed[[]connection](t, with("connections", "list")...)
	done = operate(t, append(revoke, live[0].ID)...)
	if done.err != nil || !strings.Contains(done.log, "within a minute") {
		t.Errorf("without Redis: %q, %v, want that it ends within a minute", done.log, done.err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for s.status(t, bystander).StatusCode != http.StatusUnauthorized {
		if time.Now().After(deadline) {
			t.Fatal("the connection that was revoked without Redis goes on")
		}
	}
	redis.Start()

	good(t, with("resource-servers", "remove", id)...)
	refused(t, "no resource server", with("resource-servers", "remove", id)...)
	if status, answer := s.introspect(t, id, secret, bystander); status != http.StatusUnauthorized || answer["error"] != "invalid_client" {
		t.Errorf("after its removal: %d %v, want 401 invalid_client", status, answer)
	}
}

func TestTableCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := writeTable(&b, []string{"A", "B"}, [][]string{{"x\ty\n", "\x1b[2J\u202e"}}); err != nil {
		t.Fatal(err)
	}
	if want := "A             B\nx\\u{9}y\\u{a}  \\u{1b}[2J\\u{202e}\n"; b.String() != want {
		t.Errorf("the table is %q, want %q", b.String(), want)
	}
}

func TestOperatorCommandsWantACurrentSchema(t *testing.T) {
	t.Parallel()
	database := storetest.OpenURL(t)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"keys", "list"}, {"resource-servers", "list"}, {"connections", "list"}} {
		args := append(command, "--database-url", database)
		if command[0] == "keys" {
			args = append(args, "--master-key", newMasterKey())
		}
		refused(t, "run scaling-mcp migrate", args...)
	}
}
