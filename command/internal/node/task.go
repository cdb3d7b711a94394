// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package node

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Task is one run as its record, the kernel and its run folder show it now.
type Task struct {
	Dir      string // of its record
	ID       state.ID
	Details  state.Details
	User     supervisor.User // who it runs as
	State    supervisor.State
	Process  pidfile.Record
	Cores    cpuset.Set
	Pinned   bool
	Kernel   cpuset.Set // where the kernel lets its threads run; empty: not known
	Exit     *supervisor.ExitRecord
	Progress Progress
	Notes    []string // what is not as it should be, as sentences

	Recoveries state.Recoveries // by new plugins
}

// Live reports whether the task owns its cores: its lock is held, or its solver's
// identity was verified.
func (t *Task) Live() bool { return t.State != supervisor.Ended }

// Job is the Nomad job's id, or the allocation's where the record lost it.
func (t *Task) Job() string { return cmp.Or(t.Details.JobID, t.ID.Alloc) }

// RunDir is the run folder's path, for people; "" where it is not known.
func (t *Task) RunDir() string { return t.Details.RunPath() }

// readRecords reads the plugin's settings and every record below state_dir, the
// oldest run first. What cannot be read is named in the notes.
func readRecords(dir string) (tasks []*Task, settings state.Settings, notes []string, err error) {
	store, err := OpenState(dir)
	if err != nil {
		return nil, settings, nil, err
	}
	if settings, err = store.Settings(); err != nil && !errors.Is(err, os.ErrNotExist) {
		notes = append(notes, fmt.Sprintf("the plugin's settings cannot be read, so which cores it gives out is guessed: %v", err))
	}
	tasks, unreadable := readTasks(store)
	return tasks, settings, append(notes, unreadable...), nil
}

// readTasks reads every record, the oldest run first, and names those that it
// cannot read in the notes.
func readTasks(store *state.Store) (tasks []*Task, notes []string) {
	records, err := store.Records()
	if err != nil {
		notes = append(notes, fmt.Sprintf("some records cannot be read: %v", err))
	}
	for _, record := range records {
		t, err := readTask(record)
		switch {
		case errors.Is(err, os.ErrNotExist): // removed meanwhile
		case err != nil:
			notes = append(notes, fmt.Sprintf("record %s cannot be read: %v", record.ID, err))
		default:
			tasks = append(tasks, t)
		}
	}
	slices.SortFunc(tasks, func(a, b *Task) int {
		return cmp.Or(a.Details.StartedAt.Compare(b.Details.StartedAt), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return tasks, notes
}

// NoStateError says that a folder is no plugin's state_dir. It is an error and not a node
// without tasks: a slip in the path would show all its cores as free.
type NoStateError struct {
	Dir     string
	Missing bool // the folder itself
}

func (e *NoStateError) Error() string {
	what := "is no state_dir: it has no folder tasks"
	if e.Missing {
		what = "is not there"
	}
	return fmt.Sprintf("%s %s. The plugin makes its state_dir when an agent first starts it; where the agent's configuration has another one, name it with -state-dir or in NOMAD_DRIVER_LSDYNA_STATE_DIR", e.Dir, what)
}

// OpenState opens a state_dir for reading. The error is a *NoStateError where there is
// none, and a *ClosedError where it is another user's.
func OpenState(dir string) (*state.Store, error) {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, &NoStateError{dir, true}
	case err == nil:
		err = mayRead(dir, info)
	case errors.Is(err, os.ErrPermission):
		err = &ClosedError{Dir: dir}
	}
	if err != nil {
		return nil, err
	}
	store, err := state.OpenReadOnly(dir)
	if err != nil {
		return nil, err
	}
	// The plugin makes the folder of the records before anything else.
	if _, err := os.Lstat(filepath.Join(dir, "tasks")); errors.Is(err, os.ErrNotExist) {
		return nil, &NoStateError{dir, false}
	}
	return store, nil
}

// ClosedError says that a state_dir is another user's.
type ClosedError struct {
	Dir string
	UID int // whose it is
}

func (e *ClosedError) Error() string {
	if e.UID == 0 {
		return fmt.Sprintf("state_dir %s is for root only; run this as root (sudo)", e.Dir)
	}
	return fmt.Sprintf("state_dir %s belongs to uid %d, the agent's user; run this as that user", e.Dir, e.UID)
}

// mayRead returns a *ClosedError where another user can read a state_dir.
func mayRead(dir string, info os.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return nil
	}
	return &ClosedError{dir, int(stat.Uid)}
}

func readTask(record *state.Record) (*Task, error) {
	proc, err := supervisor.Open(record.Dir)
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	t := &Task{Dir: record.Dir, ID: record.ID, State: proc.State()}
	if t.Details, err = record.ReadDetails(); err != nil && t.Live() {
		t.Notes = append(t.Notes, fmt.Sprintf("its record is damaged: %v", err))
	}
	t.User = supervisor.User{UID: t.Details.UID, GID: t.Details.GID, Name: t.Details.User, Groups: t.Details.Groups}
	if spec := proc.Spec(); spec != nil {
		t.User = spec.User
	}
	if exit, err := supervisor.ReadExit(record.Dir); err == nil {
		t.Exit = &exit
	}
	t.Recoveries = record.ReadRecoveries()
	t.readCores(proc)
	if t.Live() {
		t.readAffinity(proc)
	}
	if t.State == supervisor.Orphaned {
		t.Notes = append(t.Notes, "its supervisor is gone, so its exit status will be unknown")
	}
	if is, why := Forgotten(record, t.Details); is && t.Live() {
		t.Notes = append(t.Notes, fmt.Sprintf("Nomad has no allocation for it any more (%s); nomad-driver-lsdyna reap -kill %s/%s ends it, with a dump", why, t.ID.Alloc, t.ID.Task))
	}
	return t, nil
}

// readCores takes the cores from the pid file, or those of the start where it
// has none: before the launch, and where it was damaged.
func (t *Task) readCores(proc *supervisor.Process) {
	rec, err := proc.Record()
	t.Process = rec
	list := rec.Cores
	if err != nil {
		list = nil
		if spec := proc.Spec(); spec != nil {
			list = spec.CPUs
		}
		if t.State != supervisor.Launching && t.Live() {
			t.Notes = append(t.Notes, fmt.Sprintf("its pid file cannot be used (%v); these are the cores it was started on", err))
		}
	}
	if t.Cores, err = cpuset.FromSlice(list); err != nil {
		t.Notes = append(t.Notes, fmt.Sprintf("its cores make no sense: %v", err))
	}
	t.Pinned = !t.Cores.IsEmpty()
	if !t.Pinned && t.State != supervisor.Launching && t.Live() {
		t.Notes = append(t.Notes, "runs without affinity"+t.asked())
	}
}

func (t *Task) asked() string {
	if t.Details.CoresAsked < 1 {
		return ""
	}
	return fmt.Sprintf(" (%s asked)", screen.Plural(t.Details.CoresAsked, "core"))
}

// readAffinity asks the kernel where the task's threads may run, and compares.
// A task that is just being moved is looked at again.
func (t *Task) readAffinity(proc *supervisor.Process) {
	for range 3 {
		before := t.Cores
		t.Kernel = kernelMask(proc)
		if t.Kernel.IsEmpty() || !t.Pinned || t.Kernel == before {
			return
		}
		rec, err := proc.Record()
		if now, _ := cpuset.FromSlice(rec.Cores); err != nil || now == before {
			return
		}
		t.readCores(proc)
	}
}

// Drift is where the kernel lets the task run beside its cores, and which of its
// cores it does not use. A thread may be bound more tightly than its task:
// MPI ranks are. Together they should cover the task's cores.
func (t *Task) Drift() (outside, unused cpuset.Set) {
	if t.Kernel.IsEmpty() || !t.Pinned {
		return outside, unused
	}
	return t.Kernel.Difference(t.Cores), t.Cores.Difference(t.Kernel)
}

// kernelMask is the union of the masks of all threads of a task.
func kernelMask(proc *supervisor.Process) cpuset.Set {
	var mask cpuset.Set
	tree, err := proc.Tree()
	if err != nil {
		return mask
	}
	threads, err := tree.Threads()
	if err != nil {
		return mask
	}
	for _, thread := range threads {
		mask = mask.Union(thread.CPUs)
	}
	return mask
}

// Running is how long the task has been running; 0 where it is not known.
func (t *Task) Running(now time.Time) time.Duration {
	if t.Details.StartedAt.IsZero() {
		return 0
	}
	return max(now.Sub(t.Details.StartedAt), 0)
}
