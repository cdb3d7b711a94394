// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
)

// Where the leading node's task begins nothing, since the run has completed and Nomad
// may repeat it by itself, the other nodes' wait for nothing.
func TestStart_AFollowerOfACompletedRunInAnotherAllocation(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*ended.Completion)
		restart string
		ends    bool
	}{
		"replaced by Nomad":           {change: func(c *ended.Completion) { c.Restarted = true }, ends: true},
		"told as a failure":           {change: func(c *ended.Completion) { c.Code = 1 }, ends: true},
		"run again by somebody":       {change: func(*ended.Completion) {}},
		"of another job":              {change: func(c *ended.Completion) { c.Restarted, c.Job = true, "other" }},
		"to be computed as it may be": {change: func(c *ended.Completion) { c.Restarted = true }, restart: "never"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(config *settings.Config) {
				config.Solvers["mpp"] = settings.SolverConfig{Path: standin, Parallel: "mpp", MPI: "mpich", MPIRun: "/bin/true"}
			})
			first := n.start(standinJob("ncpu = 1"))
			must.True(t, first.wait().Successful())
			must.NoError(t, n.DestroyTask(first.id, false))
			recorded, err := first.recorded()
			must.NoError(t, err)
			c.change(recorded.Completed)
			folder, err := rundir.Open(first.folder, ".")
			must.NoError(t, err)
			must.NoError(t, folder.WriteRecord(recorded))
			must.NoError(t, folder.Close())

			j := job{
				config: "solver = \"mpp\"\nncpu = 1\nnodes = 2",
				env:    map[string]string{"NOMAD_ALLOC_INDEX": "1", "NOMAD_HOST_ADDR_launch": "127.0.0.1:9"},
			}
			if c.restart != "" {
				j.config += "\nrestart = \"" + c.restart + "\""
			}
			if c.ends {
				next := first.again(j)
				must.Zero(t, next.pid)
				must.Eq(t, recorded.Completed.Code == 0, next.wait().Successful())
				n.hears(next.id, "This job has completed its run already, and Nomad may start it again by itself")
				return
			}
			j.folder, j.files = first.folder, map[string]string{}
			cfg := n.task(j)
			_, _, err = n.StartTask(cfg)
			must.StrNotContains(t, strings.Join(n.said(cfg.ID), "\n"), "completed")
			if err != nil { // the task's user does not get to where the test's program is
				must.ErrorContains(t, err, "start solver: execute ")
				return
			}
			must.NoError(t, n.StopTask(cfg.ID, patience, "SIGTERM"))
		})
	}
}
