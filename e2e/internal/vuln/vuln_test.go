// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package vuln

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

const root = "../../.."

// checked is a small package that calls unix.ClockGettime.
const checked = "./driver/internal/monotonic"

func TestMakeVuln(t *testing.T) {
	if testing.Short() {
		t.Skip("analyses a package several times")
	}
	needGovulncheck(t)
	cases := map[string]struct {
		database string
		fails    bool
		says     string
	}{
		"a function that is called":                 {"called", true, "GO-0000-0001"},
		"functions that are not called, or mended":  {"spared", false, "affected by 0 vulnerabilities"},
		"a database that is not there is no answer": {"missing", true, "missing"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			database, err := filepath.Abs(filepath.Join("testdata", c.database))
			must.NoError(t, err)
			cmd := exec.Command("make", "-C", root, "vuln", "VULN="+checked, "VULNDB="+database)
			// Not those of the make that may have started this test.
			cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
			out, err := cmd.CombinedOutput()
			if failed := err != nil; failed != c.fails || !strings.Contains(string(out), c.says) {
				t.Errorf("failed: %v, want %v and %q in\n%s", err, c.fails, c.says, out)
			}
		})
	}
}

// needGovulncheck skips the test where neither the module cache nor a proxy has the tool.
func needGovulncheck(t *testing.T) {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join(root, "GNUmakefile"))
	must.NoError(t, err)
	version := regexp.MustCompile(`(?m)^GOVULNCHECK_VERSION := (\S+)$`).FindSubmatch(makefile)
	must.Len(t, 2, version, must.Sprint("GNUmakefile names no version of govulncheck"))
	if out, err := exec.Command("go", "mod", "download", "golang.org/x/vuln@"+string(version[1])).CombinedOutput(); err != nil {
		t.Skipf("govulncheck cannot be had here: %v\n%s", err, out)
	}
}
