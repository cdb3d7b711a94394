// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// history is what the run folder keeps of its runs.
func (r *run) history() []output.PastRun {
	r.t.Helper()
	folder, err := rundir.Open(filepath.Dir(r.folder), filepath.Base(r.folder))
	must.NoError(r.t, err)
	defer folder.Close()
	runs, err := folder.History()
	must.NoError(r.t, err)
	return runs
}

// Why a run was started again is there after Nomad's events and the driver's records are
// gone: what it began with, which dump, and how each of them ended.
func TestHistory_TellsWhyARunWasStartedAgain(t *testing.T) {
	n := newNode(t)
	first := n.start(slowJob("ncpu = 1"))
	first.computes()
	must.NoError(t, n.SignalTask(first.id, "SIGUSR1"))
	n.hears(first.id, "dump d3dump01 written")
	must.NoError(t, syscall.Kill(first.pid, syscall.SIGKILL))
	first.wait()
	must.NoError(t, n.DestroyTask(first.id, false))

	second := first.again(slowJob("ncpu = 1"))
	second.isSeenComputing()
	n.restart() // whoever is there at the end notes it
	second.comeBack()
	second.isSeenComputing()
	must.NoError(t, n.StopTask(second.id, patience, "SIGTERM"))
	second.wait()
	must.NoError(t, n.DestroyTask(second.id, false))

	third := second.again(slowJob("ncpu = 1"))
	runs := third.history()
	must.Len(t, 3, runs)
	must.Eq(t, []string{first.id, second.id, third.id}, []string{runs[0].Run, runs[1].Run, runs[2].Run})
	must.Eq(t, "starting from the deck", runs[0].Began)
	must.Eq(t, output.Killed, runs[0].Outcome)
	must.Eq(t, 9, runs[0].Signal)
	must.NotNil(t, runs[0].Ended)
	must.StrHasPrefix(t, "restarting from d3dump01 (t = ", runs[1].Began)
	must.Eq(t, output.Stopped, runs[1].Outcome)
	must.StrContains(t, runs[1].Reason, "stopped by a sense switch")
	must.Eq(t, "d3dump02", runs[1].Dump)
	must.Eq(t, 0, *runs[1].ExitCode)
	must.StrHasPrefix(t, "restarting from d3dump02 (t = ", runs[2].Began)
	must.Nil(t, runs[2].Ended)
}
