// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report"
)

// A folder that hangs while checkpoints are due holds up neither others nor the next
// plugin; when it is back the checkpoints go on, and the run can be stopped meanwhile.
func TestDriver_CheckpointsInAFolderThatHangs(t *testing.T) {
	cores := twoCores(t)
	s := newServedSite(t, fmt.Sprintf("cores { usable = %q }", cores))
	r := s.start(jobHCL{
		name: "hangs", folder: s.served("hangs"), env: "STANDIN_PACE = \"200ms\"\nSTANDIN_POLL = \"5\"",
		config: "ncpu = 1\ncheckpoint = \"1s\"\nreport = true\nwatch {\n silence = \"1h\"\n action = \"stop\"\n}\n",
	})
	r.wait(api.AllocClientStatusRunning, cluster.TaskEvent("lsdyna", "Checkpoint: dump d3dump01 written at t = "))
	s.hang()
	s.runsBeside("beside", 1)
	s.killBoth()
	s.comesBack()
	s.runsBeside("beside-again", 1)
	s.resume()
	r.recovered()
	r.waitCheckpoint(3)
	s.hang()
	r.askToStop()
	r.stopBegun()
	s.resume()
	told := r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Stopping with sw1, dump d3dump"))
	must.StrNotContains(t, fmt.Sprint(cluster.Events(told, "lsdyna")), "Stopped by watch")
	must.StrContains(t, pageIn(t, r.folder, report.Name), ">Stopped<")
}
