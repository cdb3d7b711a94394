// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// contents is what lies in the run folder, beside the record of who has it.
func (r *run) contents() map[string]string {
	r.t.Helper()
	entries, err := os.ReadDir(r.folder)
	must.NoError(r.t, err)
	all := map[string]string{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".lsdyna-") && e.Name() != rundir.RecordFile {
			continue
		}
		info, err := e.Info()
		must.NoError(r.t, err)
		data, err := os.ReadFile(filepath.Join(r.folder, e.Name()))
		must.NoError(r.t, err)
		all[e.Name()] = info.ModTime().String() + "\n" + string(data)
	}
	return all
}

// Nomad starts the tasks of a service job anew when they end, also those that have
// done all that there was to do.
func TestStart_ACompletedRunIsNotBegunAgainInItsAllocation(t *testing.T) {
	for _, mode := range []string{"auto", "never"} {
		t.Run(mode, func(t *testing.T) {
			n := newNode(t)
			j := standinJob("ncpu = 1\nrestart = \"" + mode + "\"")
			first := n.start(j)
			must.True(t, first.wait().Successful())
			must.NoError(t, n.DestroyTask(first.id, false))
			before := first.contents()

			j.alloc = first.cfg.AllocID
			again := first.again(j)
			must.True(t, again.wait().Successful())
			n.hears(again.id, "This allocation has completed its run already, at ")
			n.hears(again.id, "Normal termination at the end time")
			must.Eq(t, before, first.contents())
			must.Zero(t, again.pid)
			_, leased := n.lease(again.id)
			must.False(t, leased)

			t.Run("nor told otherwise by a plugin that comes later", func(t *testing.T) {
				n.restart()
				again.comeBack()
				must.True(t, again.wait().Successful())
				must.Eq(t, before, first.contents())
				must.NoError(t, n.StopTask(again.id, patience, "SIGTERM"))
				must.Error(t, n.SignalTask(again.id, "SIGUSR1"))
				must.NoError(t, n.DestroyTask(again.id, false))
			})
			t.Run("but in another one it is, and that is told", func(t *testing.T) {
				j.alloc = ""
				other := first.again(j)
				n.hears(other.id, "Beginning anew, over the results of the completed run of job ")
				n.hears(other.id, "(allocation "+first.cfg.AllocID+", task "+first.cfg.Name+", finished at ")
				must.Positive(t, other.pid)
				must.True(t, other.wait().Successful())
				recorded, err := other.recorded()
				must.NoError(t, err)
				must.Eq(t, other.cfg.AllocID, recorded.Completed.Alloc)
			})
		})
	}
}

// A run that completed, but whose exit nobody saw, is no success the second time either.
func TestStart_ACompletedRunEndsAsItEnded(t *testing.T) {
	n := newNode(t)
	j := standinJob("ncpu = 1")
	r := n.start(j)
	must.True(t, r.wait().Successful())
	recorded, err := r.recorded()
	must.NoError(t, err)
	recorded.Completed.ExitKnown = false
	folder, err := rundir.Open(r.folder, ".")
	must.NoError(t, err)
	must.NoError(t, folder.WriteRecord(recorded))
	must.NoError(t, folder.Close())
	j.alloc = r.cfg.AllocID
	again := r.again(j)
	must.ErrorContains(t, again.wait().Err, "exit status unknown; normal termination at the end time")
}

// A file server may not show every file at once: the results are kept on a doubt, too.
func TestStart_ACompletedRunIsNotBegunAgainWhereItsRecordIsAway(t *testing.T) {
	for name, spoil := range map[string]func(string) error{"missing": os.Remove, "damaged": damage} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			j := standinJob("ncpu = 1\nrestart = \"never\"")
			r := n.start(j)
			must.True(t, r.wait().Successful())
			path := filepath.Join(r.folder, rundir.RecordFile)
			data, err := os.ReadFile(path)
			must.NoError(t, err)
			must.NoError(t, spoil(path))
			before := r.contents()
			j.alloc, j.folder, j.files = r.cfg.AllocID, r.folder, map[string]string{}
			_, _, err = n.StartTask(n.task(j))
			must.ErrorContains(t, err, "this allocation has completed its run already, by .lsdyna-history.json")
			must.True(t, structs.IsRecoverable(err), must.Sprint(err))
			must.Eq(t, before, r.contents())

			must.NoError(t, os.WriteFile(path, data, 0o644))
			again := r.again(j)
			must.True(t, again.wait().Successful())
			n.hears(again.id, "This allocation has completed its run already, at ")
		})
	}
}

// What a start that does not read the record begins over is not told a second time.
func TestStart_ACompletedRunIsOverwrittenOnce(t *testing.T) {
	n := newNode(t)
	j := slowJob("ncpu = 1\nrestart = \"never\"")
	first := n.start(standinJob("ncpu = 1"))
	must.True(t, first.wait().Successful())
	j.files = map[string]string{}
	for _, overwrites := range []bool{true, false} {
		next := first.again(j)
		n.hears(next.id, "Allocated core")
		must.Eq(t, overwrites, strings.Contains(strings.Join(n.said(next.id), "\n"), "Beginning anew, over"))
		endProcess(t, next.pid)
		next.wait()
	}
}
