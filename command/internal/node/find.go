// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// NotFoundError says why a name is not that of one task.
type NotFoundError struct{ Text string }

func (e *NotFoundError) Error() string { return e.Text }

// Find returns the newest run of a task named ALLOC or ALLOC/TASK, as its record shows
// it, and the plugin's settings. ALLOC may be the beginning of an allocation's id. The
// error is a *NotFoundError where there is none, or several.
func Find(stateDir, name string) (*Task, state.Settings, error) {
	tasks, settings, notes, err := readRecords(stateDir)
	if err != nil {
		return nil, settings, err
	}
	alloc, task, named := strings.Cut(name, "/")
	var found *Task
	for _, t := range tasks { // the oldest first
		if !strings.HasPrefix(t.ID.Alloc, alloc) || named && t.ID.Task != task {
			continue
		}
		if found != nil && (found.ID.Alloc != t.ID.Alloc || found.ID.Task != t.ID.Task) {
			return nil, settings, &NotFoundError{fmt.Sprintf("%s may be %s/%s or %s/%s: give more of the allocation's id, or ALLOC/TASK",
				name, found.ID.Alloc, found.ID.Task, t.ID.Alloc, t.ID.Task)}
		}
		found = t
	}
	if found == nil {
		text := fmt.Sprintf("there is no record of %s: Nomad has dropped it with the allocation's task, or it is another node's; inspect -html RUNFOLDER makes a page of its folder", name)
		return nil, settings, &NotFoundError{strings.Join(append([]string{text}, notes...), "; ")}
	}
	return found, settings, nil
}

// HowItEnded is how the run ended, as far as its record tells, or that it lives.
func (t *Task) HowItEnded() output.Exit {
	switch {
	case t.State == supervisor.Running || t.State == supervisor.Launching || t.State == supervisor.Orphaned:
		return output.Exit{Running: true}
	case t.Exit == nil:
		return output.Exit{}
	}
	return output.Exit{Known: true, Code: t.Exit.Code, Signal: t.Exit.Signal, OOMKilled: t.Exit.OOMKilled}
}

// Read reads the outputs in the task's folder to their end, with the rights of its user,
// and has the folder looked at further while it is open. The error wraps
// rundir.ErrNoAnswer where the folder's file server does not answer before ctx ends.
func (t *Task) Read(ctx context.Context, look func(ctx context.Context, f *rundir.Folder, s output.Snapshot)) error {
	o, err := followOptions(t)
	if err != nil {
		return err
	}
	f := follow(t)
	defer f.watcher.Close()
	err = f.watcher.Do(ctx, func(folder *rundir.Folder) error {
		if err := f.readOn(ctx, folder, o); rundir.Unreadable(err) || errors.Is(err, errUnread) {
			return err
		}
		look(ctx, folder, *f.read.Load())
		return nil
	})
	return err
}

// Command is what was executed for the run, and its arguments; "" where the record does
// not tell.
func (t *Task) Command() (command string, args []string) {
	proc, err := supervisor.Open(t.Dir)
	if err != nil {
		return "", nil
	}
	defer proc.Close()
	spec := proc.Spec()
	if spec == nil {
		return "", nil
	}
	return spec.Command, slices.Clone(spec.Args)
}

// Solver names the solver, as jobs do.
func (t *Task) Solver() string { return cmp.Or(t.Details.Solver, "a command of the job's own") }
