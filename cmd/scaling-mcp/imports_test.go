package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "scaling.cloud/mcp"

// arrows says which other places the product code of each place may import. A
// place is a directory and all below it, except where another place begins; a
// package outside all of them may import nothing of ours. The faces (web, authz,
// resource) never import one another: what one needs of another is an interface
// that it declares itself, satisfied in cmd. They share leaves alone: resource
// verifies the access token that authz signs, authz's pages are drawn with the
// dashboard's components, and resource and web show strangers' text by one rule, and
// a notice says where a client leads as pages do.
var arrows = map[string][]string{
	"cmd": {
		"web", "web/ui",
		"authz", "authz/accesstoken", "authz/clerk/clerkdev",
		"resource", "resource/oncall",
		"store", "store/volatile", "store/pgdev", "migrations", "queue", "mail", "notice", "loopback", "visible",
	},
	"web":            {"web/ui", "store", "store/volatile", "visible"},
	"authz":          {"authz/accesstoken", "web/ui", "store", "store/volatile", "visible"},
	"resource":       {"resource/oncall", "authz/accesstoken", "store", "store/volatile", "queue", "mail", "visible", "loopback"},
	"notice":         {"web/ui", "store", "queue", "mail", "visible"},
	"store":          {},
	"store/volatile": {"store"},
	"migrations":     {},

	// Leaves: of ours they know the domain types alone.
	"web/ui":               {"store", "loopback"},
	"authz/accesstoken":    {"store"},
	"authz/clerk/clerkdev": {"store"},
	"resource/oncall":      {"store"},
	"store/pgdev":          {"store"},
	"queue":                {},
	"mail":                 {"loopback", "visible"},
	"visible":              {},
	"loopback":             {},

	"store/storetest": {"store", "store/pgdev", "migrations"},
	"mail/mailtest":   {},
	"npmtest":         {},
	"wiretest":        {},
}

// standIns are what tests may import besides. No product code may, but for cmd,
// which has the dev command.
var standIns = []string{"authz/clerk/clerkdev", "store/pgdev", "store/storetest", "mail/mailtest", "npmtest", "wiretest"}

// confined are libraries whose types must go no further than one file.
var confined = map[string]string{"github.com/ory/fosite": "authz/fosite.go"}

// file is a Go file of the module and what it imports.
type file struct {
	name    string // from the module's root, with slashes
	imports []string
}

func (f file) test() bool { return strings.HasSuffix(f.name, "_test.go") }

func TestImportsFollowTheArrows(t *testing.T) {
	t.Parallel()
	files := moduleFiles(t)
	if len(files) < 5 {
		t.Fatalf("found only %d files", len(files))
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

func TestForbiddenImportsAreFound(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file, imports string
		allowed       bool
	}{
		{"cmd/scaling-mcp/server.go", module + "/web", true},
		{"cmd/scaling-mcp/dev.go", module + "/store/pgdev", true},
		{"cmd/scaling-mcp/dev.go", module + "/store/storetest", false},
		{"web/connections.go", module + "/store", true},
		{"web/connections.go", module + "/store/volatile", true},
		{"web/connections.go", module + "/web/ui", true},
		{"web/connections.go", module + "/authz", false},
		{"web/connections.go", module + "/authz/accesstoken", false},
		{"web/connections.go", module + "/migrations", false},
		{"authz/token.go", module + "/authz/signin", true},
		{"authz/signin/signin.go", module + "/web/ui", true},
		{"authz/signin/signin.go", module + "/web", false},
		{"authz/signin/signin.go", module + "/resource", false},
		{"authz/clerk/clerk.go", module + "/authz/clerk/clerkdev", false},
		{"resource/bearer.go", module + "/authz/accesstoken", true},
		{"resource/bearer.go", module + "/authz", false},
		{"resource/paging/paging.go", module + "/resource/oncall", true},
		{"resource/oncall/layer.go", module + "/resource/paging", false},
		{"resource/paging/page.go", module + "/mail", true},
		{"resource/paging/page.go", module + "/mail/mailtest", false},
		{"mail/mail.go", module + "/store", false},
		{"notice/message.go", module + "/web/ui", true},
		{"notice/notice.go", module + "/web", false},
		{"store/notice.go", module + "/queue", false},
		{"queue/queue.go", module + "/store", false},
		{"resource/oncall/layer.go", module + "/store", true},
		{"web/ui/button.go", module + "/store/volatile", false},
		{"web/ui/button.go", module + "/web", false},
		{"resource/bearer.go", module + "/web/ui", false},
		{"resource/untrusted.go", module + "/visible", true},
		{"visible/visible.go", module + "/store", false},
		{"store/connection.go", module + "/authz/accesstoken", false},
		{"store/connection.go", module + "/store/pgdev", false},
		{"store/volatile/liveness.go", module + "/store", true},
		{"store/pgdev/pgdev.go", module + "/store/pgdev/lifeline", true},
		{"store/pgdev/pgdev.go", module + "/store/volatile", false},
		{"store/storetest/storetest.go", module + "/store/pgdev", true},
		{"migrations/migrations.go", module + "/store", false},
		{"helpers/strings.go", "strings", true},
		{"helpers/strings.go", module + "/store", false},
		{"web/web.go", module + "/helpers", false},

		{"store/connection_test.go", module + "/store/storetest", true},
		{"resource/bearer_test.go", module + "/authz/clerk/clerkdev", true},
		{"resource/bearer_test.go", module + "/authz", false},
		{"cmd/scaling-mcp/e2e_test.go", module + "/store/storetest", true},

		{"authz/fosite.go", "github.com/ory/fosite", true},
		{"authz/fosite.go", "github.com/ory/fosite/handler/oauth2", true},
		{"authz/token.go", "github.com/ory/fosite", false},
		{"authz/token_test.go", "github.com/ory/fosite/token/hmac", false},
		{"authz/signin/fosite.go", "github.com/ory/fosite", false},
		{"authz/token.go", "github.com/ory/fositeish", true},
	} {
		var want []string
		if !tc.allowed {
			want = []string{tc.file + " must not import " + tc.imports}
		}
		got := violations([]file{{tc.file, []string{"fmt", tc.imports}}})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s imports %s (-want +got):\n%s", tc.file, tc.imports, diff)
		}
	}
}

// violations returns a sentence for every import that the arrows forbid.
func violations(files []file) []string {
	var found []string
	for _, f := range files {
		for _, imported := range f.imports {
			if !allowed(f, imported) {
				found = append(found, fmt.Sprintf("%s must not import %s", f.name, imported))
			}
		}
	}
	return found
}

func allowed(f file, imported string) bool {
	for library, only := range confined {
		if imported == library || strings.HasPrefix(imported, library+"/") {
			return f.name == only
		}
	}
	to, ours := strings.CutPrefix(imported, module+"/")
	if !ours {
		return imported != module
	}
	from, target := placeOf(path.Dir(f.name)), placeOf(to)
	if from == "" {
		return false
	}
	return target == from || slices.Contains(arrows[from], target) ||
		f.test() && slices.Contains(standIns, target)
}

// placeOf returns the longest key of arrows that holds the package dir, "" if
// there is none.
func placeOf(dir string) string {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := arrows[dir]; ok {
			return dir
		}
	}
	return ""
}

// moduleFiles lists every Go file of the module, tests and files for other
// systems included.
func moduleFiles(t *testing.T) []file {
	t.Helper()
	root := goList(t, "-m", "-f", "{{.Dir}}")
	dir := strings.TrimSpace(string(root))
	decoder := json.NewDecoder(bytes.NewReader(goList(t, "-e", "-json=Dir,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", module+"/...")))
	var files []file
	for {
		var p struct {
			Dir                                                          string
			GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
			name = filepath.Join(p.Dir, name)
			parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			relative, err := filepath.Rel(dir, name)
			if err != nil {
				t.Fatal(err)
			}
			f := file{name: filepath.ToSlash(relative)}
			for _, spec := range parsed.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				f.imports = append(f.imports, imported)
			}
			files = append(files, f)
		}
	}
}

func goList(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	return out
}
