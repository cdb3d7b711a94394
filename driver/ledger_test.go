// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

// ledgerOf returns what the node's history says of the runs of an allocation.
func (n *node) ledgerOf(alloc string) (entries []history.Entry) {
	n.t.Helper()
	runs, err := history.Read(n.config.StateDir)
	must.NoError(n.t, err)
	must.Zero(n.t, runs.Damaged)
	for _, e := range runs.Entries {
		if e.AllocID == alloc {
			entries = append(entries, e)
		}
	}
	return entries
}

// Each case is a way in which a run ends, and somebody learns of it, perhaps twice.
func TestLedger_EachRunIsNotedOnceWhoeverSawItsEnd(t *testing.T) {
	again := func(r *run) { // the plugin was killed before Nomad knew
		r.n.restart()
		r.comeBack()
		r.wait()
	}
	for name, c := range map[string]struct {
		ends func(r *run)
		want string
	}{
		"seen live": {func(r *run) { r.open(); r.wait() }, "completed"},
		"seen live, and found over by the next plugin": {func(r *run) { r.open(); r.wait(); again(r) }, "completed"},
		"found over":       {func(r *run) { r.endsUnseen(); r.comeBack(); r.wait() }, "completed"},
		"found over twice": {func(r *run) { r.endsUnseen(); r.comeBack(); r.wait(); again(r) }, "completed"},
		"seen live, its record is removed": {func(r *run) {
			r.open()
			r.wait()
			r.n.stop()
			must.NoError(t, os.RemoveAll(r.recordDir()))
			r.n.launch()
			r.comeBack()
			r.wait()
		}, "completed"},
		"nobody saw it, and its record is removed": {func(r *run) {
			supervisor := r.pidFile().SupervisorPID
			r.n.stop()
			r.open()
			eventually(t, "its supervisor has ended", func() bool { return !alive(supervisor) })
			must.NoError(t, os.RemoveAll(r.recordDir()))
			r.n.launch()
			r.comeBack()
			r.wait()
		}, "completed"}, // by its outputs
		"destroyed": {func(r *run) { must.NoError(t, r.n.DestroyTask(r.id, true)) }, "killed"},
		"completed, and Nomad starts its task again": {func(r *run) {
			r.open()
			r.wait()
			j := r.n.gated(standinJob("ncpu = 1"))
			j.alloc = r.cfg.AllocID
			next := r.again(j)
			r.n.hears(next.id, "This allocation has completed its run already")
			next.wait()
			must.NoError(t, r.n.DestroyTask(next.id, false))
		}, "completed"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(n.gated(standinJob("ncpu = 1")))
			c.ends(r)
			entries := n.ledgerOf(r.cfg.AllocID)
			must.Len(t, 1, entries)
			e := entries[0]
			must.Eq(t, r.id, e.Run)
			must.Eq(t, c.want, e.Outcome, must.Sprint(e.Reason))
			must.Eq(t, []string{"crash", "solve", "smp"}, []string{e.JobID, e.Task, e.Parallel})
			must.Eq(t, 1, e.Cores)
			must.NotEq(t, "", e.User)
			totals, err := history.ReadTotals(n.config.StateDir)
			must.NoError(t, err)
			must.Eq(t, 1, totals.Outcomes[c.want].Runs)
			if e.Ended != nil && c.want == "completed" {
				must.Positive(t, e.CoreSeconds)
				must.Eq(t, *e.EndTime, 0.006)
				must.Eq(t, 1, e.Licences)
			}
		})
	}
}

// Where the history cannot be written the run ends as ever.
func TestLedger_AHistoryThatCannotBeWrittenCostsNoResult(t *testing.T) {
	n := newNode(t)
	r := n.start(n.gated(standinJob("ncpu = 1")))
	n.stop()
	path := n.config.StateDir + "/history"
	must.NoError(t, os.RemoveAll(path))
	must.NoError(t, os.WriteFile(path, nil, 0o600))
	n.launch()
	r.comeBack()
	r.open()
	must.True(t, r.wait().Successful())
	must.NoError(t, os.Remove(path))
	n.ledger.Open(n.config.StateDir) // as it tries once a minute
	must.Len(t, 1, n.ledgerOf(r.cfg.AllocID))
}
