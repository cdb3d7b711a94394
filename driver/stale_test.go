// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// A record goes only when it is old and its allocation is gone: a run of many
// weeks may have ended while nobody watched, and Nomad will ask for it.
func TestRemoveStale(t *testing.T) {
	there, gone := t.TempDir(), filepath.Join(t.TempDir(), "gone")
	for name, c := range map[string]struct {
		allocDir string
		age      time.Duration
		kept     bool
	}{
		"old, allocation gone":    {gone, 2 * staleAfter, false},
		"old, allocation there":   {there, 2 * staleAfter, true},
		"young, allocation gone":  {gone, time.Hour, true},
		"old, allocation unknown": {"", 2 * staleAfter, true},
		"the start failed":        {there, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			store, err := state.Open(dir)
			must.NoError(t, err)
			defer store.Close()
			record, err := store.Create(state.ID{Alloc: "a", Task: "t", Invocation: "i"})
			must.NoError(t, err)
			defer record.Unlock()
			must.NoError(t, record.WriteDetails(&state.Details{AllocDir: c.allocDir, StartFailed: name == "the start failed", StartedAt: time.Now().Add(-c.age)}))
			d := New(t.Context(), hclog.NewNullLogger())
			d.removeStale([]*state.Record{record})
			_, err = os.Stat(record.Dir)
			must.Eq(t, c.kept, err == nil)
		})
	}
}

// What a failed start could not end is forgotten when it is gone, by the plugin that
// started it and by those that come after.
func TestFailedStart_IsForgottenOnceItsProcessesAreGone(t *testing.T) {
	for name, c := range map[string]struct {
		restart func(r *run)
		ended   bool // by it
	}{
		"by the plugin that started it": {func(r *run) {
			h := r.task()
			r.n.routines.Go(func() { r.n.forgetFailed(h) })
		}, false},
		"by the next one": {func(r *run) { r.n.restart() }, false},
		"by the next one, gone meanwhile": {func(r *run) {
			supervisor := r.pidFile().SupervisorPID
			r.n.stop()
			endProcess(t, r.pid)
			eventually(t, "its supervisor has ended", func() bool { return !alive(supervisor) })
			r.n.launch()
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(slowJob("ncpu = 1"))
			details := *r.task().Details()
			details.StartFailed = true
			must.NoError(t, r.task().Record().WriteDetails(&details))
			c.restart(r)
			if !c.ended {
				must.NotEq(t, n.cores.Managed(), n.free())
				endProcess(t, r.pid)
			}
			eventually(t, "it is forgotten", func() bool {
				_, unknown := n.Driver.task(r.id)
				_, err := os.Stat(r.recordDir())
				return unknown != nil && os.IsNotExist(err) && n.cores.Managed().String() == n.free().String()
			})
		})
	}
}
