// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package restart decides where a run begins: with its deck, with a dump, or, where
// its allocation has completed it, not at all. It goes by the record in the run folder
// and writes it. Its functions make system calls there: the run's watcher calls them.
package restart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// Run is the run that is to begin.
type Run struct {
	Deck    string // its hash
	Solver  lsdyna.Solver
	Options launch.Options
	Command launch.Command
	Stdout  string // the name of the file that takes the solver's stdout
}

// Choice is where a run begins.
type Choice struct {
	rundir.RestartChoice
	Notes []string // for events
}

// Choose takes the newest complete dump of an earlier start of this very run, told by
// what is recorded in the run folder.
func Choose(ctx context.Context, f *rundir.Folder, r Run) (Choice, error) {
	now, err := rundir.NewIdentity(r.Deck, r.Solver, r.Options, r.Command)
	if err != nil {
		return Choice{}, structs.NewRecoverableError(fmt.Errorf("cannot tell whether earlier dumps fit: %w", err), true)
	}
	recorded, err := f.ReadRecord()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && recorded.Identity == rundir.Identity{}:
		return Choice{Notes: record(ctx, f, now, r.Stdout)}, nil
	case rundir.Unavailable(err):
		return Choice{}, err
	case err != nil:
		return Choice{Notes: append([]string{fmt.Sprintf("Starting from the deck: %v", err)}, record(ctx, f, now, r.Stdout)...)}, nil
	}
	chosen, err := rundir.SelectRestart(ctx, f, recorded, now, r.Stdout)
	if err != nil {
		return Choice{}, fmt.Errorf("look for a dump to restart from: %w", err)
	}
	choice := Choice{RestartChoice: chosen, Notes: []string{task.Sentence(chosen.Why)}}
	if chosen.Dump == "" {
		choice.Notes = append(choice.Notes, record(ctx, f, now, r.Stdout)...)
		return choice, nil
	}
	recorded.Chosen = &choice.Said
	if err := f.WriteRecord(recorded); err != nil {
		choice.Notes = append(choice.Notes, fmt.Sprintf("A dump that turns out to be bad will be tried again: %v", err))
	}
	return choice, nil
}

// record records in the run folder which run begins there with its deck, and returns
// what is to be told of it.
func record(ctx context.Context, f *rundir.Folder, id rundir.Identity, stdout string) []string {
	r, err := rundir.NewRecord(ctx, f, id, stdout)
	if err == nil {
		err = f.WriteRecord(r)
	}
	if err != nil {
		return []string{fmt.Sprintf("A later start will not be able to go on from a dump: %v", err)}
	}
	return nil
}

// Completed returns the run that was completed in the folder and that nobody has begun
// anew since; nil where there is none.
func Completed(f *rundir.Folder) (*rundir.Completion, error) {
	recorded, err := f.ReadRecord()
	switch {
	case rundir.Unavailable(err):
		return nil, err
	case err != nil:
		return nil, nil //nolint:nilerr // no record, or one that Choose speaks of
	}
	return recorded.Completed, nil
}
