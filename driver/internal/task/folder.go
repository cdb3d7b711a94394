// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/runfolder"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
)

// nameSolver tells the watcher which process has the folder as its working directory.
func (h *Handle) nameSolver() {
	r, p := h.run.Load(), h.process.Load()
	if r == nil || p == nil || r.RunBase == "" {
		return
	}
	r.watcher.SetSolver(runfolder.Workplace(&r.Details, p.record))
}

// holdFolder has the watcher keep the folder for this run, in a moment. The
// supervisor has its lock; where it is gone, or comes from a plugin that did not know
// of it, this process takes it.
func (h *Handle) holdFolder() {
	r, p := h.run.Load(), h.process.Load()
	if r == nil || p == nil || r.RunBase == "" || r.isFollower() || h.over || h.IsGone() {
		return
	}
	o := runfolder.Owner(h.ID, &r.Details)
	for i, id := range []procfs.Identity{p.record.Supervisor(), p.record.Solver()} {
		if id.Known() {
			o.Processes = append(o.Processes, ownership.Process{PID: id.PID, StartTicks: id.StartTicks, Solver: i == 1})
		}
	}
	if p.spec != nil {
		o.Cgroup = p.spec.Cgroups.Processes()
	}
	r.watcher.Hold(o)
}

// tellWhereResultsAre says at the end of a run where its results are to be fetched
// from in time.
func (h *Handle) tellWhereResultsAre(r *run) {
	if advice := runfolder.InAllocAdvice(&r.Details, h.Folder()); advice != "" {
		h.Events.Emit(advice)
	}
}
