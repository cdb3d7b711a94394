// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
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
	d       *Driver
	cfg     *drivers.TaskConfig
	config  *Config
	task    TaskConfig
	id      state.ID
	user    supervisor.User
	cgroups supervisor.Cgroups
	parent  string // of the cgroups

	solver       lsdyna.Solver
	base         string // trusted folder that holds the run folder
	folder       *rundir.Folder
	unlockFolder func() // of another task's start in it
	old          rundir.Outputs
	asked        int // cores
	reserved     cpuset.Set
	lease        allocator.Lease // empty: without affinity
	says         []string        // events, once the task is there

	options launch.Options
	command launch.Command
	record  *state.Record
	t       *task
}

// StartTask starts a solver: it finds the user and the run folder, ends a live
// predecessor, takes cores, and has a supervisor execute the solver on them. The
// returned handle suffices to find the solver again after any restart. Errors that
// a later try may not meet (no free core, a busy run folder) are recoverable, so
// that the restart policy applies.
func (d *Driver) StartTask(cfg *drivers.TaskConfig) (*drivers.TaskHandle, *drivers.DriverNetwork, error) {
	if err := d.waitReady(); err != nil {
		return nil, nil, structs.NewRecoverableError(err, !errors.Is(err, errDisabled))
	}
	defer d.starting.lock(cfg.AllocID + "/" + cfg.Name)()
	if t, err := d.task(cfg.ID); err == nil && t.isClaimed() && !t.isOver() {
		return nil, nil, fmt.Errorf("task with ID %q already started", cfg.ID)
	}

	s := &start{d: d, cfg: cfg, config: d.currentConfig()}
	defer func() {
		if s.unlockFolder != nil {
			s.unlockFolder()
		}
	}()
	for _, step := range []func() error{
		s.decode, s.findUser, s.endPredecessors, s.openFolder, s.checkLicence, s.takeCores, s.buildCommand,
		s.chooseRestart, s.writeFiles, s.makeRecord, s.launch,
	} {
		if err := step(); err != nil {
			s.undo()
			return nil, nil, err
		}
	}
	handle, err := s.handle()
	if err != nil {
		_ = s.t.kill(d.ctx)
		s.undo()
		return nil, nil, err
	}
	d.add(s.t)
	d.settle(s.t)
	d.shyAway()
	for _, words := range s.says {
		s.t.say(words)
	}
	return handle, nil, nil
}

// undo gives back what a failed start took.
func (s *start) undo() {
	if !s.lease.CPUs.IsEmpty() {
		s.d.cores.release(s.id.String())
	}
	if s.t != nil && s.t.process() != nil {
		s.t.process().Close()
	}
	if s.folder != nil {
		_ = s.folder.Close()
	}
	if s.record != nil {
		s.record.Unlock()
		if err := s.record.Remove(); err != nil {
			s.d.logger.Warn("cannot remove the record of a failed start", "error", err)
		}
	}
}

// decode reads and checks the task's configuration.
func (s *start) decode() (err error) {
	if err := s.cfg.DecodeDriverConfig(&s.task); err != nil {
		return fmt.Errorf("decode task configuration: %w", err)
	}
	if err := s.task.Validate(s.config); err != nil {
		return fmt.Errorf("task configuration: %w", err)
	}
	if len(s.cfg.Mounts) > 0 || len(s.cfg.Devices) > 0 {
		return errors.New("driver lsdyna runs on the host's file system: it takes no volume mounts and no devices; name a host path in work_dir below one of the node's work_roots")
	}
	if s.id, err = state.ParseID(s.cfg.ID); err != nil {
		return err
	}
	s.solver = s.task.lsdynaSolver(s.config)
	if err := checkSolver(SolverConfig{Path: s.solver.Path, MPIRun: s.solver.MPIRun}, os.Stat); err != nil {
		return fmt.Errorf("solver: %w", err)
	}
	if r := s.cfg.Resources; r != nil && r.LinuxResources != nil && r.LinuxResources.CpusetCpus != "" {
		if s.reserved, err = cpuset.Parse(r.LinuxResources.CpusetCpus); err != nil {
			return fmt.Errorf("cores that Nomad reserved: %w", err)
		}
	}
	return s.countCores()
}

// countCores finds how many cores the task asks for: ncpu, else the physical
// cores that it reserved, else one.
func (s *start) countCores() error {
	physical := 0
	if !s.reserved.IsEmpty() {
		physical = s.d.cores.physical(s.reserved)
	}
	if s.task.NCPU == 0 {
		s.task.NCPU = max(physical, 1)
	}
	s.asked = max(s.task.NCPU, -s.task.NCPU)
	if n := s.reserved.Len(); n > 0 && s.asked > n {
		return fmt.Errorf("ncpu = %d wants more than the %d cores that resources.cores reserves: raise resources.cores, or leave ncpu out to use all of them", s.task.NCPU, n)
	}
	return nil
}

func (s *start) findUser() (err error) {
	s.user, err = taskUser(s.cfg.User, s.config)
	s.cgroups, s.parent = s.d.cores.cgroup.ofTask(s.cfg)
	return err
}

// openFolder opens the run folder without trusting anything in it.
func (s *start) openFolder() (err error) {
	s.base = s.cfg.TaskDir().Dir
	rel := s.task.WorkDir
	if filepath.IsAbs(rel) {
		s.base = s.config.workRoot(rel)
		if rel, err = filepath.Rel(s.base, rel); err != nil {
			return err
		}
	}
	s.task.WorkDir = rel
	if s.folder, err = openRunFolder(s.base, rel, s.user); err != nil {
		return fmt.Errorf("work_dir: %w", err)
	}
	s.unlockFolder = s.d.starting.lock("folder " + s.folder.Path())
	if t := s.d.runningIn(s.folder.Path()); t != nil && !t.awaitStop(s.d.ctx) {
		return structs.NewRecoverableError(fmt.Errorf("work_dir %s: task %s runs there; two solvers in one folder destroy each other's results", s.folder.Path(), t.id), true)
	}
	if err := asUser(s.user, func() error { return s.folder.CheckInput(s.task.Input) }); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	if s.old, err = s.folder.Snapshot(); err != nil {
		return fmt.Errorf("work_dir: %w", err)
	}
	return nil
}

// takeCores leases the task's cores, and decides what a shortage means.
func (s *start) takeCores() error {
	owner := s.id.String()
	lease, displaced, err := s.d.cores.take(coreRequest{owner: owner, n: s.asked, reserved: s.reserved, parent: s.parent})
	s.d.moveAway(displaced, "Nomad reserved the cores for another task")
	var short *allocator.ShortageError
	var taken *allocator.ConflictError
	switch {
	case err == nil:
		s.lease = lease
		s.says = append(s.says, "Allocated "+allocator.Describe(lease))
		return nil
	case errors.As(err, &taken):
		// Nomad's scheduler frees cores as soon as it has decided to stop their task.
		return structs.NewRecoverableError(fmt.Errorf("cores: %w", err), true)
	case !errors.As(err, &short):
		return fmt.Errorf("cores: %w", err)
	case s.task.Shortage == shortageRetry:
		return structs.NewRecoverableError(fmt.Errorf("not enough free cores: %w; shortage = \"retry\" waits for them", short), true)
	}
	words := fmt.Sprintf("Running without affinity: %s", short)
	if left := s.d.cores.unleased(); !left.IsEmpty() {
		words += fmt.Sprintf("; kept off leased cores, on %s", left)
	}
	s.says = append(s.says, words)
	return nil
}

// buildCommand makes LS-DYNA's command line and environment.
func (s *start) buildCommand() (err error) {
	s.options = launch.Options{
		Input: s.task.Input, NCPU: s.task.NCPU, Memory: s.task.Memory, Memory2: s.task.Memory2,
		JobID: s.task.JobID, Args: s.task.Args, Root: s.user.UID == 0,
		Env: maps.Clone(s.cfg.Env), License: s.config.licence(),
	}
	if r := s.cfg.Resources; r != nil && r.NomadResources != nil {
		s.options.ResourceMemoryBytes = r.NomadResources.Memory.MemoryMB << 20
	}
	if !s.lease.CPUs.IsEmpty() {
		s.options.Placement = s.d.cores.placement(s.lease)
	}
	if s.command, err = launch.Build(s.solver, s.options); err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	s.says = append(s.says, s.command.Notes...)
	return nil
}

// writeFiles puts what the command line refers to into the run folder, and
// takes away a sense switch that was meant for an earlier run.
func (s *start) writeFiles() error {
	return asUser(s.user, func() error {
		if err := s.folder.WriteFiles(s.command.Files, rundir.Owner{UID: s.user.UID, GID: s.user.GID}); err != nil {
			return fmt.Errorf("work_dir: %w", err)
		}
		if err := s.folder.ClearSwitch(); err != nil {
			return fmt.Errorf("work_dir: remove an old sense switch: %w", err)
		}
		return nil
	})
}

// makeRecord makes the run's record and takes its lock, before anything runs.
func (s *start) makeRecord() (err error) {
	if s.record, err = s.d.store.Create(s.id); err != nil {
		return structs.NewRecoverableError(err, true)
	}
	details, err := s.makeDetails()
	if err != nil {
		return err
	}
	if err := s.record.WriteDetails(details); err != nil {
		return structs.NewRecoverableError(err, true)
	}
	s.t = &task{
		id: s.id, details: *details, record: s.record, folder: s.folder, claimed: true, env: s.cfg.Env,
		logger: s.d.logger.With("alloc_id", s.id.Alloc, "task", s.id.Task), events: s.d.events, cores: s.d.cores,
		follow: rundir.NewFollower(s.folder, rundir.FollowOptions{Stdout: stdoutName, JobID: s.task.JobID, Old: s.old}),
		done:   make(chan struct{}),
	}
	return nil
}

func (s *start) makeDetails() (*state.Details, error) {
	old, err := json.Marshal(s.old)
	if err != nil {
		return nil, fmt.Errorf("encode old outputs: %w", err)
	}
	return &state.Details{
		TaskID: s.cfg.ID, JobID: s.cfg.JobID, JobName: s.cfg.JobName, Namespace: s.cfg.Namespace,
		Group: s.cfg.TaskGroupName, Task: s.cfg.Name, AllocID: s.cfg.AllocID, AllocDir: s.cfg.AllocDir,
		StartedAt: time.Now(), User: s.user.Name, UID: s.user.UID, GID: s.user.GID,
		Solver: s.task.Solver, Parallel: string(s.solver.Parallel), Precision: string(s.solver.Precision),
		RunBase: s.base, RunFolder: s.task.WorkDir, Stdout: stdoutName, Input: s.task.Input, LSDynaJob: s.task.JobID,
		CoresAsked: s.asked, Reserved: !s.reserved.IsEmpty(), CgroupParent: s.parent, Placement: s.lease.Reason,
		Stop: s.task.Stop, Restart: s.options.Restart, StartTimeout: s.task.startTimeout(), Old: old,
	}, nil
}

// spec says what the supervisor is to run.
func (s *start) spec() *supervisor.Spec {
	spec := &supervisor.Spec{
		TaskID: s.cfg.ID, Command: s.command.Path, Args: s.command.Args, Dir: s.folder.Path(), User: s.user,
		Cgroups: s.cgroups, Limits: limits(s.cfg), CPUs: s.lease.CPUs.Slice(), AllowSetuid: s.config.AllowSetuid,
		StdoutName: stdoutName, StderrName: stderrName,
		StdoutFIFO: s.cfg.StdoutPath, StderrFIFO: s.cfg.StderrPath,
	}
	spec.Limits.Processes = s.config.MaxProcesses
	if spec.Cgroups.LeafCpuset != "" && !s.lease.CPUs.IsEmpty() {
		spec.Cgroups.CPUs = s.lease.CPUs.String()
	}
	if warning := s.d.cores.placeMemory(spec, s.lease.CPUs); warning != "" {
		s.says = append(s.says, warning)
	}
	return spec
}

// launch has a supervisor execute the solver.
func (s *start) launch() error {
	s.t.spec = s.spec()
	ctx, cancel := context.WithTimeout(s.d.ctx, launchTimeout)
	defer cancel()
	proc, err := supervisor.Start(ctx, supervisor.Launch{
		Dir: s.record.Dir, Lock: s.record.Lock(), Spec: s.t.spec, Env: s.command.Env,
	})
	s.record.Unlock()
	if err != nil {
		return fmt.Errorf("start solver: %w", err)
	}
	if spec := proc.Spec(); spec != nil {
		s.t.spec = spec // with its version
	}
	rec, err := proc.Record()
	s.t.setProcess(proc, rec)
	if err != nil {
		_ = s.t.kill(s.d.ctx)
		return fmt.Errorf("start solver: %w", err)
	}
	s.d.cores.alloc.SetPID(s.id.String(), rec.PID)
	return nil
}

// handle makes what Nomad keeps for RecoverTask.
func (s *start) handle() (*drivers.TaskHandle, error) {
	details, err := s.t.details.Encode()
	if err != nil {
		return nil, err
	}
	rec, err := s.t.process().Record()
	if err != nil {
		return nil, err
	}
	h := drivers.NewTaskHandle(state.TaskStateVersion)
	h.Config = s.cfg
	h.State = drivers.TaskStateRunning
	return h, h.SetDriverState(&state.TaskState{
		Version: state.TaskStateVersion, TaskID: s.cfg.ID, AllocID: s.id.Alloc, Task: s.id.Task, Invocation: s.id.Invocation,
		PID: rec.PID, StartTicks: rec.StartTime, SupervisorPID: rec.SupervisorPID, SupervisorStart: rec.SupervisorStartTime,
		BootID: rec.BootID, StartedAt: s.t.details.StartedAt.UnixNano(), Cores: s.t.cpus, Reserved: !s.reserved.IsEmpty(),
		Details: details, DriverPluginVersion: Version,
	})
}

func (t *task) isClaimed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.claimed
}
