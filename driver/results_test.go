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

// Nomad deletes what lies in an allocation: whoever runs a job hears of it in time, and
// nobody else does.
func TestResults_InTheAllocationAreToldToBeDeleted(t *testing.T) {
	t.Parallel()
	for name, inside := range map[string]bool{"in the allocation": true, "below a work root": false} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			cfg := n.task(standinJob("ncpu = 1"))
			folder := filepath.Join(cfg.AllocDir, cfg.Name, "local")
			if inside {
				j := standinJob("ncpu = 1")
				j.alloc, j.folder = cfg.AllocID, "local"
				cfg = n.task(j)
				must.NoError(t, os.MkdirAll(filepath.Dir(folder), 0o755))
				must.NoError(t, os.Rename(n.folder(deckFiles(t, false)), folder))
			}
			handle, _, err := n.StartTask(cfg)
			must.NoError(t, err)
			r := n.started(cfg, handle)
			must.True(t, r.wait().Successful())
			n.hears(r.id, "Normal termination")
			if inside {
				n.hears(r.id, "The run folder is inside the allocation: Nomad deletes it with all results some hours after the job has ended; a work_dir below one of the node's work_roots ("+strings.Join(n.config.WorkRoots, ", ")+") is kept")
				n.hears(r.id, "The results are in "+folder+", inside the allocation: copy them away, ")
				return
			}
			must.NoError(t, n.DestroyTask(r.id, false)) // nothing more will be said
			must.StrNotContains(t, strings.Join(n.said(r.id), "\n"), "allocation")
		})
	}
}
