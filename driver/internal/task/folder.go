// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package task

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Owner is what a run folder tells other nodes of the run that has it.
func Owner(id state.ID, d *state.Details) ownership.Owner {
	return ownership.Owner{
		Run: id.String(), Namespace: d.Namespace, Job: d.JobID, Alloc: id.Alloc, Task: id.Task,
		Node: ownership.ThisNode(d.NodeID, d.NodeName), Since: d.StartedAt.UTC(),
		InAlloc: d.InAlloc(),
	}
}

// nameSolver tells the watcher which process has the folder as its working directory.
func (h *Handle) nameSolver() {
	r, p := h.run.Load(), h.process.Load()
	if r == nil || p == nil || r.RunBase == "" {
		return
	}
	r.watcher.SetSolver(Workplace(&r.Details, p.record))
}

// Workplace is where the solver of a record works.
func Workplace(d *state.Details, rec pidfile.Record) rundir.Workplace {
	return rundir.Workplace{
		Solver: rec.Solver(), Path: filepath.Join(d.RunBase, d.RunFolder),
		Dir: rundir.DirID{Dev: d.RunDevice, Ino: d.RunInode},
	}
}

// holdFolder has the watcher keep the folder for this run, in a moment. The
// supervisor has its lock; where it is gone, or comes from a plugin that did not know
// of it, this process takes it.
func (h *Handle) holdFolder() {
	r, p := h.run.Load(), h.process.Load()
	if r == nil || p == nil || r.RunBase == "" || r.isFollower() || h.over || h.IsGone() {
		return
	}
	o := Owner(h.ID, &r.Details)
	for _, id := range []procfs.Identity{p.record.Supervisor(), p.record.Solver()} {
		if id.Known() {
			o.Processes = append(o.Processes, ownership.Process{PID: id.PID, StartTicks: id.StartTicks})
		}
	}
	if p.spec != nil {
		o.Cgroup = p.spec.Cgroups.Processes()
	}
	r.watcher.Hold(o)
}

// Nomad deletes an allocation's folder when it forgets the allocation: hours after its
// end, sooner where the disk is full.
const (
	deletedLater = "Nomad deletes it with all results some hours after the job has ended"
	keptSafe     = "a work_dir below one of the node's work_roots%s is kept"
)

// InAllocWarning says at the start of a run in its allocation's folder what becomes of
// its results; "" for any other run. roots are the node's work_roots.
func InAllocWarning(d *state.Details, roots []string) string {
	if !d.InAlloc() {
		return ""
	}
	named := ""
	if len(roots) > 0 {
		named = " (" + strings.Join(roots, ", ") + ")"
	}
	return fmt.Sprintf("The run folder is inside the allocation: %s; "+keptSafe, deletedLater, named)
}

// tellWhereResultsAre says at the end of a run where its results are to be fetched
// from in time.
func (h *Handle) tellWhereResultsAre(r *run) {
	if r.InAlloc() {
		h.say("The results are in %s, inside the allocation: copy them away, %s", h.Folder(), deletedLater)
	}
}

// OpenFolder opens a run folder that the user may enter, read and write to. The
// caller has that user's rights: root may have fewer where a file server does not
// trust it, and everywhere else too many.
func OpenFolder(base, rel string, u supervisor.User) (*rundir.Folder, error) {
	const advice = "give the folder to that user, or set user in the job's task to its owner"
	folder, err := rundir.Open(base, rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: make it on this node, for user %s to write to", err, u)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("run folder %s: user %s may not enter or read it (%w): %s", filepath.Join(base, rel), u, err, advice)
	case err != nil:
		return nil, err
	}
	if err := mayUse(folder); err != nil {
		_ = folder.Close()
		if errors.Is(err, errExchanged) || errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("run folder %s: it was removed or exchanged just now: %w", folder.Path(), err)
		}
		return nil, fmt.Errorf("run folder %s: user %s may not write there (%w): %s", folder.Path(), u, err, advice)
	}
	return folder, nil
}

var errExchanged = errors.New("its path leads to another folder now")

// mayUse checks that the calling thread gets to the folder by its path, as the
// solver will, and may write to it.
func mayUse(folder *rundir.Folder) error {
	dir, err := folder.Dir()
	if err != nil {
		return err
	}
	defer dir.Close()
	var opened, named unix.Stat_t
	if err := errors.Join(unix.Fstat(int(dir.Fd()), &opened), unix.Stat(folder.Path(), &named)); err != nil {
		return err
	}
	if opened.Dev != named.Dev || opened.Ino != named.Ino {
		return errExchanged
	}
	return mayWrite(int(dir.Fd()))
}
