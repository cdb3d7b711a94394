// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
)

// withStatus has the node tell jobs' owners how their tasks are.
func withStatus(c *settings.Config) { c.StatusDir = filepath.Join(filepath.Dir(c.StateDir), "status") }

// toldOf waits until what is told of a run is as it should be.
func (r *run) toldOf(what string, is func(t *public.Task, s *output.Snapshot) bool) public.Task {
	r.t.Helper()
	var found public.Task
	eventually(r.t, what, func() bool {
		own, err := public.ReadTasks(r.n.config.StatusDir, r.task().Details().UID)
		must.NoError(r.t, err)
		for _, task := range own.Tasks {
			var s output.Snapshot
			if task.ID.String() != r.id {
				continue
			}
			must.NoError(r.t, json.Unmarshal(task.Snapshot, &s))
			found = task
			return is(&task, &s)
		}
		return false
	})
	return found
}

// taken waits until the node tells everybody that these CPUs are taken.
func (n *node) taken(cpus string) {
	n.t.Helper()
	eventually(n.t, "taken are "+cpus, func() bool {
		told, err := public.ReadNode(n.config.StatusDir)
		return err == nil && told.Taken == cpus && told.Doubt(procfs.Root, public.Uptime()) == ""
	})
}

func TestBoard_TellsAnOwnerOfHisRunForAsLongAsItLives(t *testing.T) {
	n := newNode(t, withStatus)
	n.taken("")
	r := n.start(slowJob("ncpu = 1"))
	told := r.toldOf("it computes", func(_ *public.Task, s *output.Snapshot) bool { return s.HasTime && s.EndTime > 0 })
	n.taken("0")
	must.Eq(t, "running", told.State)
	must.Eq(t, r.pid, told.Process.PID)
	must.Eq(t, "crash", told.Details.JobID)
	must.Eq(t, []int{0}, told.Cores)

	n.restart()
	r.comeBack()
	r.toldOf("the next plugin tells of it", func(*public.Task, *output.Snapshot) bool {
		node, err := public.ReadNode(n.config.StatusDir)
		return err == nil && node.Writer.PID == os.Getpid() && node.Tasks == 1
	})
	r.stop()
	n.taken("")
	_, err := os.Stat(filepath.Join(n.config.StatusDir, "65534.json"))
	must.ErrorIs(t, err, os.ErrNotExist)
}

// What the agent keeps from everybody is not told to owners either.
func TestBoard_TellsNoSecrets(t *testing.T) {
	const secret = "31010@s3cret-server"
	n := newNode(t, withStatus, func(c *settings.Config) {
		c.License = &settings.LicenseConfig{Type: "network", Server: secret}
	})
	j := slowJob("ncpu = 1")
	j.env["TOKEN"] = "s3cret-token"
	r := n.start(j)
	r.toldOf("it computes", func(_ *public.Task, s *output.Snapshot) bool { return s.HasTime })
	for _, name := range []string{"65534.json", "node.json"} {
		data, err := os.ReadFile(filepath.Join(n.config.StatusDir, name))
		if os.Geteuid() != 0 && name == "65534.json" {
			continue
		}
		must.NoError(t, err)
		must.False(t, strings.Contains(string(data), "s3cret"), must.Sprint(string(data)))
	}
}

// A status_dir that cannot be used costs no run, and is tried again.
func TestBoard_AStatusDirThatCannotBeUsedCostsNoRun(t *testing.T) {
	var dir string
	n := newNode(t, withStatus, func(c *settings.Config) {
		dir = c.StatusDir
		must.NoError(t, os.WriteFile(dir, nil, 0o644))
	})
	r := n.start(standinJob("ncpu = 1"))
	must.True(t, r.wait().Successful())
	must.NoError(t, os.Remove(dir))
	n.taken("")
}
