// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// groupOfTests is one or several tests and their file, as SECURITY.md names them:
// `TestA`, `TestB` (dir/file_test.go).
var groupOfTests = regexp.MustCompile("((?:`Test\\w+`(?:, )?)+) \\(([\\w/.-]+_test\\.go)\\)")

var testName = regexp.MustCompile(`Test\w+`)

// SECURITY.md promises a test for every defence.
func TestSecurity_EveryLineHasItsTest(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	must.NoError(t, err)
	_, threats, found := strings.Cut(string(page), "| threat | defence | test |\n")
	must.True(t, found, must.Sprint("SECURITY.md has no table of threats"))
	lines := 0
	for line := range strings.Lines(threats) {
		if !strings.HasPrefix(line, "| ") {
			if lines > 0 {
				break // behind the table
			}
			continue
		}
		lines++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		must.Len(t, 3, cells, must.Sprint(line))
		named := 0
		for _, group := range groupOfTests.FindAllStringSubmatch(cells[2], -1) {
			source, err := os.ReadFile(filepath.Join(root, group[2]))
			must.NoError(t, err)
			for _, name := range testName.FindAllString(group[1], -1) {
				named++
				must.StrContains(t, string(source), "\nfunc "+name+"(t *testing.T)", must.Sprint(group[2]))
			}
		}
		must.Positive(t, named, must.Sprintf("no test: %s", line))
		must.Eq(t, len(testName.FindAllString(cells[2], -1)), named, must.Sprintf("a test without its file: %s", line))
	}
	must.Greater(t, 25, lines)
}
