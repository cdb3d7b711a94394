// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package license

import (
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// lstc_qrun runs with the agent's rights: nothing of the agent's environment, nor
// of a task's, decides what it does.
func TestCheck_theProgramHasAnEnvironmentOfItsOwn(t *testing.T) {
	t.Setenv("AGENT_TOKEN", "s3cret")
	t.Setenv("LSTC_FILE", "/evil")
	seen := t.TempDir() + "/seen"
	l := fakeQRun(t, "/usr/bin/env > "+seen+"\nprintf '%s' \"$PWD\" > "+seen+".dir\n")
	_, _ = Check(t.Context(), l, lsdyna.SMP, 1) // it prints no table
	data, err := os.ReadFile(seen)
	must.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, "=")
		must.SliceContains(t, []string{"PATH", "LSTC_LICENSE_SERVER", "PWD", "OLDPWD", "SHLVL", "_"}, name)
	}
	must.StrContains(t, string(data), "PATH=/usr/bin:/bin\n")
	dir, err := os.ReadFile(seen + ".dir")
	must.NoError(t, err)
	must.Eq(t, "/", string(dir))
}
