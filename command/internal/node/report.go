// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"math"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// Report returns the state as programs read it.
func (s *State) Report() Report {
	r := Report{
		PhysicalCores: s.Topology.PhysicalCores(), LogicalCores: s.Topology.LogicalCores(),
		HyperThreading: s.Topology.HyperThreading(), AvailableCores: s.Available, SMT: s.Options.SMT,
		Cores: []CoreReport{}, Tasks: []TaskReport{}, Notes: notNil(slices.Concat(s.Notes, s.Warnings)),
	}
	for _, cpu := range s.Topology.CPUs {
		if cpu.Online {
			r.Cores = append(r.Cores, s.coreReport(cpu))
		}
	}
	for _, t := range s.Tasks {
		r.Tasks = append(r.Tasks, s.taskReport(t))
	}
	return r
}

func (s *State) coreReport(cpu topology.CPU) CoreReport {
	use := s.Use(cpu.Index)
	row := CoreReport{
		Index: cpu.Index, Core: cpu.Core, Package: cpu.Package, NUMANode: cpu.NUMANode, Kind: cpu.Kind.String(),
		Managed: s.Usable.Contains(cpu.Index), Reserved: s.Reserved.Contains(cpu.Index),
		Claims: len(use.Bound), Drift: len(use.Drifting) > 0, Taken: use.Taken,
	}
	if cpu.L3 != topology.None {
		row.L3 = &cpu.L3
	}
	if t, idle := use.Owner(); t != nil {
		job := t.Job()
		row.JobID, row.AllocID, row.Task, row.Idle = &job, &t.ID.Alloc, &t.ID.Task, idle
		row.PID = known(t.Process.PID)
	}
	return row
}

func (s *State) taskReport(t *Task) TaskReport {
	r := TaskReport{
		TaskIdentity: TaskIdentity{
			JobID: t.Job(), Namespace: t.Details.Namespace, Group: t.Details.Group,
			AllocID: t.ID.Alloc, Task: t.ID.Task, Invocation: t.ID.Invocation,
		},
		TaskNodes: nodesReport(t),
		TaskProcess: TaskProcess{
			State: t.State.String(), PID: known(t.Process.PID), SupervisorPID: known(t.Process.SupervisorPID),
			User: t.Details.User,
		},
		TaskCores: s.taskCores(t),
		TaskSolver: TaskSolver{
			Solver: t.Details.Solver, Parallel: t.Details.Parallel, Precision: t.Details.Precision, RunDir: t.RunDir(),
		},
		LastRuns: t.Progress.LastRuns, Notes: notNil(t.Notes),
	}
	r.TaskDump = dumpReport(t, s.Now)
	s.addTimes(&r.TaskProcess, t)
	if t.Progress.Known {
		r.Version = known(t.Progress.Snapshot.Version)
		r.TaskProgress = progressReport(&t.Progress.Snapshot)
		health := t.Health(s.Now)
		r.Health = &health
	}
	return r
}

func (s *State) taskCores(t *Task) TaskCores {
	outside, unused := t.Drift()
	c := TaskCores{
		Cores: t.Cores.Slice(), IdleSiblings: []int{}, NUMANodes: s.Topology.NodesOf(t.Cores),
		Pinned: t.Pinned, Reserved: t.Details.Reserved, Placement: t.Details.Placement,
		Ranks: known(t.Details.Ranks), Threads: known(t.Details.Threads),
		Drift: !outside.IsEmpty() || !unused.IsEmpty(),
	}
	if !t.Kernel.IsEmpty() {
		c.KernelCores = t.Kernel.Slice()
	}
	for _, cpu := range s.Topology.CPUs {
		if s.Use(cpu.Index).Idle == t {
			c.IdleSiblings = append(c.IdleSiblings, cpu.Index)
		}
	}
	return c
}

// addTimes adds when the task started and how it ended.
func (s *State) addTimes(r *TaskProcess, t *Task) {
	end := s.Now
	if t.Exit != nil {
		end = t.Exit.FinishedAt
		r.Exit = &ExitReport{
			Code: t.Exit.Code, Signal: t.Exit.Signal, OOMKilled: t.Exit.OOMKilled,
			FinishedAt: t.Exit.FinishedAt, Launch: t.Exit.LaunchError,
		}
	}
	if r.Recoveries = t.Recoveries.Count; r.Recoveries > 0 {
		r.RecoveredAt = known(t.Recoveries.Last.UTC().Format(time.RFC3339))
	}
	if started := t.Details.StartedAt; !started.IsZero() {
		at := started.UTC().Format(time.RFC3339)
		r.StartedAt = &at
		if t.Live() || t.Exit != nil {
			elapsed := math.Round(t.Running(end).Seconds())
			r.Elapsed = &elapsed
		}
	}
}

// progressReport returns what the outputs say.
func progressReport(s *output.Snapshot) (r TaskProgress) {
	phase := string(s.Phase)
	r.Phase = &phase
	r.EndTime = finite(s.EndTime, s.EndTime > 0)
	if s.HasTime {
		r.Time = finite(s.Time, true)
		r.Cycle = &s.Cycle
	}
	if done, ok := Ratio(s); ok {
		r.Progress = finite(done, true)
	}
	r.ETA, r.ETALow, r.ETAHigh = s.ETA()
	r.NoETA, r.Case = known(s.NoETA), known(s.Case())
	if len(s.Sources) > 0 {
		r.Warnings, r.Errors = &s.Warnings, &s.Errors
	}
	r.FirstError = s.FirstError
	if dump := s.LastDump(); dump != nil {
		r.Dump = &dump.Name
	}
	return r
}

// known is nil for a zero value.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// finite is nil for what is not known and for what JSON cannot hold.
func finite(v float64, isKnown bool) *float64 {
	if !isKnown || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
