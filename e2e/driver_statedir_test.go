// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// withOwnDisk makes a site whose state_dir is a small file system of its own.
func withOwnDisk(t *testing.T) *site {
	t.Helper()
	requireRoot(t)
	dir := filepath.Join(worldReadable(t), "state")
	must.NoError(t, os.Mkdir(dir, 0o700))
	if err := unix.Mount("state", dir, "tmpfs", 0, "mode=0700,size=2m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { must.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return newSite(t, "", func(c *cluster.Config) { c.StateDir = dir })
}

// slips are what happens to a state_dir while the client is down; each returns what
// mends it. Where records can be read nonetheless the runs are adopted at once, and why
// is "".
var slips = []struct {
	name string
	do   func(s *site, dir string) (mend func() error)
	why  string
}{
	{"another-plugin", func(s *site, dir string) func() error {
		lock, err := os.Open(filepath.Join(dir, "plugin.lock"))
		must.NoError(s.t, err)
		must.NoError(s.t, unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB))
		return lock.Close
	}, "is in use by another plugin process"},
	{"mode", func(s *site, dir string) func() error {
		must.NoError(s.t, os.Chmod(dir, 0o755))
		return func() error { return os.Chmod(dir, 0o700) }
	}, "chmod 0700 it"},
	{"owner", func(s *site, dir string) func() error {
		must.NoError(s.t, os.Chown(dir, 12345, -1))
		return func() error { return os.Chown(dir, 0, -1) }
	}, "belongs to uid 12345"},
	{"full", func(s *site, dir string) func() error {
		filler := filepath.Join(dir, "filler")
		f, err := os.Create(filler)
		must.NoError(s.t, err)
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 512))
		}
		must.ErrorIs(s.t, err, unix.ENOSPC)
		return func() error { return os.Remove(filler) }
	}, ""},
	{"read-only", func(s *site, dir string) func() error {
		inside := func(script string) error {
			out, err := s.Inside(within(s.t), "sh", "-ec", script, "sh", dir).CombinedOutput()
			if err != nil {
				return errors.Join(err, errors.New(string(out)))
			}
			return nil
		}
		// A disk that its kernel has made read-only has files open for writing, as
		// those of supervisors, which keeps remount,ro from doing the same.
		must.NoError(s.t, inside(`mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"`))
		return func() error { return inside(`umount -l "$1"`) }
	}, ""},
}

// A slip with state_dir while the client is down costs a run nothing: it is
// stopped and started by nobody, and managed again when the slip is mended. One that is
// stopped meanwhile leaves its dump, and its end is told as it was.
func TestDriver_StateDirThatCannotBeUsedCostsNoRun(t *testing.T) {
	t.Parallel()
	for _, slip := range slips {
		t.Run(slip.name, func(t *testing.T) {
			t.Parallel()
			s := withOwnDisk(t)
			stays, stops := s.steadyRun("stays"), s.steadyRun("stops")
			pid, cores := stays.pidFile().PID, stays.checkCores()
			must.NoError(t, s.Stop(within(t)))
			mend := slip.do(s, s.StateDir())
			began := time.Now()
			start(t, s.Agent)
			if slip.why != "" {
				stays.said(began, "The run goes on, but is not managed yet")
				stays.said(began, slip.why)
			} else {
				stays.said(began, "Restored "+allocator.Name(cores)+" from the pid file")
			}
			stays.recovered() // alloc exec reaches it all the same
			stays.progresses()
			_, _, err := s.API.Jobs().Deregister(stops.job, false, nil)
			must.NoError(t, err)
			stops.gone()
			must.FileExists(t, filepath.Join(stops.folder, "d3dump01"))
			must.NoError(t, mend())
			stops.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Stopping with sw1, dump d3dump01 written"),
				cluster.TaskEvent("lsdyna", "topped by a sense switch in d3kil"))
			if slip.why != "" {
				stays.said(began, "Restored "+allocator.Name(cores)+" from the pid file")
				stays.said(began, "The run is managed again")
			}
			must.Eq(t, pid, stays.pidFile().PID)
			must.Eq(t, cores, stays.checkCores())
			must.Zero(t, stays.wait(api.AllocClientStatusRunning).TaskStates["lsdyna"].Restarts)
			must.NoError(t, s.StopJob(within(t), stays.job, false))
			stays.gone()
		})
	}
}

// steadyRun is a run on one core that computes, and looks for a switch at each cycle.
func (s *site) steadyRun(name string) *run {
	s.t.Helper()
	r := s.start(jobHCL{name: name, folder: s.deck(name, "solid_bar_impact"), config: "ncpu = 1", env: steady + "\nSTANDIN_POLL = \"1\""})
	s.waitCycles(r)
	return r
}

// gone waits until the run's solver has ended.
func (r *run) gone() {
	r.s.t.Helper()
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "the solver's end", func() (bool, string, error) {
		return len(r.solvers()) == 0, "", nil
	}))
}
