// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/health"
)

// Report is what `status -json` prints. What is not known is null.
type Report struct {
	PhysicalCores  int           `json:"physical_cores"`
	LogicalCores   int           `json:"logical_cores"`
	HyperThreading bool          `json:"hyper_threading_enabled"`
	AvailableCores int           `json:"available_cores"` // that a new task could get
	SMT            allocator.SMT `json:"smt"`
	Cores          []CoreReport  `json:"cores"`
	Tasks          []TaskReport  `json:"tasks"`
	Notes          []string      `json:"notes"`
}

// CoreReport is one online CPU.
type CoreReport struct {
	Index    int     `json:"index"`  // the kernel's CPU number
	JobID    *string `json:"job_id"` // null where the CPU is free
	PID      *int    `json:"pid"`    // null where the CPU is free or the process not known
	Core     int     `json:"core"`   // physical core
	Package  int     `json:"package"`
	NUMANode int     `json:"numa_node"`
	L3       *int    `json:"l3"`
	Kind     string  `json:"kind"`
	Managed  bool    `json:"managed"`         // the driver may give it out
	Idle     bool    `json:"idle"`            // an idle sibling: held by a job that does not run on it
	Reserved bool    `json:"reserved"`        // by Nomad, for somebody else
	Taken    bool    `json:"taken,omitempty"` // by a task of another user, which is not told
	AllocID  *string `json:"alloc_id"`
	Task     *string `json:"task"`
	Claims   int     `json:"claims"` // tasks bound to it; more than 1 is wrong
	Drift    bool    `json:"drift"`  // a task may run here whose pid file says otherwise
}

// TaskReport is one record: a live task, or one that ended and that Nomad has
// not collected yet.
type TaskReport struct {
	TaskIdentity
	TaskNodes
	TaskProcess
	TaskCores
	TaskSolver
	TaskProgress
	Health *health.Health `json:"health"` // of its run; null: not known
	TaskDump
	LastRuns []output.PastRun `json:"last_runs"` // in its run folder, the oldest first; null: not known
	Notes    []string         `json:"notes"`
}

// TaskIdentity is what Nomad calls a task.
type TaskIdentity struct {
	JobID      string `json:"job_id"`
	Namespace  string `json:"namespace"`
	Group      string `json:"group"`
	AllocID    string `json:"alloc_id"`
	Task       string `json:"task"`
	Invocation string `json:"invocation"`
}

// TaskNodes is a task's part of a run over several nodes. A task whose run is on one node
// has none of these keys.
type TaskNodes struct {
	Nodes        int    `json:"nodes,omitempty"`
	NodeIndex    *int   `json:"node_index,omitempty"`    // of this one; 0 leads the run
	NodesWaiting bool   `json:"nodes_waiting,omitempty"` // the run waits for some of its nodes
	NodesText    string `json:"nodes_text,omitempty"`    // whom the run waits for, then which nodes it has
	NodesStop    string `json:"nodes_stop,omitempty"`    // which node asked for the run's stop
}

// TaskProcess is a task's process.
type TaskProcess struct {
	State         string      `json:"state"` // launching, running, orphaned, ended
	PID           *int        `json:"pid"`
	SupervisorPID *int        `json:"supervisor_pid"`
	User          string      `json:"user"`
	StartedAt     *string     `json:"started_at"`
	Elapsed       *float64    `json:"elapsed_seconds"`
	Recoveries    int         `json:"recoveries"`   // how often a new plugin has taken it up
	RecoveredAt   *string     `json:"recovered_at"` // the last time
	Exit          *ExitReport `json:"exit"`
}

// ExitReport is how a task ended.
type ExitReport struct {
	Code       int       `json:"code"`
	Signal     int       `json:"signal"`
	OOMKilled  bool      `json:"oom_killed"`
	FinishedAt time.Time `json:"finished_at"`
	Launch     string    `json:"launch_error,omitempty"`
}

// TaskCores is where a task runs.
type TaskCores struct {
	Cores        []int  `json:"cores"`
	IdleSiblings []int  `json:"idle_siblings"`
	NUMANodes    []int  `json:"numa_nodes"`
	Pinned       bool   `json:"pinned"`
	Reserved     bool   `json:"reserved"` // by Nomad: resources.cores
	Placement    string `json:"placement"`
	Ranks        *int   `json:"ranks"`        // MPI ranks here, 1 of SMP; null where not known
	Threads      *int   `json:"threads"`      // of each
	KernelCores  []int  `json:"kernel_cores"` // null where not known
	Drift        bool   `json:"drift"`
}

// TaskSolver is what a task runs.
type TaskSolver struct {
	Solver    string  `json:"solver"`
	Parallel  string  `json:"parallel"`
	Precision string  `json:"precision"`
	Version   *string `json:"version"`
	RunDir    string  `json:"run_dir"`
}

// TaskProgress is what a task's outputs say.
type TaskProgress struct {
	Phase      *string             `json:"phase"`
	Case       *string             `json:"case"` // of a process that makes several runs: which one it makes
	Time       *float64            `json:"time"`
	EndTime    *float64            `json:"end_time"`
	Progress   *float64            `json:"progress_ratio"`
	Cycle      *int64              `json:"cycle"`
	ETA        *float64            `json:"eta_seconds"`
	ETALow     *float64            `json:"eta_low_seconds"` // four of five runs end between these two
	ETAHigh    *float64            `json:"eta_high_seconds"`
	NoETA      *string             `json:"eta_missing"` // why a run that solves has none
	Warnings   *int64              `json:"warnings"`
	Errors     *int64              `json:"errors"`
	FirstError *output.SolverError `json:"first_error"`
	Dump       *string             `json:"restart_file"`
}
