package authz_test

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// status is how a row of CONFORMANCE.md begins its third cell.
var status = regexp.MustCompile(`^(done|diverges|n/a|kept)\b|^a stored copy`)

// TestEveryClaimOfConformanceNamesATest: a document that names a test which was
// renamed or taken out claims what nobody shows.
func TestEveryClaimOfConformanceNamesATest(t *testing.T) {
	t.Parallel()
	exists := testNames(t, "..")
	file, err := os.Open("CONFORMANCE.md")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| section |") ||
			strings.HasPrefix(line, "| subject |") || strings.HasPrefix(line, "| revision |") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 4 {
			t.Errorf("%d cells, want 4: %s", len(cells), line)
			continue
		}
		claim, shown := strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])
		if !status.MatchString(claim) {
			t.Errorf("neither done, diverges nor n/a: %s", line)
		}
		if shown == "" && !strings.HasPrefix(claim, "n/a") {
			t.Errorf("no test: %s", line)
		}
		for name := range strings.SplitSeq(shown, ", ") {
			if name != "" && !exists[name] {
				t.Errorf("there is no %s: %s", name, line)
			}
		}
	}
	if rows < 100 {
		t.Errorf("%d rows were read, want all of them", rows)
	}
}

// testNames returns the names of all tests and fuzz targets below dir.
func testNames(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declared := range parsed.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
