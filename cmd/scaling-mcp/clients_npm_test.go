package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"scaling.cloud/mcp/authz/clerk/clerkdev"
	"scaling.cloud/mcp/npmtest"
	"scaling.cloud/mcp/store"
)

// TestTypeScriptSDK: the SDK that most clients are written with, by each way in
// which a client comes to an id.
func TestTypeScriptSDK(t *testing.T) {
	t.Parallel()
	t.Attr("client", "@modelcontextprotocol/sdk "+npmtest.Version(t, "@modelcontextprotocol/sdk"))
	const name = "Client with the TypeScript SDK"
	for variant, test := range map[string]struct {
		authMethod, metadataURL string
		registrations           int
		secret                  bool
	}{
		// RFC 7591 §2: client_secret_basic is meant where nothing is said.
		"RegisteredWithoutMethod": {registrations: 1, secret: true},
		"RegisteredPublic":        {authMethod: "none", registrations: 1},
		"MetadataDocument":        {metadataURL: documentURL},
	} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			s := newStory(t)
			metadata := map[string]any{"client_name": name, "redirect_uris": []string{callback}}
			if test.authMethod != "" {
				metadata["token_endpoint_auth_method"] = test.authMethod
			}
			if test.metadataURL != "" {
				storeDocument(t, s.databaseURL, name)
			}
			script := startScript(s, metadata, test.metadataURL)
			s.tell(foreign{
				name: name,
				call: func(tool string, arguments map[string]any) map[string]any {
					return script.do(map[string]any{"call": tool, "arguments": arguments})[0]
				},
				race: func(n int) {
					if got := script.do(map[string]any{"race": n, "call": "list_schedules"}); len(got) != n || got[n-1]["schedules"] == nil {
						t.Errorf("%d calls at once returned %v", n, got)
					}
				},
			}, 8)

			registrations := 0
			for _, e := range s.since(0) {
				switch e.path {
				case "/oauth/register":
					registrations++
					if got := e.tokens(t).ClientSecret != ""; got != test.secret {
						t.Errorf("the client got a secret: %v, want %v", got, test.secret)
					}
				case "/oauth/token":
					if e.basic != test.secret || e.form.Has("client_id") == test.secret || e.form.Has("client_secret") {
						t.Errorf("a token request with Basic: %v, and %v; want Basic: %v", e.basic, e.form, test.secret)
					}
				}
			}
			if registrations != test.registrations {
				t.Errorf("the client registered %d times, want %d", registrations, test.registrations)
			}
			if got := s.asked(s.since(0))[0].Get("client_id"); test.metadataURL != "" && got != test.metadataURL {
				t.Errorf("the client is %q, want %q", got, test.metadataURL)
			}
		})
	}
}

// documentURL is where a client describes itself. Documents are fetched from the
// public internet alone, so that ours is stored as if it had just been fetched.
const documentURL = "https://client.example/oauth/client.json"

func storeDocument(t *testing.T, databaseURL, name string) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	now, later := time.Now(), time.Now().Add(time.Hour)
	if _, err := store.New(pool).SaveDocument(t.Context(), store.Client{
		ID: documentURL, Kind: store.ClientDocument, AuthMethod: store.AuthMethodNone, RedirectURIs: []string{callback},
		GrantTypes: []string{store.GrantCode, store.GrantRefresh}, Name: name,
		ClientCopy: store.ClientCopy{FetchedAt: &now, FreshUntil: &later},
	}, []byte("its hash")); err != nil {
		t.Fatal(err)
	}
}

// script is a running testdata/clients/sdk.mjs.
type script struct {
	*story
	in  *json.Encoder
	out *json.Decoder
}

func startScript(s *story, metadata map[string]any, metadataURL string) *script {
	t := s.t
	t.Helper()
	described, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{s.url + "/mcp", string(described)}
	if metadataURL != "" {
		args = append(args, metadataURL)
	}
	in, out := npmtest.Start(t, "testdata/clients/sdk.mjs", args...)
	return &script{story: s, in: in, out: out}
}

// do has the script do what order says, with the help of the person, and returns
// the results of the tools.
func (s *script) do(order map[string]any) []map[string]any {
	s.t.Helper()
	if err := s.in.Encode(order); err != nil {
		s.t.Fatal(err)
	}
	for {
		var answer struct {
			Authorize string
			Results   []map[string]any
			Error     string
		}
		if err := s.out.Decode(&answer); err != nil || answer.Error != "" {
			s.t.Fatalf("%v: %v %s", order, err, answer.Error)
		}
		if answer.Authorize == "" {
			return answer.Results
		}
		if err := s.in.Encode(map[string]string{"code": s.allow(answer.Authorize).Get("code")}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestInspector: a program that is started anew for each call, and keeps its
// tokens in its home directory.
func TestInspector(t *testing.T) {
	t.Parallel()
	t.Attr("client", "MCP Inspector "+npmtest.Version(t, "@modelcontextprotocol/inspector"))
	s := newStory(t)
	i := &inspector{story: s, home: t.TempDir(), era: "legacy"}
	c := foreign{name: "MCP Inspector", call: i.call, race: i.race}
	s.tell(c, 3)
	for _, i.era = range []string{"legacy", "modern"} {
		if tools, _ := i.mustRun("--method", "tools/list")["tools"].([]any); len(tools) != 10 {
			t.Errorf("%s: %d tools are listed, want ten", i.era, len(tools))
		}
		// Only 2026-07-28 has server/discover.
		if discovered := strings.Contains(s.log.String(), "rpc_method=server/discover"); discovered != (i.era == "modern") {
			t.Errorf("%s: server/discover was called: %v", i.era, discovered)
		}
	}
	s.listed(c)
}

// inspector is the MCP Inspector on the command line.
type inspector struct {
	*story
	home string
	era  string // legacy or modern: with initialize or without
}

// call calls a tool.
func (i *inspector) call(tool string, arguments map[string]any) map[string]any {
	i.t.Helper()
	return i.mustRun(i.calling(tool, arguments)...)["structuredContent"].(map[string]any)
}

func (i *inspector) calling(tool string, arguments map[string]any) []string {
	text, err := json.Marshal(arguments)
	if err != nil {
		i.t.Fatal(err)
	}
	return []string{"--method", "tools/call", "--tool-name", tool, "--tool-args-json", string(text)}
}

// race spoils the access token that is kept, and starts n Inspectors that may not
// ask anybody.
func (i *inspector) race(n int) {
	name := filepath.Join(i.home, ".mcp-inspector", "secrets.json")
	kept, err := os.ReadFile(name)
	if err != nil {
		i.t.Fatal(err)
	}
	spoiled := keptAccessToken.ReplaceAll(kept, []byte(`${1}expired`))
	if bytes.Equal(spoiled, kept) {
		i.t.Fatal("the Inspector keeps no access token")
	}
	if err := os.WriteFile(name, spoiled, 0o600); err != nil {
		i.t.Fatal(err)
	}
	var processes sync.WaitGroup
	for range n {
		processes.Go(func() {
			if _, err := i.run(append(i.calling("list_schedules", map[string]any{}), "--stored-auth-only")...); err != nil {
				i.t.Error(err)
			}
		})
	}
	processes.Wait()
}

// keptAccessToken is in a string of JSON inside JSON.
var keptAccessToken = regexp.MustCompile(`(\\"access_token\\":\\")[^\\]+`)

// mustRun runs the Inspector and returns the result of the method.
func (i *inspector) mustRun(args ...string) map[string]any {
	i.t.Helper()
	result, err := i.run(args...)
	if err != nil {
		i.t.Fatal(err)
	}
	return result
}

// run starts the Inspector. Where it wants the person to go somewhere it says so,
// and they do. It finds no browser to open by itself.
func (i *inspector) run(args ...string) (map[string]any, error) {
	launcher := filepath.Join(npmtest.Modules(i.t), "@modelcontextprotocol/inspector/clients/launcher/build/index.js")
	command := exec.CommandContext(i.t.Context(), npmtest.Node(i.t), append([]string{launcher, "--cli", i.url + "/mcp", "--transport", "http",
		"--protocol-era", i.era, "--callback-url", "http://127.0.0.1:0/oauth/callback", "--format", "json", "--connect-timeout", "60000"}, args...)...)
	command.Env = []string{"HOME=" + i.home, "PATH=" + i.home, "MCP_AUTO_OPEN_ENABLED=true", "MCP_INSPECTOR_SECRET_STORE=file"}
	var stdout bytes.Buffer
	command.Stdout = &stdout
	stderr, err := command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	var said strings.Builder
	for lines := bufio.NewScanner(io.TeeReader(stderr, &said)); lines.Scan(); {
		if _, authorizeURL, found := strings.Cut(lines.Text(), "Please navigate to: "); found {
			// The browser goes on to the Inspector, which waits for it.
			i.alice.signIn(authorizeURL).press("Allow", func(form url.Values) { form.Set("org_id", clerkdev.AcmeID) }).says("OAuth complete")
		}
	}
	if err := command.Wait(); err != nil {
		return nil, errors.New(err.Error() + ": " + said.String())
	}
	var answer struct {
		Result map[string]any `json:"result"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil {
		return nil, errors.New(strconv.Quote(stdout.String()) + ": " + err.Error())
	}
	return answer.Result, nil
}
