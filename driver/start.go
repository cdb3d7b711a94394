// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/accounts"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/placement"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/runfolder"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/share"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// stdoutName is the file in the run folder that takes the solver's stdout and
// stderr: the first source of the outcome.
const (
	stdoutName = "stdout"
	stderrName = "stderr"
)

// launchTimeout bounds the time from the supervisor's start to the solver's.
const launchTimeout = 30 * time.Second

// start is a task on its way from its configuration to its process.
type start struct {
	d     *Driver
	cfg   *drivers.TaskConfig
	node  *settings.Settings
	job   *settings.TaskSettings
	id    state.ID
	user  supervisor.User
	place place
	run   runFolder
	share share.Share

	options launch.Options
	command launch.Command
	kept
	handle *task.Handle
	events []string // told once the task is there
}

// kept is what a recovery needs of a run.
type kept struct {
	record  *state.Record
	details *state.Details
	spec    *supervisor.Spec
}

// place is where a start puts its processes.
type place struct {
	cgroups  supervisor.Cgroups
	parent   string // of the cgroups
	asked    int    // cores
	met      func() // the cores asked for are left to this start until it is called
	reserved cpuset.Set
	binder   *placement.Binder
	events   *events.Stream
	lease    allocator.Lease // empty: without affinity
	told     int             // which of the start's events tells of the cores, from 1; 0: none
}

// StartTask starts a solver: it finds the user and the run folder, ends a live
// predecessor, takes cores, and has a supervisor execute the solver on them. The
// returned handle suffices to find the solver again after any restart. Errors that
// a later try may not meet (no free core, a busy run folder, a file server that does
// not answer) are recoverable, so that the restart policy applies.
func (d *Driver) StartTask(cfg *drivers.TaskConfig) (*drivers.TaskHandle, *drivers.DriverNetwork, error) {
	if err := d.waitReady(readyPatience); err != nil {
		return nil, nil, structs.NewRecoverableError(err, !errors.Is(err, errDisabled))
	}
	unlock, err := d.starts.Lock(d.ctx, startKey(cfg.AllocID, cfg.Name))
	if err != nil {
		return nil, nil, structs.NewRecoverableError(err, true)
	}
	defer unlock()
	if h, err := d.task(cfg.ID); err == nil && h.IsAttached() && !h.IsGone() {
		return nil, nil, fmt.Errorf("task with ID %q already started", cfg.ID)
	}
	s := &start{d: d, cfg: cfg, node: d.settings(), place: place{met: func() {}}}
	defer func() { s.place.met() }()
	handle, err := s.do()
	if err != nil {
		s.undo()
		return nil, nil, events.ForNomad(err)
	}
	s.run.started()
	for i, text := range s.events {
		if i == s.place.told-1 {
			text += s.describe()
		}
		s.handle.Events.Emit(text)
	}
	return handle, nil, nil
}

// describe says how the cores are used, by whom and where. The folder, which may be long,
// comes last.
func (s *start) describe() string {
	return fmt.Sprintf(": %s, as %s, in %s", s.command.Shape(), s.user.Name, s.run.path())
}

// do takes the steps of a start. RecoverTask walks them back.
func (s *start) do() (*drivers.TaskHandle, error) {
	err := take(s.decode, s.findUser, s.endPredecessors, s.openFolder, s.checkCompleted, s.checkRepeated)
	if err == nil && s.run.completed != nil {
		return s.endAsCompleted()
	}
	if err == nil {
		err = take(s.checkLicense, s.identifyDeck, s.takeCores, s.buildCommand, s.chooseRestart, s.writeFiles, s.joinNodes, s.makeRecord, s.launch)
	}
	if err != nil {
		return nil, err
	}
	return s.taskHandle()
}

// take takes steps up to the first that fails.
func take(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// undo gives back what a failed start took. What it could not end keeps its cores,
// its record and its folder, and is watched like any run that was adopted: the next
// start of the task ends it, or its own end gives them back. Nomad knows nothing of it,
// so nobody but forget removes it.
func (s *start) undo() {
	if s.handle != nil && !s.handle.IsGone() {
		if err := s.handle.Kill(s.d.ctx); err != nil {
			s.handle.Logger().Error("a failed start left processes that cannot be ended yet; their cores stay taken", "error", err)
			s.run.started()
			s.details.StartFailed = true
			if err := s.record.WriteDetails(s.details); err != nil {
				s.handle.Logger().Warn("cannot record that a start failed; its record may stay", "error", err)
			}
			s.d.routines.Go(func() { s.d.forget(s.handle, s.handle.Gone()) })
			return
		}
	}
	if s.handle != nil {
		s.handle.Abandon()
		s.d.runs.Remove(s.handle)
	}
	if s.place.binder != nil {
		s.place.binder.Release()
	}
	s.run.abandon()
	if s.record != nil {
		s.record.Unlock()
		if err := supervisor.RemoveCgroups(s.record.Dir); err != nil {
			s.d.logger.Warn("cannot remove the cgroup of a failed start", "error", err)
		}
		if err := s.record.Remove(); err != nil {
			s.d.logger.Warn("cannot remove the record of a failed start", "error", err)
		}
	}
}

// decode reads and checks the task's configuration.
func (s *start) decode() (err error) {
	var config settings.TaskConfig
	if err := s.cfg.DecodeDriverConfig(&config); err != nil {
		return fmt.Errorf("decode task configuration: %w", err)
	}
	if s.job, err = s.node.ParseTask(config); err != nil {
		return fmt.Errorf("task configuration: %w", err)
	}
	if len(s.cfg.Mounts) > 0 || len(s.cfg.Devices) > 0 {
		return errors.New("driver lsdyna runs on the host's file system: it takes no volume mounts and no devices; name a host path in work_dir below one of the node's work_roots")
	}
	if s.id, err = state.ParseID(s.cfg.ID); err != nil {
		return err
	}
	if err := s.checkSolver(); err != nil {
		return err
	}
	if s.share, err = share.Find(s.job, s.cfg); err != nil {
		return err
	}
	if r := s.cfg.Resources; r != nil && r.LinuxResources != nil && r.LinuxResources.CpusetCpus != "" {
		if s.place.reserved, err = cpuset.Parse(r.LinuxResources.CpusetCpus); err != nil {
			return fmt.Errorf("cores that Nomad reserved: %w", err)
		}
	}
	return s.countCores()
}

func (s *start) findUser() (err error) {
	s.place.cgroups, s.place.parent = s.d.cores.CgroupsOf(s.cfg)
	s.user, err = s.node.TaskUser(s.d.ctx, s.d.accounts, s.cfg.User, s.job.Group)
	if accounts.Unsure(err) {
		return structs.NewRecoverableError(err, true)
	}
	return err
}

// takeCores leases the task's cores, and decides what a shortage means.
func (s *start) takeCores() (err error) {
	defer s.place.met()
	logger := s.d.logger.With("alloc_id", s.id.Alloc, "task", s.id.Task)
	stream := s.place.events
	s.place.binder = s.d.cores.NewBinder(placement.Run{
		Owner: s.id.String(), Asked: s.place.asked, Parent: s.place.parent, Began: time.Now(),
		Report: func(text string) { stream.Emit(text) }, Logger: logger,
	})
	s.place.lease, err = s.place.binder.AwaitLease(s.d.ctx, s.place.reserved, placement.Wait{
		Patience: s.d.patience.vacancy, Leaving: s.awaitOwner, Tell: s.tellWait,
	})
	var short *allocator.ShortageError
	var taken *allocator.ConflictError
	switch {
	case err == nil:
		s.tellCores(s.place.binder.Describe())
		return nil
	case errors.As(err, &taken):
		return structs.NewRecoverableError(fmt.Errorf("cores: %w", err), true)
	case !errors.As(err, &short):
		return fmt.Errorf("cores: %w", err)
	case s.job.Shortage == settings.ShortageRetry:
		return structs.NewRecoverableError(fmt.Errorf("not enough free cores: %w; shortage = \"retry\" has the restart policy try again", short), true)
	}
	s.tellCores(s.d.cores.DescribeShortage(short))
	return nil
}

// tellCores makes an event of which cores the run has, to be completed by describe.
func (s *start) tellCores(words string) {
	s.events = append(s.events, words)
	s.place.told = len(s.events)
}

// awaitOwner waits for a task that is being stopped and has cores that this one wants.
func (s *start) awaitOwner(id string) {
	if h, err := s.d.task(id); err == nil {
		h.AwaitStop(s.d.ctx)
	}
}

// tellWait makes an event of what the start waits for, at once.
func (s *start) tellWait(words string) {
	s.place.events.Attach() // Nomad's task runner is there: it has called StartTask
	s.place.events.Emit(words)
}

// buildCommand makes LS-DYNA's command line and environment.
func (s *start) buildCommand() (err error) {
	s.options = launch.Options{
		Input: s.job.Input, NCPU: s.job.NCPU, Memory: s.job.Memory, Memory2: s.job.Memory2,
		JobID: s.job.JobID, Args: s.job.Args, Root: s.user.UID == 0, Nodes: s.job.Nodes, Follower: s.isFollower(), RanksPerNode: s.job.RanksPerNode,
		Env: maps.Clone(s.cfg.Env), License: s.node.License, Placement: s.place.binder.LaunchPlacement(),
	}
	if r := s.cfg.Resources; r != nil && r.NomadResources != nil {
		s.options.ResourceMemoryBytes = r.NomadResources.Memory.MemoryMB << 20
	}
	if s.command, err = launch.Build(s.job.Solver, s.options); err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	s.events = append(s.events, s.command.Notes...)
	return nil
}

// makeRecord makes the run's record and takes its lock, before anything runs.
func (s *start) makeRecord() (err error) {
	if s.record, err = s.d.store.Create(s.id); err != nil {
		return structs.NewRecoverableError(err, true)
	}
	if s.details, err = s.makeDetails(); err != nil {
		return err
	}
	if err := s.checkHandle(); err != nil {
		return err
	}
	if err := s.record.WriteDetails(s.details); err != nil {
		return structs.NewRecoverableError(err, true)
	}
	return nil
}

func (s *start) makeDetails() (*state.Details, error) {
	old, err := json.Marshal(s.run.old)
	if err != nil {
		return nil, fmt.Errorf("encode old outputs: %w", err)
	}
	var completed json.RawMessage
	if s.run.completed != nil {
		if completed, err = json.Marshal(s.run.completed); err != nil {
			return nil, fmt.Errorf("encode the completed run: %w", err)
		}
	}
	dir := s.run.watcher.View().Dir
	return &state.Details{
		TaskID: s.cfg.ID, JobID: s.cfg.JobID, JobName: s.cfg.JobName, Namespace: s.cfg.Namespace,
		Group: s.cfg.TaskGroupName, Task: s.cfg.Name, AllocID: s.cfg.AllocID, AllocDir: s.cfg.AllocDir,
		NodeID: s.cfg.NodeID, NodeName: s.cfg.NodeName, StartedAt: time.Now(), User: s.user.Name, UID: s.user.UID, GID: s.user.GID, Groups: s.user.Groups, Home: s.user.Home,
		Solver: s.job.Solver.Name, Parallel: string(s.job.Solver.Parallel), Precision: string(s.job.Solver.Precision), MPI: string(s.job.Solver.MPI),
		RunBase: s.run.base, RunFolder: s.run.rel, RunDevice: dir.Dev, RunInode: dir.Ino, Stdout: stdoutName, Input: s.job.Input, LSDynaJob: s.job.JobID,
		CoresAsked: s.place.asked, Reserved: !s.place.reserved.IsEmpty(), CgroupParent: s.place.parent, Placement: s.place.lease.Reason,
		Ranks: s.command.RanksHere(), Threads: s.command.Threads,
		Nodes: s.share.Of, NodeIndex: s.share.Index, NodesKey: s.share.Key,
		Stop: s.job.StopName(), Restart: s.options.Restart, StartTimeout: s.job.StartTimeout, Report: s.job.Report, Watch: s.job.Watch.Encode(), Old: old, Deck: s.run.deck.Hash, Completed: completed,
		Checkpoint: s.job.Checkpoint.Every, CheckpointKeep: s.job.Checkpoint.Keep,
	}, nil
}

// makeSpec says what the supervisor is to run.
func (s *start) makeSpec() *supervisor.Spec {
	spec := &supervisor.Spec{
		TaskID: s.cfg.ID, Command: s.command.Path, Args: s.command.Args, Dir: s.run.path(), User: s.user,
		Cgroups: s.place.cgroups, Limits: placement.LimitsOf(s.cfg), AllowSetuid: s.node.AllowSetuid,
		StdoutName: s.share.Stream(stdoutName), StderrName: s.share.Stream(stderrName),
		StdoutFIFO: s.cfg.StdoutPath, StderrFIFO: s.cfg.StderrPath,
	}
	s.d.cores.LimitProcesses(spec, s.place.parent, s.node.MaxProcesses)
	if warning := s.place.binder.PrepareSpec(spec); warning != "" {
		s.events = append(s.events, warning)
	}
	return spec
}

// launch has a supervisor execute the solver.
func (s *start) launch() error {
	s.spec = s.makeSpec()
	ctx, cancel := context.WithTimeout(s.d.ctx, launchTimeout)
	defer cancel()
	proc, err := supervisor.Start(ctx, supervisor.Launch{
		Dir: s.record.Dir, Lock: s.record.Lock(), Folder: s.run.lock, Spec: s.spec, Env: s.command.Env,
	})
	s.record.Unlock()
	s.run.closeLock()
	if err != nil {
		s.watchUnended(err)
		return fmt.Errorf("start solver: %w", err)
	}
	rec, err := proc.Record()
	s.watch(proc, task.Attached)
	if err != nil {
		return fmt.Errorf("start solver: %w", err)
	}
	s.place.binder.Attach(proc, rec)
	s.nameProcesses()
	if warning := runfolder.InAllocWarning(s.details, s.node.WorkRoots); warning != "" && s.options.Restart == "" {
		s.events = append(s.events, warning)
	}
	return nil
}

// watch makes the run known to the driver.
func (s *start) watch(proc *supervisor.Process, phase task.Phase) {
	rec, _ := proc.Record()
	if spec := proc.Spec(); spec != nil {
		s.spec = spec // with its version
	}
	s.handle = s.d.newHandle(task.Options{
		ID: s.id, Record: s.record, Spec: s.spec, Details: s.details, Watcher: s.run.watcher, Process: proc, PID: rec,
		Phase: phase, Env: s.cfg.Env, Binder: s.place.binder, Events: s.place.events,
	})
	s.d.add(s.handle)
}

// watchUnended watches what a failed launch left behind that could not be ended: a
// process that waits for a dead file server, which not even SIGKILL ends.
func (s *start) watchUnended(err error) {
	if left, ok := errors.AsType[*supervisor.NotEndedError](err); ok {
		s.watch(left.Process, task.Adopted)
	}
}

// taskHandle makes what Nomad keeps for RecoverTask.
func (s *start) taskHandle() (*drivers.TaskHandle, error) {
	details, err := s.details.Encode()
	if err != nil {
		return nil, err
	}
	rec, err := s.handle.Process().Record()
	if err != nil {
		return nil, err
	}
	h := drivers.NewTaskHandle(state.TaskStateVersion)
	h.Config = s.cfg
	h.State = drivers.TaskStateRunning
	return h, h.SetDriverState(&state.TaskState{
		Version: state.TaskStateVersion, TaskID: s.cfg.ID, AllocID: s.id.Alloc, Task: s.id.Task, Invocation: s.id.Invocation,
		PID: rec.PID, StartTicks: rec.StartTime, SupervisorPID: rec.SupervisorPID, SupervisorStart: rec.SupervisorStartTime,
		BootID: rec.BootID, StartedAt: s.details.StartedAt.UnixNano(), Cores: s.place.binder.CPUs(), Reserved: !s.place.reserved.IsEmpty(),
		Details: details, DriverPluginVersion: Version,
	})
}
