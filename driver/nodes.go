// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"io/fs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/share"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
)

// isFollower reports whether another node leads the run.
func (s *start) isFollower() bool { return s.share.Follows() }

// checkCompletedAsFollower finds out whether this allocation took part in a run that has
// completed.
func (s *start) checkCompletedAsFollower() error {
	var done *ended.Completion
	err := s.inFolder(func(f *rundir.Folder) (err error) {
		done, err = s.share.Completed(f, s.cfg, s.id)
		return err
	})
	switch {
	case err == nil:
		s.run.completed = done
	case !errors.Is(err, fs.ErrNotExist): // nothing is overwritten by a node that does not lead
		s.d.logger.Warn("cannot tell whether the run has completed already", "alloc_id", s.id.Alloc, "error", err)
	}
	return nil
}

// noteRestarted notes in the run folder that a completed run was started again.
func (s *start) noteRestarted() error {
	if s.isFollower() {
		return nil // the leading node's task does
	}
	return s.inFolder((*rundir.Folder).NoteRestarted)
}

// joinNodes makes of the solver's command the one that is executed in its place on this
// node of a run.
func (s *start) joinNodes() (err error) {
	if s.share.Of <= 1 {
		return nil
	}
	s.command, err = s.share.Join(share.Task{
		ID: s.id, Node: s.cfg.NodeName, Version: Version, Job: s.job, Command: s.command,
		Root: s.user.UID == 0, Stdout: stdoutName, Old: s.run.old,
	})
	if err != nil {
		return err
	}
	s.events = append(s.events, s.share.Describe())
	return nil
}
