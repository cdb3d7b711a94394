// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
)

// endsUnseen has a gated run end while no plugin is there.
func (r *run) endsUnseen() {
	r.t.Helper()
	supervisor := r.pidFile().SupervisorPID
	r.n.stop()
	r.open()
	eventually(r.t, "its supervisor has ended", func() bool { return !alive(supervisor) })
	r.n.launch()
}

// The plugin and the client are killed inside StartTask, so that Nomad starts the task
// anew; its first run has completed meanwhile.
func TestUnseen_ACompletedRunThatNomadNeverLearntOfIsNotBegunAgain(t *testing.T) {
	for name, sameID := range map[string]bool{"the same invocation": true, "another invocation": false} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			j := n.gated(standinJob("ncpu = 1"))
			old := n.start(j)
			old.endsUnseen()
			before := old.contents()

			j.alloc, j.folder = old.cfg.AllocID, old.folder
			cfg := n.task(j)
			if sameID {
				cfg.ID = old.id
			}
			handle, _, err := n.StartTask(cfg)
			must.NoError(t, err)
			r := n.started(cfg, handle)
			n.hears(r.id, "The last run in the folder had ended while no plugin was there to see it: completed")
			n.hears(r.id, "This allocation has completed its run already, at ")
			must.True(t, r.wait().Successful())
			must.Zero(t, r.pid)
			must.Eq(t, before, r.contents())
			history := r.history()
			must.Len(t, 1, history)
			must.Eq(t, old.id, history[0].Run)
			must.NotNil(t, history[0].Ended)
			if !sameID {
				eventually(t, "it is forgotten", func() bool {
					_, unknown := n.Driver.task(old.id)
					_, err := os.Stat(old.recordDir())
					return unknown != nil && errors.Is(err, fs.ErrNotExist)
				})
			}
		})
	}
}

// Another allocation may start before Nomad asks for the run that has ended, and which it
// knows.
func TestUnseen_TheRunOfAnotherAllocationKeepsItsResult(t *testing.T) {
	n := newNode(t)
	j := n.gated(standinJob("ncpu = 1"))
	old := n.start(j)
	old.endsUnseen()
	next := old.again(j)
	n.hears(next.id, "Beginning anew, over the results of ")
	next.open()
	must.True(t, next.wait().Successful())
	old.comeBack()
	must.True(t, old.wait().Successful())
	must.NoError(t, n.DestroyTask(old.id, false))
}

func TestUnseen_ADumpThatTheSolverRefusedIsNotTakenAgain(t *testing.T) {
	n := newNode(t)
	j := n.gated(slowJob("ncpu = 1"))
	r := n.start(j)
	r.open()
	r.stopWithDumps()
	r.halve("d3dump02")
	must.NoError(t, os.Remove(filepath.Join(r.folder, "go")))
	refused := r.again(j)
	n.hears(refused.id, "Restarting from d3dump02")
	refused.endsUnseen()
	j.alloc = refused.cfg.AllocID
	next := r.again(j)
	n.hears(next.id, "The last run in the folder had ended while no plugin was there to see it: ")
	n.hears(next.id, "Restarting from d3dump01")
	must.NoError(t, n.DestroyTask(next.id, true))
}

// Of a start that executed nothing there is nothing to tell, and no user can have another
// one's run judged.
func TestUnseen_NothingIsJudgedBut(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, old *run){
		"a run whose solver was executed": func(t *testing.T, old *run) {
			must.NoError(t, os.Remove(old.pidPath()))
			must.NoError(t, os.Remove(filepath.Join(old.recordDir(), "exit.json")))
		},
		"a run in that folder": func(t *testing.T, old *run) {
			path := filepath.Join(old.folder, ownership.OwnerFile)
			data, err := os.ReadFile(path)
			must.NoError(t, err)
			var owner map[string]any
			must.NoError(t, json.Unmarshal(data, &owner))
			other := old.n.folder(deckFiles(t, false))
			owner["ended"] = nil
			data, err = json.Marshal(owner)
			must.NoError(t, err)
			must.NoError(t, os.WriteFile(filepath.Join(other, ownership.OwnerFile), data, 0o644))
			old.folder = other
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			j := n.gated(standinJob("ncpu = 1"))
			old := n.start(j)
			old.endsUnseen()
			change(t, old)
			j.alloc = old.cfg.AllocID
			next := old.again(j)
			must.Positive(t, next.pid)
			must.StrNotContains(t, next.saidByNow(), "while no plugin was there")
			next.open()
			must.True(t, next.wait().Successful())
		})
	}
}
