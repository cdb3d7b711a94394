// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
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
	_, err := lsdyna.CheckLicence(ctx, *l, s.solver.Parallel, s.asked)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, lsdyna.ErrNoLicence):
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
	var now lsdyna.Identity
	err := asUser(s.user, func() (err error) {
		now, err = lsdyna.NewIdentity(ctx, s.folder, s.solver, s.options, s.command)
		return err
	})
	if err != nil {
		s.says = append(s.says, fmt.Sprintf("Cannot tell whether earlier dumps fit, starting from the deck: %v", err))
		return nil
	}
	fresh := lsdyna.RunRecord{Identity: now, Started: time.Now()}
	recorded, err := s.folder.ReadRecord()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && recorded.Identity == lsdyna.Identity{}:
		return s.recordRun(fresh)
	case err != nil:
		s.says = append(s.says, fmt.Sprintf("Starting from the deck: %v", err))
		return s.recordRun(fresh)
	}
	choice, err := lsdyna.RestartSelect(ctx, s.folder, recorded, now, s.oldStdouts()...)
	if err != nil {
		return fmt.Errorf("look for a dump to restart from: %w", err)
	}
	s.says = append(s.says, sentence(choice.Why))
	if choice.Dump == "" {
		return s.recordRun(fresh)
	}
	s.options.Restart = choice.Dump
	return s.rebuildCommand()
}

func (s *start) recordRun(r lsdyna.RunRecord) error {
	if err := asUser(s.user, func() error { return s.folder.WriteRecord(r) }); err != nil {
		s.says = append(s.says, fmt.Sprintf("A later start will not be able to go on from a dump: %v", err))
	}
	return nil
}

func (s *start) rebuildCommand() (err error) {
	if s.command, err = lsdyna.CommandLine(s.solver, s.options); err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	return nil
}

// oldStdouts names the files that keep the stdout of earlier starts.
func (s *start) oldStdouts() []string {
	var names []string
	for name := range s.old {
		if name == stdoutName || strings.HasPrefix(name, stdoutName+".") {
			names = append(names, name)
		}
	}
	return names
}

// settleRecord brings the run folder's record up to date at the end of a run: a
// completed run is no longer to be continued, and a dump with which the solver
// could not even begin is not to be tried again.
func (t *task) settleRecord() {
	if t.folder == nil {
		return
	}
	recorded, err := t.folder.ReadRecord()
	if err != nil {
		return
	}
	t.mu.Lock()
	kind, computed := t.outcome.Kind, t.snapshot.HasTime
	t.mu.Unlock()
	switch {
	case kind == lsdyna.Completed:
		recorded = lsdyna.RunRecord{}
	case t.details.Restart != "" && kind == lsdyna.Failed && !computed:
		recorded.Tried = append(recorded.Tried, t.details.Restart)
	default:
		return
	}
	if err := asUser(t.user(), func() error { return t.folder.WriteRecord(recorded) }); err != nil {
		t.logger.Warn("cannot bring the run's record up to date", "error", err)
	}
}
