// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/shoenig/test/must"
)

// What a failed start could not end is forgotten when it is gone, by the plugin that
// started it and by those that come after.
func TestFailedStart_IsForgottenOnceItsProcessesAreGone(t *testing.T) {
	for name, c := range map[string]struct {
		restart func(r *run)
		ended   bool // by it
	}{
		"by the plugin that started it": {func(r *run) {
			h := r.task()
			r.n.routines.Go(func() { r.n.forget(h, h.Gone()) })
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
				return unknown != nil && errors.Is(err, fs.ErrNotExist) && n.cores.Managed().String() == n.free().String()
			})
		})
	}
}
