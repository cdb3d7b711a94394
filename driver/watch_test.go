// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"strings"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"
)

// watchedJob is a long run whose statistics tell of every cycle, with a watch block.
func watchedJob(t *testing.T, block string, faults ...string) job {
	t.Helper()
	j := slowJob("ncpu = 1\n watch {\n"+block+"\n}\n", faults...)
	j.env["STANDIN_PACE"] = "20ms"
	j.files = deckFiles(t, true)
	deck := strings.Replace(j.files["main.k"], "*DATABASE_GLSTAT\n   &dtplot", "*DATABASE_GLSTAT\n    1.0E-6", 1)
	must.NotEq(t, j.files["main.k"], deck)
	j.files["main.k"] = deck
	return j
}

// count is how many events of a run have these words.
func (r *run) count(words string) int {
	n := 0
	for _, text := range r.n.said(r.id) {
		if strings.Contains(text, words) {
			n++
		}
	}
	return n
}

// A bound that is passed is told once, also where another plugin process goes on; the
// solver goes on, too.
func TestWatch_Event(t *testing.T) {
	n := newNode(t)
	r := n.start(watchedJob(t, "energy_ratio = 1.1\n added_mass = \"5%\"\n dt_min = 1e-7", "energy_drift=20", "added_mass=7.5", "dt_collapse=400"))
	n.hears(r.id, "Watch: energy ratio ")
	n.hears(r.id, " > 1.1 at t = ")
	n.hears(r.id, "Watch: added mass 7.5% > 5% of the physical mass at t = ")
	n.restart()
	r.comeBack()
	n.hears(r.id, "Watch: time step ") // by the next process, which has seen the others, too
	must.Eq(t, 1, r.count("Watch: energy ratio"))
	must.Eq(t, 1, r.count("Watch: added mass"))
	must.True(t, alive(r.pid))
	r.stop()
}

func TestWatch_Dump(t *testing.T) {
	n := newNode(t)
	r := n.start(watchedJob(t, "energy_ratio = 1.1\n action = \"dump\"", "energy_drift=20"))
	n.hears(r.id, "; the solver is to write a dump (sw3)")
	n.hears(r.id, "Switch sw3, dump d3dump01 written at t = ")
	must.True(t, alive(r.pid))
	r.stop()
	must.Eq(t, 1, r.count("sw3, dump"))
}

// A run that is stopped for what its model does is not started into the same again, until
// somebody changes something.
func TestWatch_Stop(t *testing.T) {
	n := newNode(t)
	j := watchedJob(t, "energy_ratio = 1.1\n action = \"stop\"", "energy_drift=20")
	r := n.start(j)
	result := r.wait()
	must.False(t, result.Successful())
	must.ErrorContains(t, result.Err, "stopped by watch: energy ratio ")
	must.ErrorContains(t, result.Err, " > 1.1 at t = ")
	n.hears(r.id, "Stopped by watch: energy ratio")
	r.inOrder("Watch: energy ratio", "Stopping with sw1; the solver has ", "Stopping with sw1, dump d3dump01 written", "Stopped by watch: energy ratio")

	j.folder = r.folder
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "the run in this folder was stopped by watch: energy ratio ")
	must.ErrorContains(t, err, "change or remove that bound")
	must.False(t, structs.IsRecoverable(err))

	raised := watchedJob(t, "energy_ratio = 1000\n action = \"stop\"", "energy_drift=20")
	next := r.again(raised)
	n.hears(next.id, "Restarting from d3dump01")
	next.stop()

	t.Run("nor is it forgotten by what does not concern it", func(t *testing.T) {
		again := r.again(j)
		must.ErrorContains(t, again.wait().Err, "stopped by watch: energy ratio")
		named := j
		named.config += "restart = \"d3dump01\"\n"
		byName := r.again(named)
		n.hears(byName.id, "estarting from d3dump01")
		byName.stop()
	})
}

// Nor is one that began with a small restart and goes on with its first deck.
func TestWatch_StopAfterASmallRestart(t *testing.T) {
	n := newNode(t)
	calm := watchedJob(t, "silence = \"1h\"")
	first := n.start(calm)
	first.isSeenComputing()
	must.NoError(t, n.StopTask(first.id, patience, "SIGTERM"))
	n.hears(first.id, "Stopping with sw1, dump d3dump01 written")
	first.write("small.k", strings.Replace(smallDeck, "0.012", "  1.0", 1))
	small := calm
	small.config += "input = \"small.k\"\nrestart = \"d3dump01\"\n"
	next := first.again(small)
	n.hears(next.id, "Small restart from d3dump01")
	next.isSeenComputing()
	must.NoError(t, n.StopTask(next.id, patience, "SIGTERM"))
	n.hears(next.id, "Stopping with sw1, dump d3dump02 written")

	j := watchedJob(t, "energy_ratio = 1.1\n action = \"stop\"", "energy_drift=1")
	last := first.again(j)
	n.hears(last.id, "Restarting from d3dump02")
	must.ErrorContains(t, last.wait().Err, "stopped by watch: energy ratio ")
	j.folder = first.folder
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "the run in this folder was stopped by watch: energy ratio ")
}

// The stop goes on, with its reason, where the plugin is killed in its middle.
func TestWatch_StopThatTheNextPluginFinishes(t *testing.T) {
	n := newNode(t)
	r := n.start(watchedJob(t, "energy_ratio = 1.1\n action = \"stop\"", "energy_drift=20", "ignore_d3kil"))
	n.hears(r.id, "Stopping with sw1; the solver has ")
	n.restart()
	r.comeBack()
	n.hears(r.id, "Going on with the stop that an earlier plugin process had begun")
	must.NoError(t, n.StopTask(r.id, 0, "SIGKILL"))
	must.ErrorContains(t, r.wait().Err, "stopped by watch: energy ratio")
}

// A run that has gone silent is not the model's doing: the next start goes on from its dump.
func TestWatch_Silence(t *testing.T) {
	n := newNode(t)
	r := n.start(watchedJob(t, "silence = \"2s\"\n action = \"stop\"", "quiet=60"))
	must.ErrorContains(t, r.wait().Err, "stopped by watch: silence for ")
	n.hears(r.id, "Stopping with sw1, dump d3dump01 written")
	next := r.again(slowJob("ncpu = 1"))
	n.hears(next.id, "Restarting from d3dump01")
	next.stop()
}

func TestWatch_BlockWithoutABoundIsRefused(t *testing.T) {
	n := newNode(t)
	_, _, err := n.StartTask(n.task(slowJob("watch { }")))
	must.ErrorContains(t, err, "watch: name a bound")
}
