// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// task is one run as its record and the kernel show it now.
type task struct {
	dir     string // of its record
	id      state.ID
	details state.Details
	state   supervisor.State
	process pidfile.Record
	cores   cpuset.Set
	pinned  bool
	kernel  cpuset.Set // where the kernel lets its threads run; empty: not known
	exit    *supervisor.ExitRecord
	notes   []string // what is not as it should be, in words
}

// live tells whether the task owns its cores: its lock is held, or its solver's
// identity was verified.
func (t *task) live() bool { return t.state != supervisor.Ended }

// job is the Nomad job's id, or the allocation's where the record lost it.
func (t *task) job() string { return cmp.Or(t.details.JobID, t.id.Alloc) }

// readState reads the plugin's settings and every record below state_dir, the
// oldest run first. What cannot be read is named in the notes. A state_dir that
// does not exist is one without records.
func readState(dir string) (tasks []*task, settings state.Settings, notes []string, err error) {
	store, notes, err := openState(dir)
	if store == nil {
		return nil, settings, notes, err
	}
	if settings, err = store.Settings(); err != nil && !errors.Is(err, os.ErrNotExist) {
		notes = append(notes, fmt.Sprintf("the plugin's settings cannot be read, so which cores it gives out is guessed: %v", err))
	}
	tasks, troubles := readTasks(store)
	return tasks, settings, append(notes, troubles...), nil
}

// readTasks reads every record, the oldest run first, and names those that it
// cannot read in the notes.
func readTasks(store *state.Store) (tasks []*task, notes []string) {
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
	slices.SortFunc(tasks, func(a, b *task) int {
		return cmp.Or(a.details.StartedAt.Compare(b.details.StartedAt), cmp.Compare(a.id.String(), b.id.String()))
	})
	return tasks, notes
}

// openState opens a state_dir for reading; no store and a note where there is none.
func openState(dir string) (store *state.Store, notes []string, err error) {
	info, err := os.Lstat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, []string{fmt.Sprintf("there is no state_dir %s: the plugin has not run on this machine yet, or keeps its records elsewhere (-state-dir)", dir)}, nil
	}
	if err == nil {
		err = mayRead(dir, info)
	}
	if err != nil {
		return nil, nil, err
	}
	store, err = state.OpenReadOnly(dir)
	return store, nil, err
}

// mayRead tells someone who is not the agent's user to become it.
func mayRead(dir string, info os.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return nil
	}
	if stat.Uid == 0 {
		return fmt.Errorf("state_dir %s is for root only; run this as root (sudo)", dir)
	}
	return fmt.Errorf("state_dir %s belongs to uid %d, the agent's user; run this as that user", dir, stat.Uid)
}

func readTask(record *state.Record) (*task, error) {
	proc, err := supervisor.Open(record.Dir)
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	t := &task{dir: record.Dir, id: record.ID, state: proc.State()}
	if t.details, err = record.ReadDetails(); err != nil && t.live() {
		t.notes = append(t.notes, fmt.Sprintf("its record is damaged: %v", err))
	}
	if exit, err := supervisor.ReadExit(record.Dir); err == nil {
		t.exit = &exit
	}
	t.readCores(proc)
	if t.live() {
		t.readAffinity(proc)
	}
	if t.state == supervisor.Orphaned {
		t.notes = append(t.notes, "its supervisor is gone, so its exit status will be unknown")
	}
	if gone, _ := allocGone(t.details); gone && t.live() {
		t.notes = append(t.notes, fmt.Sprintf("Nomad has no allocation for it any more; %s reap -kill %s/%s ends it", program, t.id.Alloc, t.id.Task))
	}
	return t, nil
}

// readCores takes the cores from the pid file, or those of the start where it
// has none: before the launch, and where it was damaged.
func (t *task) readCores(proc *supervisor.Process) {
	rec, err := proc.Record()
	t.process = rec
	list := rec.Cores
	if err != nil {
		list = nil
		if spec := proc.Spec(); spec != nil {
			list = spec.CPUs
		}
		if t.state != supervisor.Launching && t.live() {
			t.notes = append(t.notes, fmt.Sprintf("its pid file cannot be used (%v); these are the cores it was started on", err))
		}
	}
	t.cores = cpuset.Of(list...)
	t.pinned = !t.cores.IsEmpty()
	if !t.pinned && t.state != supervisor.Launching && t.live() {
		t.notes = append(t.notes, "runs without affinity"+t.asked())
	}
}

func (t *task) asked() string {
	if t.details.CoresAsked < 1 {
		return ""
	}
	return fmt.Sprintf(" (%s asked)", plural(t.details.CoresAsked, "core"))
}

// readAffinity asks the kernel where the task's threads may run, and compares.
// A task that is just being moved is looked at again.
func (t *task) readAffinity(proc *supervisor.Process) {
	for range 3 {
		before := t.cores
		t.kernel = kernelMask(proc)
		if t.kernel.IsEmpty() || !t.pinned || t.kernel == before {
			return
		}
		if rec, err := proc.Record(); err != nil || cpuset.Of(rec.Cores...) == before {
			return
		}
		t.readCores(proc)
	}
}

// drift is where the kernel lets the task run beside its cores, and which of
// its cores it does not use. A thread may be bound more tightly than its task:
// MPI ranks are. Together they should cover the task's cores.
func (t *task) drift() (outside, unused cpuset.Set) {
	if t.kernel.IsEmpty() || !t.pinned {
		return outside, unused
	}
	return t.kernel.Difference(t.cores), t.cores.Difference(t.kernel)
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

// running is how long the task has been running; 0 where it is not known.
func (t *task) running(now time.Time) time.Duration {
	if t.details.StartedAt.IsZero() {
		return 0
	}
	return max(now.Sub(t.details.StartedAt), 0)
}
