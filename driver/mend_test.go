// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// A task.json that cannot be read costs a live run nothing, because the driver
// state has it too.
func TestRecover_DamagedDetailsOfALiveRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(path string) error
		mended bool
	}{
		"gone":      {os.Remove, true},
		"empty":     {func(path string) error { return os.WriteFile(path, nil, 0o600) }, true},
		"torn":      {func(path string) error { return os.WriteFile(path, []byte(`{"version":1,"task_id":"`), 0o600) }, true},
		"a newer's": {func(path string) error { return os.WriteFile(path, []byte(`{"version":99}`), 0o600) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(slowJob("ncpu = 1"))
			r.says("flush i/o buffers")
			details := r.task().Details()
			path := filepath.Join(r.recordDir(), "task.json")
			n.stop()
			must.NoError(t, c.spoil(path))
			n.launch()
			r.comeBack()
			n.hears(r.id, "record was damaged and was repaired from the driver state")
			r.runsOn("0")
			now := r.task().Details()
			must.True(t, details.StartedAt.Equal(now.StartedAt))
			at := *now
			at.StartedAt = details.StartedAt
			must.Eq(t, *details, at)
			content, err := os.ReadFile(path)
			must.NoError(t, err)
			if _, err := state.DecodeDetails(content); c.mended {
				must.NoError(t, err)
			} else {
				must.ErrorIs(t, err, state.ErrNewer)
			}
			// The stop's sense switch and the run folder are known only from the details.
			must.NoError(t, n.StopTask(r.id, patience, "SIGTERM"))
			n.hears(r.id, "Stopping with sw1, dump d3dump01 written at t = ")
			must.False(t, alive(r.pid))
			must.Eq(t, n.cores.Managed(), n.free())
		})
	}
}

// A run may end after the plugin has adopted it and before Nomad hands over the
// driver state, which alone tells where the outputs are.
func TestRecover_DamagedDetailsOfARunThatEndsBeforeItIsClaimed(t *testing.T) {
	n := newNode(t)
	r := n.start(n.gated(standinJob("ncpu = 1")))
	n.stop()
	must.NoError(t, os.Truncate(filepath.Join(r.recordDir(), "task.json"), 40))
	n.launch()
	adopted := r.task()
	r.open()
	eventually(t, "the run is over", adopted.IsGone)
	must.False(t, adopted.IsEnded(), must.Sprint("without its details nobody knows where its outputs are"))
	r.comeBack()
	must.Eq(t, &drivers.ExitResult{}, r.wait())
	must.NoError(t, n.RecoverTask(persist(t, r.handle))) // once is enough
	must.Eq(t, &drivers.ExitResult{}, r.wait())
	n.hears(r.id, "Normal termination at the end time")
	must.Eq(t, 1, strings.Count(strings.Join(n.said(r.id), "\n"), "ormal termination"))
}

func TestRecover_DamagedDetailsEverywhere(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	n.stop()
	must.NoError(t, os.Remove(filepath.Join(r.recordDir(), "task.json")))
	var h state.TaskState
	must.NoError(t, r.handle.GetDriverState(&h))
	h.Details = []byte("{")
	must.NoError(t, r.handle.SetDriverState(&h))
	n.launch()
	r.comeBack()
	r.runsOn("0")
	r.stop()
	must.False(t, alive(r.pid))
}
