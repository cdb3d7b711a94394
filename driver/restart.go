// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/restart"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/solvercheck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// readTimeout bounds how long a start looks at old outputs.
const readTimeout = time.Minute

// qrunTimeout bounds one question to the licence server.
const qrunTimeout = 15 * time.Second

// checkLicense asks the licence server, where the operator says how, whether
// the run could have its licences: one that waits for them would hold cores.
func (s *start) checkLicense() error {
	l := s.node.License
	if l == nil || l.QRun == "" || s.isFollower() {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.d.ctx, qrunTimeout)
	defer cancel()
	// An executable on a dead file server would hold up every other one that this
	// process starts.
	err := s.d.solvers.Check(ctx, lsdyna.Solver{Path: l.QRun})
	var silent *solvercheck.NoAnswerError
	if !errors.As(err, &silent) {
		_, err = license.Check(ctx, *l, s.job.Solver.Parallel, s.place.asked*s.job.Nodes)
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
	if s.isFollower() {
		return nil
	}
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

// chooseDump takes the newest complete dump of an earlier start of this very run.
func (s *start) chooseDump() error {
	run := restart.Run{Deck: s.run.deck, Solver: s.job.Solver, Options: s.options, Command: s.command, Stdout: stdoutName}
	choice, err := s.d.patience.decks.Choose(s.d.ctx, s.run.watcher, run)
	if rundir.Unavailable(err) {
		return structs.NewRecoverableError(fmt.Errorf("work_dir %s: %w", s.run.path(), err), true)
	}
	if err != nil {
		return err
	}
	s.events = append(s.events, choice.Notes...)
	s.run.began = choice.Why
	if choice.Dump == "" {
		return nil
	}
	s.options.Restart = choice.Dump
	return s.rebuildCommand()
}

func (s *start) rebuildCommand() (err error) {
	if s.command, err = launch.Build(s.job.Solver, s.options); err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	return nil
}
