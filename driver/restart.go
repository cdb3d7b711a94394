// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/license"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// What task configurations say of restarts besides the name of a dump.
const (
	restartAuto  = "auto"
	restartNever = "never"
)

// readTimeout bounds how long a start reads decks and old outputs.
const readTimeout = time.Minute

// qrunTimeout bounds one question to the licence server.
const qrunTimeout = 15 * time.Second

// checkLicence asks the licence server, where the operator says how, whether
// the run could have its licences: one that waits for them would hold cores.
func (s *start) checkLicence() error {
	l := s.config.licence()
	if l == nil || l.QRun == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.d.ctx, qrunTimeout)
	defer cancel()
	_, err := license.Check(ctx, *l, s.solver.Parallel, s.asked)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, license.ErrNotEnough):
		return structs.NewRecoverableError(err, true)
	}
	s.says = append(s.says, "Could not ask the licence server, starting all the same: "+l.Redact(err.Error()))
	return nil
}

// chooseRestart finds where the run begins: with the deck, or with a dump.
func (s *start) chooseRestart() error {
	switch s.task.Restart {
	case "", restartNever:
		return nil
	case restartAuto:
		return s.chooseDump()
	}
	s.options.Restart = s.task.Restart
	s.says = append(s.says, "Restarting from "+s.task.Restart+", as the job says")
	return s.rebuildCommand()
}

// chooseDump takes the newest complete dump of an earlier start of this very
// run, told by what is recorded in the run folder. A run that cannot be identified
// begins with the deck.
func (s *start) chooseDump() error {
	ctx, cancel := context.WithTimeout(s.d.ctx, readTimeout)
	defer cancel()
	var now rundir.Identity
	err := asUser(s.user, func() (err error) {
		now, err = rundir.NewIdentity(ctx, s.folder, s.solver, s.options, s.command)
		return err
	})
	if err != nil {
		s.says = append(s.says, fmt.Sprintf("Cannot tell whether earlier dumps fit, starting from the deck: %v", err))
		return nil
	}
	recorded, err := s.folder.ReadRecord()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && recorded.Identity == rundir.Identity{}:
		return s.recordRun(ctx, now)
	case err != nil:
		s.says = append(s.says, fmt.Sprintf("Starting from the deck: %v", err))
		return s.recordRun(ctx, now)
	}
	var choice rundir.RestartChoice
	err = asUser(s.user, func() (err error) {
		choice, err = rundir.SelectRestart(ctx, s.folder, recorded, now, stdoutName)
		return err
	})
	if err != nil {
		return fmt.Errorf("look for a dump to restart from: %w", err)
	}
	s.says = append(s.says, sentence(choice.Why))
	if choice.Dump == "" {
		return s.recordRun(ctx, now)
	}
	recorded.Chosen = &choice.Said
	if err := asUser(s.user, func() error { return s.folder.WriteRecord(recorded) }); err != nil {
		s.says = append(s.says, fmt.Sprintf("A dump that turns out to be bad will be tried again: %v", err))
	}
	s.options.Restart = choice.Dump
	return s.rebuildCommand()
}

// recordRun records in the run folder which run begins there with its deck.
func (s *start) recordRun(ctx context.Context, id rundir.Identity) error {
	err := asUser(s.user, func() error {
		r, err := rundir.NewRecord(ctx, s.folder, id, stdoutName)
		if err != nil {
			return err
		}
		return s.folder.WriteRecord(r)
	})
	if err != nil {
		s.says = append(s.says, fmt.Sprintf("A later start will not be able to go on from a dump: %v", err))
	}
	return nil
}

func (s *start) rebuildCommand() (err error) {
	if s.command, err = launch.Build(s.solver, s.options); err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	return nil
}

// settleRecord brings the run folder's record up to date at the end of a run: a
// completed run is no longer to be continued, and a dump from which the solver
// could not go on is not to be tried again.
func (t *task) settleRecord() {
	if t.folder == nil {
		return
	}
	recorded, err := t.folder.ReadRecord()
	if err != nil {
		return
	}
	switch {
	case t.outcomeKind() == output.Completed:
		recorded = rundir.Record{}
	case t.details.Restart != "" && recorded.Chosen != nil && t.dumpIsBad(recorded.Chosen.Time):
		recorded.RejectChosen()
		t.say(fmt.Sprintf("The solver could not go on from %s; the next start takes an older dump, or the deck", t.details.Restart))
	default:
		return
	}
	if err := asUser(t.user(), func() error { return t.folder.WriteRecord(recorded) }); err != nil {
		t.logger.Warn("cannot bring the run's record up to date", "error", err)
	}
}

func (t *task) outcomeKind() output.Kind {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.outcome.Kind
}

// crashes are the signals by which a solver dies of its own doing.
var crashes = []syscall.Signal{syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGABRT, syscall.SIGFPE, syscall.SIGILL, syscall.SIGSYS, syscall.SIGTRAP}

// dumpIsBad tells whether a run ended of its own doing before it got beyond the
// problem time of its dump: an error, a crash, or silence. What others did to it (a
// stop, a kill, no licence, no memory) says nothing about its dump. A solver that
// refuses its input prints a problem time as well, 0.
func (t *task) dumpIsBad(dumped float64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.snapshot.HasTime && t.snapshot.Time > dumped, t.stopping, t.endReason != "", t.exited.OOMKilled:
		return false
	case t.outcome.Kind == output.Failed:
		return true
	case t.outcome.Kind == output.Killed:
		sig := t.exited.Signal
		if sig == 0 && t.exited.Code > 128 { // passed on by a shell or mpirun
			sig = t.exited.Code - 128
		}
		return slices.Contains(crashes, syscall.Signal(sig))
	}
	return t.outcome.Kind == output.Unknown && t.exited.Known
}
