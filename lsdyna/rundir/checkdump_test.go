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
	for _, name := range []string{"d3dump01", "d3dump02.0000", "d3dump02.0001", "d3dump03.0000", "d3dump03.0002", "d3full", "main.k"} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644))
	}
	f, err := Open(dir, ".")
	must.NoError(t, err)
	defer f.Close()
	for name, want := range map[string]string{
		"d3dump01": "", "d3dump02": "", "d3full": "",
		"always":  "\"always\" is neither \"auto\" nor \"never\" nor a dump in the run folder " + dir + "; its dumps: d3dump01, d3dump02, d3dump03. Name one of them, \"auto\" or \"never\"",
		"d3dump0": "there is no d3dump0 in the run folder " + dir + "; its dumps: d3dump01, d3dump02, d3dump03. Name one of them, \"auto\" or \"never\"",
	} {
		err := f.CheckDump(name, 0)
		if want == "" {
			must.NoError(t, err)
		} else {
			must.EqError(t, err, want)
		}
	}
	must.NoError(t, os.WriteFile(filepath.Join(dir, "j.runrsf"), nil, 0o644))
	for name, c := range map[string]struct {
		ranks int
		want  string
	}{
		"d3dump01": {4, ""}, // of SMP: the solver says whether it will do
		"d3dump02": {2, ""},
		"j.runrsf": {0, "j.runrsf in the run folder " + dir + " is not whole: files there: 1, and each rank (1) needs one with content"},
		"d3dump03": {0, "d3dump03 in the run folder " + dir + " is not whole: files there: 2, and each rank (3) needs one with content"},
	} {
		err := f.CheckDump(name, c.ranks)
		if c.want == "" {
			must.NoError(t, err)
		} else {
			must.EqError(t, err, c.want)
		}
	}
	must.ErrorContains(t, f.CheckDump("d3dump02", 4), "files there: 2, and each rank (4)")
}
