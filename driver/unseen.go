// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// judgeUnseen finds out how the run ended that had the folder last, where nobody has: the
// plugin and the client were killed inside its start, so that Nomad never learnt of it,
// and it ended before another plugin came. Without that its results would not count as
// those of a completed run, and a dump from which it could not go on would be taken again.
func (s *start) judgeUnseen() error {
	h := s.d.unseen(s.lastOwner(), s.run.path(), s.run.watcher.View().Dir)
	if h == nil {
		return nil
	}
	if h.ID.Alloc == s.id.Alloc && h.ID.Task == s.id.Task { // else Nomad may yet ask for it
		s.d.routines.Go(func() { s.d.forget(h, h.Ended()) })
	}
	ctx, cancel := context.WithTimeout(s.d.ctx, folderPatience)
	defer cancel()
	for _, over := range []<-chan struct{}{h.Ended(), h.Left()} {
		select {
		case <-over:
		case <-ctx.Done():
			return structs.NewRecoverableError(fmt.Errorf("work_dir %s: the outputs of an earlier run, %s, are still being read", s.run.path(), h.ID), true)
		}
	}
	how := "completed"
	if err := h.Result().Err; err != nil {
		how = err.Error()
	}
	s.events = append(s.events, fmt.Sprintf("The last run in the folder had ended while no plugin was there to see it: %s", how))
	return nil
}

// lastOwner returns the run that had the folder last and of which nobody has noted that
// nothing of it happens there any more; "" where there is none.
func (s *start) lastOwner() string {
	var o ownership.Owner
	err := s.inFolder(func(f *rundir.Folder) (err error) {
		o, err = ownership.Of(f).ReadOwner()
		return err
	})
	if err != nil || o.Ended != nil {
		return "" // what is wrong with the folder its claim tells
	}
	return o.Run
}

// unseen makes a handle of a run whose solver was executed and is over, by its record, if
// no handle has it; nil for any other. What names the run is in its user's folder, and may
// be forged: the record must be of a run in that folder.
func (d *Driver) unseen(run, path string, dir rundir.DirID) *task.Handle {
	id, err := state.ParseID(run)
	if err != nil {
		return nil
	}
	if _, err := d.task(run); err == nil {
		return nil
	}
	record, err := d.store.Record(id)
	if err != nil {
		return nil
	}
	details, err := record.ReadDetails()
	if err != nil || details.StartFailed || details.NodeIndex > 0 || len(details.Completed) > 0 {
		return nil
	}
	if !ranIn(&details, path, dir) {
		return nil
	}
	proc, err := supervisor.Open(record.Dir)
	if err != nil {
		return nil
	}
	how, pid, pidErr := proc.Found()
	_, exitErr := supervisor.ReadExit(record.Dir)
	executed := exitErr == nil || !errors.Is(pidErr, fs.ErrNotExist)
	if how != supervisor.Ended || !executed {
		proc.Close()
		return nil
	}
	h := d.newHandle(task.Options{
		ID: id, Record: record, Spec: proc.Spec(), Details: &details, Process: proc, PID: pid, Phase: task.Adopted, Over: true,
	})
	d.add(h)
	return h
}

// ranIn reports whether a run's folder is the one at a path, or the same by another path.
func ranIn(d *state.Details, path string, dir rundir.DirID) bool {
	return d.RunPath() == path || dir != rundir.DirID{} && dir == rundir.DirID{Dev: d.RunDevice, Ino: d.RunInode}
}
