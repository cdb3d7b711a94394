// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

const (
	versionSymbol = "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver.Version"
	nextVersion   = "99.0.0-next"
)

// nextPlugin builds the plugin of another version.
func nextPlugin(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("needs Go to build another version of the plugin: %v", err)
	}
	path := filepath.Join(t.TempDir(), "plugin-next")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X "+versionSymbol+"="+nextVersion, "-o", path, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	return path
}

// version waits until the node says that it has a version of the plugin.
func (s *site) version(want string) {
	s.t.Helper()
	must.NoError(s.t, cluster.Poll(within(s.t), "plugin version "+want, func() (bool, string, error) {
		node, err := s.Node()
		if err != nil {
			return false, "", err
		}
		is := node.Attributes["driver.lsdyna.version"]
		return is == want, is, nil
	}))
}

// An operator puts the next version in place of the plugin's binary, by rename,
// under a running solver.
func TestDriver_SolverSurvivesTheSwapOfThePlugin(t *testing.T) {
	t.Parallel()
	next := nextPlugin(t)
	for _, c := range []struct {
		name string
		swap func(s *site)
	}{
		{"then kill -9 of the plugin", (*site).killPlugin},
		{"then a restart of the client", func(s *site) { must.NoError(s.t, s.Restart(within(s.t))) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, "")
			r := s.start(jobHCL{name: "upgrade", folder: s.deck("upgrade", "solid_bar_impact"), config: "ncpu = 1", env: slow + "\nSTANDIN_POLL = \"5\""})
			s.waitCycles(r)
			before, cores := r.pidFile(), r.checkCores()
			program := programOf(t, before.SupervisorPID)
			first, err := s.Node()
			must.NoError(t, err)
			must.NotEq(t, nextVersion, first.Attributes["driver.lsdyna.version"])

			_, err = s.InstallBinary(next, filepath.Join("plugins", cluster.PluginName)) // by rename
			must.NoError(t, err)
			began := time.Now()
			c.swap(s)
			r.recovered()
			r.said(began, "Restored "+allocator.Name(cores)+" from the pid file")
			s.version(nextVersion)
			must.Eq(t, before, r.pidFile())
			must.Eq(t, cores, r.checkCores())
			must.Zero(t, r.wait(api.AllocClientStatusRunning).TaskStates["lsdyna"].Restarts)
			// The supervisor still is of the version that started the run, and does its work.
			must.Eq(t, program, programOf(t, before.SupervisorPID))
			must.NoError(t, s.StopJob(within(t), "upgrade", false))
			r.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
			must.Len(t, 0, r.solvers())

			again := s.start(jobHCL{name: "next", folder: s.deck("next", "solid_bar_impact"), config: "ncpu = 1", env: slow})
			again.checkCores()
		})
	}
}

// programOf returns the digest of what a process executes.
func programOf(t *testing.T, pid int) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	must.NoError(t, err)
	return fmt.Sprintf("%x", sha256.Sum256(data))
}
