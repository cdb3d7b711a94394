// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/restart"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// readTimeout bounds how long a start looks at old outputs.
const readTimeout = time.Minute

// identifyDeck reads the deck, which tells whether the dumps of an earlier start are of
// this run, and whether it is one for a small restart. It comes before cores are taken: nobody should wait for them meanwhile.
func (s *start) identifyDeck() error {
	if s.job.Restart.Mode == settings.RestartNever || s.isFollower() {
		return nil // nobody asks for dumps that fit
	}
	if s.job.Restart.Mode == settings.RestartFrom {
		err := s.inFolder(func(f *rundir.Folder) error { return restart.CheckNamed(f, s.job.Restart.Dump, s.job.Solver) })
		if err != nil {
			return err
		}
	}
	return s.readDeck()
}

func (s *start) readDeck() error {
	if s.run.deck.Hash != "" {
		return nil // it was read to tell whether Nomad repeats a run
	}
	deck, note, err := s.d.patience.decks.ReadDeck(s.d.ctx, s.run.watcher, s.job.Input, s.tellWait)
	if err != nil {
		return err
	}
	s.run.deck = deck
	if note != "" {
		s.events = append(s.events, note)
	}
	return nil
}

// chooseRestart finds where the run begins: with the deck, or with a dump.
func (s *start) chooseRestart() error {
	if s.isFollower() || s.job.Restart.Mode == settings.RestartNever {
		return nil
	}
	run := restart.Run{Deck: s.run.deck, Solver: s.job.Solver, Options: s.options, Command: s.command, Stdout: stdoutName, Dump: s.job.Restart.Dump, Watch: s.job.Watch.Encode()}
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
	s.options.Restart, s.options.Both = choice.Dump, choice.Both
	return s.rebuildCommand()
}

func (s *start) rebuildCommand() (err error) {
	if s.command, err = launch.Build(s.job.Solver, s.options); err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	return nil
}
