// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// hasDump reports whether a dump is in the run folder.
func (r *run) hasDump(name string) bool {
	_, err := os.Stat(filepath.Join(r.folder, name))
	return err == nil
}

// The newest two checkpoints stay, one event tells of them all, and a plugin that is killed
// goes on with the interval.
func TestCheckpoint_KeepsTheNewest(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1\ncheckpoint = \"1s\""))
	r.computes()
	n.hears(r.id, "Checkpoint: dump d3dump01 written at t = ")
	eventually(t, "the third", func() bool { return r.hasDump("d3dump03") })
	eventually(t, "the first is gone", func() bool { return !r.hasDump("d3dump01") })
	must.True(t, r.hasDump("d3dump02"))
	n.restart()
	r.comeBack()
	eventually(t, "the fifth", func() bool { return r.hasDump("d3dump05") })
	eventually(t, "the third is gone", func() bool { return !r.hasDump("d3dump03") && !r.hasDump("d3dump02") })
	must.True(t, r.hasDump("d3dump04"))
	must.Eq(t, 1, strings.Count(r.saidByNow(), "Checkpoint: "), must.Sprint(r.saidByNow()))
	must.StrNotContains(t, r.saidByNow(), "Switch sw3")

	must.NoError(t, n.StopTask(r.id, patience, "SIGTERM"))
	n.hears(r.id, "Stopping with sw1, dump d3dump")
}

// Dumps that an operator asked for stay, as do all where the deck asks for some itself.
func TestCheckpoint_RemovesOnlyItsOwn(t *testing.T) {
	t.Run("an operator's stays", func(t *testing.T) {
		n := newNode(t)
		r := n.start(slowJob("ncpu = 1\ncheckpoint = \"1s\"\ncheckpoint_keep = 1"))
		r.computes()
		must.NoError(t, n.SignalTask(r.id, "SIGUSR1"))
		n.hears(r.id, "Switch sw3, dump d3dump")
		eventually(t, "some more", func() bool { return r.hasDump("d3dump05") })
		eventually(t, "two are left", func() bool {
			dumps, err := filepath.Glob(filepath.Join(r.folder, "d3dump*"))
			must.NoError(t, err)
			return len(dumps) <= 3 && !r.hasDump("d3dump03") // one that is just being written among them
		})
		said := r.saidByNow()
		_, after, _ := strings.Cut(said, "Switch sw3, dump ")
		must.True(t, r.hasDump(after[:len("d3dump01")]), must.Sprint(said))
	})
	t.Run("what may be the deck's stays", func(t *testing.T) {
		n := newNode(t)
		j := slowJob("ncpu = 1\ncheckpoint = \"1s\"\ncheckpoint_keep = 1")
		j.files = deckFiles(t, true)
		main := strings.Replace(j.files["main.k"], "    100000\n", "        15\n", 1) // a dump every three seconds
		must.NotEq(t, j.files["main.k"], main)
		j.files["main.k"] = main
		r := n.start(j)
		r.computes()
		eventually(t, "the fifth", func() bool { return r.hasDump("d3dump05") })
		for _, name := range []string{"d3dump01", "d3dump02", "d3dump03", "d3dump04"} {
			must.True(t, r.hasDump(name), must.Sprint(name))
		}
	})
}

// No checkpoint is asked for where the solver waits for its licence, or while it is being
// stopped.
func TestCheckpoint_NotBeforeTheRunSolves(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1\ncheckpoint = \"1s\"", "license_wait=3"))
	r.computes()
	n.hears(r.id, "Checkpoint: dump d3dump01 written at t = ")
	first, _, _ := strings.Cut(r.read("stdout"), "write d3dump01 file")
	must.StrContains(t, first, "flush i/o buffers")
}
