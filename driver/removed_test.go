// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// A run folder that is removed under its solver is told as that, and neither as a solver
// that does not start nor as a matter of rights: what lies under its path by then is not
// the run's.
func TestRunFolder_RemovedUnderItsSolver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ away, remade bool }{
		"while the plugin watches":                      {},
		"and made anew":                                 {remade: true},
		"while no plugin was there":                     {away: true},
		"while no plugin was there, and made anew, too": {away: true, remade: true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.endsRunning()
			r := n.start(slowJob("ncpu = 1"))
			r.isSeenComputing()
			if c.away {
				details := *r.task().Details()
				details.StartTimeout = time.Millisecond // which the next plugin does not see kept
				must.NoError(t, r.task().Record().WriteDetails(&details))
				n.stop()
			}
			r.freeze() // it may end by itself without its folder
			must.NoError(t, os.RemoveAll(r.folder))
			if c.remade {
				must.NoError(t, os.Mkdir(r.folder, 0o755))
			}
			if c.away {
				n.launch()
				r.comeBack()
			}
			n.hears(r.id, "The run folder "+r.folder+" was removed under its solver: process ")
			must.NoError(t, n.StopTask(r.id, 2*time.Second, "SIGTERM"))
			result := r.wait()
			must.False(t, result.Successful())
			must.StrContains(t, result.Err.Error(), "unknown: the run folder "+r.folder+" was removed under its solver, and with it the outputs")
			must.StrNotContains(t, result.Err.Error(), "no cycle")
			n.hears(r.id, "No sense switch is sent: the run folder "+r.folder+" was removed under its solver")
			if c.remade {
				left, err := os.ReadDir(r.folder)
				must.NoError(t, err)
				must.SliceEmpty(t, left)
			}
		})
	}
}

// The solver ends of it before anybody has seen that the folder is gone.
func TestRunFolder_RemovedAndItsSolverEnds(t *testing.T) {
	n := newNode(t)
	n.endsRunning()
	r := n.start(slowJob("ncpu = 1"))
	r.isSeenComputing()
	must.NoError(t, os.RemoveAll(r.folder))
	must.NoError(t, unix.Kill(r.pid, unix.SIGKILL))
	result := r.wait()
	must.False(t, result.Successful())
	must.StrContains(t, result.Err.Error(), "unknown: the run folder "+r.folder+" was removed under its solver, and with it the outputs")
	n.hears(r.id, "The run folder "+r.folder+" was removed under its solver")
}
