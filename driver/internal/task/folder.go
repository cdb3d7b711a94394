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
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Owner is what a run folder tells other nodes of the run that has it.
func Owner(id state.ID, d *state.Details) ownership.Owner {
	return ownership.Owner{
		Run: id.String(), Namespace: d.Namespace, Job: d.JobID, Alloc: id.Alloc, Task: id.Task,
		Node: ownership.ThisNode(d.NodeID, d.NodeName), Since: d.StartedAt.UTC(),
		InAlloc: d.AllocDir != "" && strings.HasPrefix(d.RunBase, d.AllocDir+"/"),
	}
}

// holdFolder has the watcher keep the folder for this run, in a moment. The
// supervisor has its lock; where it is gone, or comes from a plugin that did not know
// of it, this process takes it.
func (h *Handle) holdFolder() {
	r, p := h.run.Load(), h.process.Load()
	if r == nil || p == nil || r.RunBase == "" || h.over || h.IsGone() {
		return
	}
	o := Owner(h.ID, &r.Details)
	for _, id := range []procfs.Identity{p.record.Supervisor(), p.record.Solver()} {
		if id.Known() {
			o.Processes = append(o.Processes, ownership.Process{PID: id.PID, StartTicks: id.StartTicks})
		}
	}
	if h.spec != nil {
		o.Cgroup = h.spec.Cgroups.Processes()
	}
	r.watcher.Hold(o)
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
		return nil, fmt.Errorf("run folder %s: user %s may not write there (%w): %s", folder.Path(), u, err, advice)
	}
	return folder, nil
}

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
		return errors.New("its path leads to another folder now")
	}
	return mayWrite(int(dir.Fd()))
}
