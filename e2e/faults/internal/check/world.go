// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package check says whether anything was lost: it looks at the processes, the
// kernel's account of their ends, the files of state_dir and Nomad's HTTP API, and
// holds them against each other. It shares no code with the driver; what it reads
// it reads by itself.
//
// Some rules must hold at every moment (Always), the others once the world has
// settled after a fault (Settled).
package check

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/witness"
)

// Role is what a process is to a task.
type Role string

// The roles.
const (
	Solver     Role = "solver"     // the stand-in, or the mpirun above its ranks
	Helper     Role = "helper"     // any other process with the task's environment, or in its cgroup
	Supervisor Role = "supervisor" // of a task
	Plugin     Role = "plugin"     // the driver itself
)

// Process is one live process that has to do with the agent's tasks.
type Process struct {
	PID    int
	Parent int
	Start  uint64 // clock ticks after boot
	Role   Role
	Alloc  string
	Words  string  // its command line
	CPUs   [][]int // per thread; of solvers and helpers
}

// Record is one folder of state_dir/tasks, as far as it can be read.
type Record struct {
	Alloc, Task, Invocation string
	PID                     int // 0: no pid file, or not readable
	Start                   uint64
	Boot                    string
	Supervisor              int
	Cores                   []int // nil: the pid file does not tell
}

// End is one "Terminated" event of a task.
type End struct {
	At     time.Time
	Code   int
	Signal int
	Words  string
}

// Alloc is an allocation of a job of one task as Nomad's API tells it.
type Alloc struct {
	ID, Job  string
	Status   string // pending, running, complete, failed, lost
	Desired  string // run, stop, evict
	State    string // of the task: pending, running, dead; "" before there is one
	Restarts uint64
	Started  time.Time // the task's last start
	Reserved []int     // resources.cores
	Ends     []End
	Events   []string  // for messages to people
	Newest   time.Time // of the events
}

// GivenUp tells whether Nomad itself could not set the allocation up again and has
// the driver end its task. With cgroups v1 a client that restarts fails in its
// cpuparts_hook while the cgroup of a task with reserved cores is left from before.
func (a *Alloc) GivenUp() bool { return slices.ContainsFunc(a.Events, IsGivenUp) }

// IsGivenUp tells whether an event says so.
func IsGivenUp(event string) bool {
	return strings.HasPrefix(event, "Setup Failure: failed to setup alloc")
}

// Over tells whether none of the allocation's tasks will run again.
func (a *Alloc) Over() bool {
	return a.Status == "complete" || a.Status == "failed" || a.Status == "lost"
}

// Run is the life of one solver by the kernel's account.
type Run struct {
	Alloc  string
	PID    int
	Start  uint64
	Folder witness.Folder // where it runs
	Exec   time.Time

	Ended  bool
	Exit   time.Time
	Known  bool // Status and Exit are the kernel's word
	Status syscall.WaitStatus

	Supervisor       int
	SupervisorKilled time.Time // by a signal; zero if not
	SupervisorUnseen bool      // the kernel's account lacks its birth, or how it ended

	// Killed: the campaign ended it, had its job stopped, or ended a process that it
	// cannot live without.
	Killed bool
	// Spoiled: the campaign removed this run's record, so that nobody can be
	// blamed for not knowing how it ended.
	Spoiled bool
	// Completed: LS-DYNA's last words in the run folder are a normal termination
	// at the end time. Switched: they are those of a run that a sense switch ended.
	// Only of ended runs.
	Completed, Switched bool
	// From is the dump that it was told to begin with, "" for the deck.
	From string
}

// orphaned tells whether nobody was there to see the solver's end.
func (r *Run) orphaned() bool {
	return !r.SupervisorKilled.IsZero() && r.Ended && r.SupervisorKilled.Before(r.Exit)
}

// livedAtExecOf tells whether the run certainly lived when a later one was executed.
func (r *Run) livedAtExecOf(later *Run) bool {
	return !r.Ended || r.Known && later.Exec.Before(r.Exit)
}

func (r *Run) String() string {
	end := "lives"
	if r.Ended {
		end = "ended, nobody saw how"
	}
	if r.Known {
		end = describe(r.Status)
	}
	return fmt.Sprintf("solver %d of allocation %.8s (%s)", r.PID, r.Alloc, end)
}

func describe(s syscall.WaitStatus) string {
	if s.Signaled() {
		return fmt.Sprintf("ended by signal %d", int(s.Signal()))
	}
	return fmt.Sprintf("exited with %d", s.ExitStatus())
}

// Innocent is a process that has nothing to do with any task: what it was when it
// was started, and what became of it.
type Innocent struct {
	PID    int
	Before string // start time, state, CPUs, cgroups
	Now    string
}

// A Dump is a restart file that is known to be whole: Nomad had an event of it.
type Dump struct {
	Alloc, Name string
	Told        time.Time
}

// Results are the files that a completed run has left, in words: as they were when that
// was told, and as they are.
type Results struct {
	Alloc, Job  string
	Before, Now []string
}

// World is everything at one moment.
type World struct {
	Dumps     []Dump
	Results   []Results // none where they were not looked at
	Withheld  []int     // cores in Nomad's cpuset of reserved ones
	Usable    []int     // cores that the driver may give out
	Boot      string
	Calm      time.Time // when the world was last known to have settled
	Asked     time.Time // when Nomad was asked for its allocations
	Up        time.Time // when the client was last started
	Processes []Process
	Records   []Record
	Allocs    []Alloc
	Runs      []Run // by the time of their exec
	Elsewhere []Run // on another node, which has the same run folders
	Gaps      int   // how often the kernel's account has holes
	Innocents []Innocent

	// Owners is what `status -json` says: the job by core, "" for a free one. nil:
	// not asked.
	Owners map[int]string
}

func (w *World) alloc(id string) *Alloc {
	for i := range w.Allocs {
		if w.Allocs[i].ID == id {
			return &w.Allocs[i]
		}
	}
	return nil
}

// syncPatience is how long a client may take to tell its server of a task: it gathers
// what there is to tell, and tries again after five seconds where that has failed.
const syncPatience = 12 * time.Second

// newerThan tells whether what Nomad's server says of an allocation is certainly not
// older than a moment: its client tells everything of it at once, and in order.
func (w *World) newerThan(a *Alloc, moment time.Time) bool {
	if a.Newest.After(moment) {
		return true
	}
	if w.Up.After(moment) {
		moment = w.Up
	}
	return w.Asked.Sub(moment) > syncPatience
}

// Solvers returns the live solvers of an allocation.
func (w *World) Solvers(alloc string) []Process {
	return slices.DeleteFunc(slices.Clone(w.Processes), func(p Process) bool { return p.Alloc != alloc || p.Role != Solver })
}

// RecordOf returns the record whose pid file names the process, nil without one.
func (w *World) RecordOf(p Process) *Record {
	for i := range w.Records {
		if r := &w.Records[i]; r.Alloc == p.Alloc && r.PID == p.PID && r.Start == p.Start && r.Boot == w.Boot {
			return r
		}
	}
	return nil
}

// Leased returns the cores of live solvers, by their pid files.
func (w *World) Leased() []int {
	var cores []int
	for _, p := range w.Processes {
		if p.Role == Solver {
			if r := w.RecordOf(p); r != nil {
				cores = append(cores, r.Cores...)
			}
		}
	}
	return sorted(cores)
}

// Free returns the usable cores that no live solver has.
func (w *World) Free() []int {
	leased := w.Leased()
	return slices.DeleteFunc(slices.Clone(w.Usable), func(c int) bool { return slices.Contains(leased, c) })
}
