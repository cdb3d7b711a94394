// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/runfolder"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ended"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/killfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// folderPatience bounds each thing that a start does in its run folder; reading the
// deck and old outputs has readTimeout.
const folderPatience = 30 * time.Second

// runFolder is the run folder of a start. All that is done there goes through its
// watcher, with a deadline; afterwards the watcher is the run's.
type runFolder struct {
	base, rel string // base is trusted
	watcher   *watch.Watcher
	unlock    func()   // lets other starts into the folder
	lock      *os.File // the folder's, for the supervisor; nil before it is taken and after the launch
	old       rundir.Outputs
	deck      deck.Deck         // where dumps may be chosen by it
	completed *ended.Completion // the allocation has completed the run already
	before    *rundir.Record    // another one has, and what the folder's record says of that is old once this run begins
	began     string            // what was chosen to begin with, and why
}

func (r *runFolder) path() string { return filepath.Join(r.base, r.rel) }

func (r *runFolder) closeLock() {
	if r.lock != nil {
		_ = r.lock.Close()
		r.lock = nil
	}
}

// started hands the folder over to the run: from now on it is the run itself that
// keeps others out.
func (r *runFolder) started() { r.unlock() }

// abandon lets go of the folder of a failed start. Other starts get into it when
// nothing more happens there: a file server that does not answer now may yet do what
// it was asked.
func (r *runFolder) abandon() {
	if r.watcher == nil {
		return
	}
	r.closeLock()
	r.watcher.Release()
	const moment = time.Second
	select {
	case <-r.watcher.Done():
		r.unlock()
	case <-time.After(moment):
		go func() {
			<-r.watcher.Done()
			r.unlock()
		}()
	}
}

// inFolder does something in the run folder with the rights of the task's user, for
// folderPatience at most.
func (s *start) inFolder(do func(*rundir.Folder) error) error {
	return s.during(folderPatience, func(_ context.Context, f *rundir.Folder) error { return do(f) })
}

// during does something in the run folder. A file server that does not answer in
// time is a matter for the restart policy.
func (s *start) during(patience time.Duration, do func(context.Context, *rundir.Folder) error) error {
	ctx, cancel := context.WithTimeout(s.d.ctx, patience)
	defer cancel()
	err := s.run.watcher.Do(ctx, func(f *rundir.Folder) error { return do(ctx, f) })
	if rundir.Unavailable(err) {
		return structs.NewRecoverableError(fmt.Errorf("work_dir %s: %w", s.run.path(), err), true)
	}
	return err
}

// openFolder opens the run folder without trusting anything in it.
func (s *start) openFolder() error {
	s.run.base, s.run.rel = s.job.WorkRoot, s.job.WorkDir
	if s.run.base == "" {
		s.run.base = s.cfg.TaskDir().Dir
	}
	if s.isFollower() {
		s.run.unlock = func() {} // the leading node's task has the folder
	} else if err := s.lockFolder(); err != nil {
		return err
	}
	logger := s.d.logger.With("alloc_id", s.id.Alloc, "task", s.id.Task)
	s.place.events = s.d.events.Stream(s.id, logger)
	s.run.watcher = watch.Start(runfolder.WatchOptions(s.run.base, s.run.rel, s.user, logger, nil))
	if err := s.inFolder(func(*rundir.Folder) error { return nil }); err != nil {
		err = fmt.Errorf("work_dir: %w", err)
		if s.job.WorkRoot == "" {
			return err // Nomad has made the task directory, and nothing is to be mounted there
		}
		return recoverableAway(err)
	}
	if err := s.inFolder(func(f *rundir.Folder) error { return f.CheckInput(s.job.Input) }); err != nil {
		return recoverableAway(fmt.Errorf("input: %w", err))
	}
	if s.isFollower() {
		return s.follow() // status reads the run's outputs on every node
	}
	if err := s.awaitOthers(s.run.watcher.View().Dir); err != nil {
		return err
	}
	if err := s.judgeUnseen(); err != nil {
		return err
	}
	if err := s.claimFolder(); err != nil {
		return err
	}
	return s.follow()
}

// recoverableAway makes the error of a folder or a deck recoverable that is not there,
// or has no rights: what is not mounted now may be in a moment.
func recoverableAway(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return structs.NewRecoverableError(err, true)
	}
	return err
}

// claimFolder takes the run folder for this run.
func (s *start) claimFolder() (err error) {
	claim := runfolder.Claim{Path: s.run.path(), Vacancy: s.d.patience.vacancy, Tell: s.tellWait}
	s.run.lock, err = claim.Take(s.d.ctx, s.run.watcher, s.owner())
	return err
}

// owner is what the run folder tells others of this run. Until its supervisor is
// there, it lives as long as this process.
func (s *start) owner() ownership.Owner {
	o := runfolder.Owner(s.id, &state.Details{
		Namespace: s.cfg.Namespace, JobID: s.cfg.JobID, AllocDir: s.cfg.AllocDir, RunBase: s.run.base, RunFolder: s.run.rel,
		NodeID: s.cfg.NodeID, NodeName: s.cfg.NodeName, StartedAt: time.Now(),
	})
	ticks, _ := procfs.StartTicks(procfs.Root, os.Getpid())
	o.Processes = []ownership.Process{{PID: os.Getpid(), StartTicks: ticks}}
	return o
}

// nameProcesses has the record in the run folder name the run's processes before
// anybody hears of the start: until then a solver whose plugin and supervisor die looks
// like a run that is over. A folder that does not answer gets it with a later look.
func (s *start) nameProcesses() {
	const moment = 2 * time.Second
	ctx, cancel := context.WithTimeout(s.d.ctx, moment)
	defer cancel()
	if _, err := s.run.watcher.Look(ctx); err != nil {
		s.handle.Logger().Debug("the run folder does not name the run's processes yet", "error", err)
		return
	}
	s.noteBeginning(ctx)
}

// noteBeginning notes in the run folder what the run begins with: Nomad's events go by.
func (s *start) noteBeginning(ctx context.Context) {
	if s.isFollower() {
		return
	}
	past := runfolder.Past(s.id, s.details)
	past.Restart = s.job.Restart.String()
	switch {
	case s.run.completed != nil:
		return // it has nothing to do
	case s.run.began != "":
		past.Began = s.run.began
	default:
		past.Began = "starting from the deck"
	}
	if err := s.run.watcher.Do(ctx, func(f *rundir.Folder) error { return f.NoteRun(past) }); err != nil {
		s.handle.Logger().Debug("cannot note how the run began", "error", err)
	}
}

// lockFolder keeps other starts out of the run folder, and refuses one where a
// solver runs.
func (s *start) lockFolder() (err error) {
	path := s.run.path()
	ctx, cancel := context.WithTimeout(s.d.ctx, folderPatience)
	defer cancel()
	if s.run.unlock, err = s.d.starts.Lock(ctx, "folder "+path); err != nil {
		return structs.NewRecoverableError(fmt.Errorf("work_dir %s: an earlier start still waits for its file server: %w", path, err), true)
	}
	if err := s.awaitOthers(rundir.DirID{}); err != nil {
		s.run.unlock()
		return err
	}
	return nil
}

// awaitOthers waits for the runs of this driver in the same folder, by its path or by
// what folder it is.
func (s *start) awaitOthers(dir rundir.DirID) error {
	path := s.run.path()
	for _, h := range s.d.runs.InFolder(path, dir) {
		if err := s.awaitLeaving(h); err != nil {
			return structs.NewRecoverableError(fmt.Errorf("work_dir %s: %w", path, err), true)
		}
	}
	return nil
}

// awaitLeaving waits for a run that is being stopped, and for the outputs of one
// that is over: its end still reads and writes in the folder. Nobody reads those of a
// run whose record does not tell what they are.
func (s *start) awaitLeaving(h *task.Handle) error {
	if !h.AwaitStop(s.d.ctx) {
		return fmt.Errorf("%s runs there; two solvers in one folder destroy each other's results; %s", h.Name(), h.WayOut())
	}
	if h.Details() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.d.ctx, folderPatience)
	defer cancel()
	for _, over := range []<-chan struct{}{h.Ended(), h.Left()} {
		select {
		case <-over:
		case <-ctx.Done():
			return fmt.Errorf("the outputs of task %s, which has ended there, are still being read", h.ID)
		}
	}
	return nil
}

// follow finds out which outputs are there before the run: they are not the run's.
func (s *start) follow() error {
	err := s.during(readTimeout, func(ctx context.Context, f *rundir.Folder) (err error) {
		s.run.old, err = f.Snapshot(ctx, s.job.JobID, stdoutName, stderrName)
		return err
	})
	if err != nil {
		return fmt.Errorf("work_dir: %w", err)
	}
	return nil
}

// writeFiles puts what the command line refers to into the run folder, takes away a
// sense switch that was meant for an earlier run, and begins to read the outputs.
func (s *start) writeFiles() error {
	if s.isFollower() {
		return nil
	}
	err := s.inFolder(func(f *rundir.Folder) error {
		if err := f.WriteFiles(s.command.Files); err != nil {
			return fmt.Errorf("work_dir: %w", err)
		}
		if err := killfile.Clear(f); err != nil {
			return fmt.Errorf("work_dir: remove an old sense switch: %w", err)
		}
		if s.run.before != nil && s.job.Restart.Mode == settings.RestartNever {
			return f.WriteRecord(rundir.Record{})
		}
		return nil
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.d.ctx, folderPatience)
	defer cancel()
	return s.run.watcher.Follow(ctx, rundir.FollowOptions{Stdout: stdoutName, JobID: s.job.JobID, Old: s.run.old})
}
