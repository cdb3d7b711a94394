// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

func TestCheckDump(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"d3dump01", "d3dump02.0000", "d3dump02.0001", "d3full", "main.k"} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644))
	}
	f, err := Open(dir, ".")
	must.NoError(t, err)
	defer f.Close()
	for name, want := range map[string]string{
		"d3dump01": "", "d3dump02": "", "d3full": "",
		"d3dump0": "there is no d3dump0 in the run folder " + dir + "; its dumps: d3dump01, d3dump02. Name one of them, \"auto\" or \"never\"",
	} {
		err := f.CheckDump(name)
		if want == "" {
			must.NoError(t, err)
		} else {
			must.EqError(t, err, want)
		}
	}
}
