// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// Make takes the blanks of a path for those between targets, and its errors are no help.
func TestMakefile_SaysThatItsPathHasBlanks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with blank")
	must.NoError(t, os.Mkdir(dir, 0o700))
	text, err := os.ReadFile("../../../GNUmakefile")
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(filepath.Join(dir, "GNUmakefile"), text, 0o600))
	cmd := exec.CommandContext(t.Context(), "make", "-C", dir, "build")
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=") // not those of the make that may have started this test
	out, err := cmd.CombinedOutput()
	must.Error(t, err)
	must.StrContains(t, string(out), "without blanks in its path, and this is \""+dir)
	must.StrNotContains(t, string(out), "warning")
}
