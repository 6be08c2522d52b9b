package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestREADMEHasTheSettingsInTheWordsOfHelp compares README's table with the
// program's own flags.
func TestREADMEHasTheSettingsInTheWordsOfHelp(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var c commands
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			name := "`--" + flag.Name + "`"
			if len(flag.Envs) > 0 {
				name = "`" + flag.Envs[0] + "`"
			}
			if flag.Name == "help" || command.Name == "healthcheck" || command.Name == "migrate" {
				continue
			}
			row := fmt.Sprintf("| %s | %s |", name, strings.ReplaceAll(flag.Help, "|", `\|`))
			if !strings.Contains(string(readme), row) {
				t.Errorf("README lacks the row of %s %s:\n%s", command.Name, flag.Name, row)
			}
		}
	}
}
