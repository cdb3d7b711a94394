// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"math"
	"slices"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// statusReport is what `status -json` prints. What is not known is null.
type statusReport struct {
	PhysicalCores  int           `json:"physical_cores"`
	LogicalCores   int           `json:"logical_cores"`
	HyperThreading bool          `json:"hyper_threading_enabled"`
	AvailableCores int           `json:"available_cores"`
	SMT            allocator.SMT `json:"smt"`
	Cores          []coreReport  `json:"cores"`
	Tasks          []taskReport  `json:"tasks"`
	Notes          []string      `json:"notes"`
}

// coreReport is one online CPU.
type coreReport struct {
	allocator.CoreStatus
	AllocID *string `json:"alloc_id"`
	Task    *string `json:"task"`
	Claims  int     `json:"claims"` // tasks bound to it; more than 1 is wrong
	Drift   bool    `json:"drift"`  // a task may run here whose pid file says otherwise
}

// taskReport is one record: a live task, or one that ended and that Nomad has
// not collected yet.
type taskReport struct {
	JobID      string `json:"job_id"`
	Namespace  string `json:"namespace"`
	Group      string `json:"group"`
	AllocID    string `json:"alloc_id"`
	Task       string `json:"task"`
	Invocation string `json:"invocation"`

	State         string    `json:"state"` // launching, running, orphaned, ended
	PID           *int      `json:"pid"`
	SupervisorPID *int      `json:"supervisor_pid"`
	User          string    `json:"user"`
	StartedAt     *string   `json:"started_at"`
	Elapsed       *float64  `json:"elapsed_seconds"`
	Exit          *exitView `json:"exit"`

	Cores        []int  `json:"cores"`
	IdleSiblings []int  `json:"idle_siblings"`
	NUMANodes    []int  `json:"numa_nodes"`
	Pinned       bool   `json:"pinned"`
	Reserved     bool   `json:"reserved"` // by Nomad: resources.cores
	Placement    string `json:"placement"`
	KernelCores  []int  `json:"kernel_cores"` // null where not known
	Drift        bool   `json:"drift"`

	Solver     string              `json:"solver"`
	Parallel   string              `json:"parallel"`
	Precision  string              `json:"precision"`
	Version    *string             `json:"version"`
	RunDir     string              `json:"run_dir"`
	Phase      *string             `json:"phase"`
	Time       *float64            `json:"time"`
	EndTime    *float64            `json:"end_time"`
	Progress   *float64            `json:"progress_ratio"`
	Cycle      *int64              `json:"cycle"`
	ETA        *float64            `json:"eta_seconds"`
	Warnings   *int64              `json:"warnings"`
	Errors     *int64              `json:"errors"`
	FirstError *output.SolverError `json:"first_error"`
	Dump       *string             `json:"restart_file"`
	Notes      []string            `json:"notes"`
}

// exitView is how a task ended.
type exitView struct {
	Code       int       `json:"code"`
	Signal     int       `json:"signal"`
	OOMKilled  bool      `json:"oom_killed"`
	FinishedAt time.Time `json:"finished_at"`
	Launch     string    `json:"launch_error,omitempty"`
}

func (s *survey) report() statusReport {
	r := statusReport{
		PhysicalCores: s.topo.PhysicalCores(), LogicalCores: s.topo.LogicalCores(),
		HyperThreading: s.topo.HyperThreading(), AvailableCores: s.available, SMT: s.opts.SMT,
		Cores: []coreReport{}, Tasks: []taskReport{}, Notes: notNil(slices.Concat(s.notes, s.warnings)),
	}
	for _, cpu := range s.topo.CPUs {
		if cpu.Online {
			r.Cores = append(r.Cores, s.coreReport(cpu))
		}
	}
	for _, t := range s.tasks {
		r.Tasks = append(r.Tasks, s.taskReport(t))
	}
	return r
}

func (s *survey) coreReport(cpu topology.CPU) coreReport {
	row := coreReport{
		CoreStatus: allocator.CoreStatus{
			Index: cpu.Index, Core: cpu.Core, Package: cpu.Package, NUMANode: cpu.NUMANode, Kind: cpu.Kind.String(),
			Managed: s.usable.Contains(cpu.Index), Reserved: s.reserved.Contains(cpu.Index),
		},
		Claims: len(s.owners[cpu.Index]), Drift: len(s.drifters[cpu.Index]) > 0,
	}
	if cpu.L3 != topology.None {
		row.L3 = &cpu.L3
	}
	if t, idle := s.owner(cpu.Index); t != nil {
		job := t.job()
		row.JobID, row.AllocID, row.Task, row.Idle = &job, &t.id.Alloc, &t.id.Task, idle
		row.PID = positive(t.process.PID)
	}
	return row
}

func (s *survey) taskReport(t *task) taskReport {
	outside, unused := t.drift()
	r := taskReport{
		JobID: t.job(), Namespace: t.details.Namespace, Group: t.details.Group,
		AllocID: t.id.Alloc, Task: t.id.Task, Invocation: t.id.Invocation,
		State: t.state.String(), PID: positive(t.process.PID), SupervisorPID: positive(t.process.SupervisorPID),
		User:  t.details.User,
		Cores: t.cores.Slice(), IdleSiblings: []int{}, NUMANodes: s.topo.NodesOf(t.cores),
		Pinned: t.pinned, Reserved: t.details.Reserved, Placement: t.details.Placement,
		Drift:  !outside.IsEmpty() || !unused.IsEmpty(),
		Solver: t.details.Solver, Parallel: t.details.Parallel, Precision: t.details.Precision,
		RunDir: runDir(t), Notes: notNil(t.notes),
	}
	if !t.kernel.IsEmpty() {
		r.KernelCores = t.kernel.Slice()
	}
	for _, cpu := range s.topo.CPUs {
		if s.idle[cpu.Index] == t {
			r.IdleSiblings = append(r.IdleSiblings, cpu.Index)
		}
	}
	s.addTimes(&r, t)
	if p := s.progress[t]; p.read {
		r.addProgress(p.snapshot)
	}
	return r
}

// addTimes adds when the task started and how it ended.
func (s *survey) addTimes(r *taskReport, t *task) {
	end := s.now
	if t.exit != nil {
		end = t.exit.FinishedAt
		r.Exit = &exitView{
			Code: t.exit.Code, Signal: t.exit.Signal, OOMKilled: t.exit.OOMKilled,
			FinishedAt: t.exit.FinishedAt, Launch: t.exit.LaunchError,
		}
	}
	if started := t.details.StartedAt; !started.IsZero() {
		at := started.UTC().Format(time.RFC3339)
		r.StartedAt = &at
		if t.live() || t.exit != nil {
			elapsed := math.Round(t.running(end).Seconds())
			r.Elapsed = &elapsed
		}
	}
}

// addProgress adds what the outputs say.
func (r *taskReport) addProgress(s output.Snapshot) {
	phase := string(s.Phase)
	r.Phase = &phase
	r.Version = positive(s.Version)
	r.EndTime = finite(s.EndTime, s.EndTime > 0)
	if s.HasTime {
		r.Time = finite(s.Time, true)
		r.Cycle = &s.Cycle
	}
	if done, ok := ratio(s); ok {
		r.Progress = finite(done, true)
	}
	if s.HasETA {
		r.ETA = finite(s.Remaining.Seconds(), true)
	}
	if len(s.Sources) > 0 {
		r.Warnings, r.Errors = &s.Warnings, &s.Errors
	}
	r.FirstError = s.FirstError
	if dump := s.LastDump(); dump != nil {
		r.Dump = &dump.Name
	}
}

// positive is nil for a zero value.
func positive[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// finite is nil for what is not known and for what JSON cannot say.
func finite(v float64, known bool) *float64 {
	if !known || math.IsNaN(v) || math.IsInf(v, 0) {
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
