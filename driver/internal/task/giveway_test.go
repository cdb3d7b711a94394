// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// A run that must give way holds up its successor for a dump only.
func TestGrace_IsForTheDump(t *testing.T) {
	t.Parallel()
	solving := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(solving, "stdout"), []byte("     100 t 1.0000E-02 dt 1.00E-04 flush i/o buffers            12/21/25 20:15:16\n"), 0o644))
	for name, c := range map[string]struct {
		open func(*testing.T) func() (*rundir.Folder, error)
		stop string
		most time.Duration
		want time.Duration

		known bool // once it was looked at
	}{
		"it computes":                   {in(solving), "sw1", time.Hour, time.Hour, true},
		"it computes, without patience": {in(solving), "sw1", 0, 0, true},
		"it has not begun":              {in(t.TempDir()), "sw1", time.Hour, noDumpGrace, true},
		"the job wants no switch":       {in(solving), "", time.Hour, noDumpGrace, false},
		"its folder does not answer":    {hung, "sw1", time.Hour, silentGrace, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTold(t, state.Details{Stop: c.stop}, c.open(t))
			h.patience.Dump = c.most
			for w := h.run.Load().watcher; c.known && w.View().Looks == 0; {
				<-w.Changed()
			}
			must.Eq(t, c.want, h.grace(t.Context()))
		})
	}
}

func in(dir string) func(*testing.T) func() (*rundir.Folder, error) {
	return func(*testing.T) func() (*rundir.Folder, error) { return folderIn(dir) }
}
