// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/solvercheck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// readTimeout bounds how long a start reads old outputs, and how long it waits for a
// deck's file system.
const readTimeout = time.Minute

// qrunTimeout bounds one question to the licence server.
const qrunTimeout = 15 * time.Second

// checkLicense asks the licence server, where the operator says how, whether
// the run could have its licences: one that waits for them would hold cores.
func (s *start) checkLicense() error {
	l := s.node.License
	if l == nil || l.QRun == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.d.ctx, qrunTimeout)
	defer cancel()
	// An executable on a dead file server would hold up every other one that this
	// process starts.
	err := s.d.solvers.Check(ctx, lsdyna.Solver{Path: l.QRun})
	var silent *solvercheck.NoAnswerError
	if !errors.As(err, &silent) {
		_, err = license.Check(ctx, *l, s.job.Solver.Parallel, s.place.asked)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, license.ErrNotEnough):
		return structs.NewRecoverableError(err, true)
	}
	s.events = append(s.events, "Could not ask the licence server, starting all the same: "+err.Error())
	return nil
}

// chooseRestart finds where the run begins: with the deck, or with a dump.
func (s *start) chooseRestart() error {
	switch s.job.Restart.Mode {
	case settings.RestartNever:
		return nil
	case settings.RestartAuto:
		return s.chooseDump()
	}
	if err := s.inFolder(func(f *rundir.Folder) error { return f.CheckDump(s.job.Restart.Dump) }); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	s.options.Restart = s.job.Restart.Dump
	s.events = append(s.events, "Restarting from "+s.job.Restart.Dump+", as the job says")
	return s.rebuildCommand()
}

// restartChoice is what reading the run folder tells of where the run begins.
type restartChoice struct {
	rundir.RestartChoice
	notes []string // for events
}

// chooseDump takes the newest complete dump of an earlier start of this very
// run, told by what is recorded in the run folder.
func (s *start) chooseDump() error {
	var choice restartChoice
	err := s.during(readTimeout, func(ctx context.Context, f *rundir.Folder) (err error) {
		choice, err = s.readChoice(ctx, f)
		return err
	})
	if err != nil {
		return err
	}
	s.events = append(s.events, choice.notes...)
	if choice.Dump == "" {
		return nil
	}
	s.options.Restart = choice.Dump
	return s.rebuildCommand()
}

// readChoice reads and writes in the run folder.
func (s *start) readChoice(ctx context.Context, f *rundir.Folder) (restartChoice, error) {
	now, err := rundir.NewIdentity(s.run.deck, s.job.Solver, s.options, s.command)
	if err != nil {
		return restartChoice{}, structs.NewRecoverableError(fmt.Errorf("cannot tell whether earlier dumps fit: %w", err), true)
	}
	recorded, err := f.ReadRecord()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && recorded.Identity == rundir.Identity{}:
		return restartChoice{notes: recordRun(ctx, f, now)}, nil
	case rundir.Unavailable(err):
		return restartChoice{}, err
	case err != nil:
		return restartChoice{notes: append([]string{fmt.Sprintf("Starting from the deck: %v", err)}, recordRun(ctx, f, now)...)}, nil
	}
	chosen, err := rundir.SelectRestart(ctx, f, recorded, now, stdoutName)
	if err != nil {
		return restartChoice{}, fmt.Errorf("look for a dump to restart from: %w", err)
	}
	choice := restartChoice{RestartChoice: chosen, notes: []string{task.Sentence(chosen.Why)}}
	if chosen.Dump == "" {
		choice.notes = append(choice.notes, recordRun(ctx, f, now)...)
		return choice, nil
	}
	recorded.Chosen = &choice.Said
	if err := f.WriteRecord(recorded); err != nil {
		choice.notes = append(choice.notes, fmt.Sprintf("A dump that turns out to be bad will be tried again: %v", err))
	}
	return choice, nil
}

// recordRun records in the run folder which run begins there with its deck, and
// returns what is to be told of it.
func recordRun(ctx context.Context, f *rundir.Folder, id rundir.Identity) []string {
	r, err := rundir.NewRecord(ctx, f, id, stdoutName)
	if err == nil {
		err = f.WriteRecord(r)
	}
	if err != nil {
		return []string{fmt.Sprintf("A later start will not be able to go on from a dump: %v", err)}
	}
	return nil
}

func (s *start) rebuildCommand() (err error) {
	if s.command, err = launch.Build(s.job.Solver, s.options); err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	return nil
}
