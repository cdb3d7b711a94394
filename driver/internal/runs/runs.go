// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package runs is the table of the runs that the driver knows: those that Nomad may ask
// for, by its task IDs, and forgotten ones as long as something of them may happen in
// their folders.
package runs

import (
	"slices"
	"sync"

	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// Table is the runs. Anybody may use it at any time.
type Table struct {
	mu      sync.Mutex              // guards what follows; nothing is waited for while it is held
	tasks   map[string]*task.Handle // by Nomad's task ID
	leaving []*task.Handle          // forgotten, but something may still happen in their folders
}

// New returns a table without runs.
func New() *Table { return &Table{tasks: map[string]*task.Handle{}} }

// Get returns a run by Nomad's task ID; drivers.ErrTaskNotFound where there is none.
func (t *Table) Get(taskID string) (*task.Handle, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h, ok := t.tasks[taskID]; ok {
		return h, nil
	}
	return nil, drivers.ErrTaskNotFound
}

// Add makes a run known.
func (t *Table) Add(h *task.Handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tasks[h.ID.String()] = h
}

// Has reports whether a run is known, by this very handle.
func (t *Table) Has(h *task.Handle) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tasks[h.ID.String()] == h
}

// Remove forgets a run. InFolder returns it until nothing of it happens there.
func (t *Table) Remove(h *task.Handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving = append(slices.DeleteFunc(t.leaving, (*task.Handle).HasLeft), h)
	if t.tasks[h.ID.String()] == h {
		delete(t.tasks, h.ID.String())
	}
}

// Find returns the runs for which is reports true. It must not wait.
func (t *Table) Find(is func(*task.Handle) bool) []*task.Handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []*task.Handle
	for _, h := range t.tasks {
		if is(h) {
			found = append(found, h)
		}
	}
	return found
}

// InFolder returns the runs, forgotten ones among them, of which something may still
// happen in a run folder, by its path or by what folder it is.
func (t *Table) InFolder(path string, dir rundir.DirID) []*task.Handle {
	is := func(h *task.Handle) bool {
		same := h.Folder() == path || dir != rundir.DirID{} && h.View().Dir == dir
		return same && !(h.IsEnded() && h.HasLeft()) && !h.Follows() // who leads its run has the folder
	}
	found := t.Find(is)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.leaving {
		if is(h) {
			found = append(found, h)
		}
	}
	return found
}
