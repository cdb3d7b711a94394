// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package reap

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// candidate is one record and what speaks for and against its removal.
type candidate struct {
	record    *state.Record
	folder    fs.FileInfo // of the record, to know it again
	proc      *supervisor.Process
	state     supervisor.State
	details   state.Details
	damaged   error  // why details cannot be read
	unknown   bool   // to Nomad
	unknowing string // why, or why it may be known, in words
	laterRun  bool   // another run of the task lives, in the same cgroup
}

// name is what -kill calls the task.
func (c *candidate) name() string { return c.record.ID.Alloc + "/" + c.record.ID.Task }

func openCandidate(record *state.Record) (*candidate, error) {
	folder, err := os.Lstat(record.Dir)
	if err != nil {
		return nil, err
	}
	proc, err := supervisor.Open(record.Dir)
	if err != nil {
		return nil, err
	}
	c := &candidate{record: record, folder: folder, proc: proc, state: proc.State()}
	c.details, c.damaged = record.ReadDetails()
	c.unknown, c.unknowing = node.Forgotten(record, c.details)
	return c, nil
}

// proof says why the record may be removed, or why it may not.
func (c *candidate) proof() (why string, ok bool) {
	over, ok := c.over()
	if !ok {
		return over, false
	}
	forgotten, ok := c.forgotten()
	if !ok {
		return forgotten, false
	}
	return join(over, forgotten), true
}

// over reports whether the run is over, as far as it can be proven.
func (c *candidate) over() (why string, ok bool) {
	switch c.state {
	case supervisor.Launching:
		return "it is just being started", false
	case supervisor.Running:
		return "it runs", false
	case supervisor.Orphaned:
		return fmt.Sprintf("its solver lives without a supervisor; -kill %s ends it", c.name()), false
	}
	pids, err := c.pids()
	if err == nil && len(pids) > 0 && !c.laterRun {
		return fmt.Sprintf("processes %v that it left behind live; -kill %s ends them", pids, c.name()), false
	}
	if c.neverStarted() {
		return "nothing was started in it", true
	}
	if _, err := supervisor.ReadExit(c.record.Dir); err == nil {
		return "its exit is on record", true
	}
	if spec := c.proc.Spec(); err == nil && len(pids) == 0 && spec != nil && spec.Cgroups.Processes() != "" {
		return "its cgroup is empty", true
	}
	rec, err := c.proc.Record()
	if err != nil && !errors.Is(err, pidfile.ErrNoCores) || rec.StartTime == 0 || rec.BootID == "" {
		return "its pid file does not tell which process it was, so nobody can tell whether that lives", false
	}
	if c.rebooted() {
		return "the machine was started since", true
	}
	return fmt.Sprintf("its process %d is gone", rec.PID), true // State has compared start time and boot
}

// neverStarted is true for what a start left behind that got no further than
// the record: the specification is written before anything is launched.
func (c *candidate) neverStarted() bool {
	for _, name := range []string{"pid", "spec.json", "exit.json"} {
		if _, err := os.Lstat(filepath.Join(c.record.Dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// forgotten reports whether nobody will ask how the run ended.
func (c *candidate) forgotten() (why string, ok bool) {
	_, err := supervisor.ReadExit(c.record.Dir)
	switch {
	case c.neverStarted():
		return "", true
	case c.damaged != nil && !(err != nil && c.rebooted()):
		return fmt.Sprintf("its allocation is not known (%v): look, and remove %s by hand", c.damaged, c.record.Dir), false
	case err != nil && c.rebooted():
		return "no exit was recorded", true // Nomad's own handle tells the driver as much
	}
	return c.unknowing, c.unknown
}

// rebooted reports whether the run was of another boot.
func (c *candidate) rebooted() bool {
	rec, err := c.proc.Record()
	if err != nil && !errors.Is(err, pidfile.ErrNoCores) {
		return false
	}
	boot, err := procfs.BootID("/proc")
	return err == nil && rec.BootID != "" && rec.BootID != boot
}

// pids returns the live processes of the task: those in its cgroup, or without
// one those that its recorded processes, if they still are the same, lead to.
func (c *candidate) pids() ([]int, error) {
	tree, err := c.proc.Tree()
	if err != nil {
		return nil, err
	}
	return tree.PIDs()
}

// kill ends every process of the task and waits until its supervisor has ended.
func (c *candidate) kill(ctx context.Context) error {
	const pause = 100 * time.Millisecond
	for {
		tree, err := c.proc.Tree()
		if err != nil {
			return err
		}
		if err := tree.Kill(ctx); err != nil {
			return err
		}
		select {
		case <-c.proc.Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("end its supervisor: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}
