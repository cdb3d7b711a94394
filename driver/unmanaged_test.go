// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/outlive"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds/credstest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// trouble is what passes: it befalls a node's state_dir and returns what mends it.
type trouble func(t *testing.T, dir string) (mend func())

func wrongMode(t *testing.T, dir string) func() {
	must.NoError(t, os.Chmod(dir, 0o755))
	return func() { must.NoError(t, os.Chmod(dir, 0o700)) }
}

func wrongOwner(t *testing.T, dir string) func() {
	needRoot(t)
	if credstest.IsSquashed() {
		t.Skip("a squashed root changes no owner")
	}
	must.NoError(t, os.Chown(dir, 12345, -1))
	return func() { must.NoError(t, os.Chown(dir, 0, -1)) }
}

func heldByAnotherPlugin(t *testing.T, dir string) func() {
	other, err := state.Open(dir)
	must.NoError(t, err)
	return func() { must.NoError(t, other.Close()) }
}

// onOwnDisk puts state_dir on a file system of its own.
func onOwnDisk(t *testing.T) func(*settings.Config) {
	t.Helper()
	needRoot(t)
	return func(c *settings.Config) {
		must.NoError(t, os.Mkdir(c.StateDir, 0o700))
		if err := unix.Mount("state", c.StateDir, "tmpfs", 0, "mode=0700,size=512k"); err != nil {
			t.Skipf("cannot mount: %v", err)
		}
		t.Cleanup(func() { must.NoError(t, unix.Unmount(c.StateDir, unix.MNT_DETACH)) })
	}
}

func fullDisk(t *testing.T, dir string) func() {
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	must.NoError(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	must.ErrorIs(t, err, unix.ENOSPC)
	return func() { must.NoError(t, os.Remove(filler)) }
}

// readOnlyDisk lays a view of the disk over it: its supervisors write to the disk itself.
func readOnlyDisk(t *testing.T, dir string) func() {
	must.NoError(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	mend := sync.OnceFunc(func() { must.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	t.Cleanup(mend)
	must.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	return mend
}

// without is a trouble that befalls a state_dir which has lost the run's record.
func without(r *run, trouble trouble) func() {
	must.NoError(r.t, os.RemoveAll(filepath.Dir(filepath.Dir(r.recordDir()))))
	return trouble(r.t, r.n.config.StateDir)
}

// isServed demands that Nomad's calls about a run work.
func (r *run) isServed(cores string) {
	r.t.Helper()
	must.True(r.t, alive(r.pid))
	status, err := r.n.InspectTask(r.id)
	must.NoError(r.t, err)
	must.Eq(r.t, drivers.TaskStateRunning, status.State)
	must.Eq(r.t, cores, status.DriverAttributes["cores"])
	usage, err := r.n.TaskStats(r.t.Context(), r.id, 10*time.Millisecond)
	must.NoError(r.t, err)
	select {
	case u := <-usage:
		must.NotNil(r.t, u)
	case <-time.After(patience):
		r.t.Fatal("no statistics")
	}
	must.NoError(r.t, r.n.SignalTask(r.id, "SIGCONT"))
	executed, err := r.n.ExecTask(r.id, []string{"/bin/true"}, patience)
	must.NoError(r.t, err)
	must.True(r.t, executed.ExitResult.Successful())
}

func TestRecover_WhileStateDirCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trouble trouble
		why     string
	}{
		"others may enter it":             {wrongMode, "has mode 0755"},
		"it is another user's":            {wrongOwner, "belongs to uid 12345"},
		"another plugin works on it":      {heldByAnotherPlugin, "is in use by another plugin process"},
		"it is a link, or nothing at all": {exchanged, "is a symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(slowJob("ncpu = 1"))
			n.stop()
			mend := c.trouble(t, n.config.StateDir)
			n.launch()
			r.comeBack()
			n.hears(r.id, "is not managed yet")
			n.hears(r.id, c.why)
			r.isServed("0")
			must.NoError(t, n.RecoverTask(persist(t, r.handle))) // again, as the client may
			if c.why != "is in use by another plugin process" {  // which a start waits for
				_, _, err := n.StartTask(n.task(slowJob("ncpu = 1")))
				must.ErrorContains(t, err, c.why)
			}
			mend()
			n.hears(r.id, "Restored core 0 from the pid file")
			n.hears(r.id, "The run is managed again")
			r.runsOn("0")
			n.restart() // and it is found like any other
			r.comeBack()
			r.runsOn("0")
		})
	}
}

// exchanged is a state_dir that somebody moved, with a link in its place.
func exchanged(t *testing.T, dir string) func() {
	moved := dir + ".moved"
	must.NoError(t, errors.Join(os.Rename(dir, moved), os.Symlink(moved, dir)))
	return func() { must.NoError(t, errors.Join(os.Remove(dir), os.Rename(moved, dir))) }
}

// What is there can be read on a disk that takes nothing more, and what was lost is
// made anew when it does.
func TestRecover_WhileTheDiskTakesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trouble trouble
		why     string
	}{
		"full":      {fullDisk, "no space left on device"},
		"read-only": {readOnlyDisk, "read-only file system"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, onOwnDisk(t))
			r := n.start(slowJob("ncpu = 1"))
			n.stop()
			mend := c.trouble(t, n.config.StateDir)
			n.launch()
			r.comeBack()
			n.hears(r.id, "Restored core 0 from the pid file")
			r.runsOn("0")
			mend()
		})
		t.Run(name+", and the record is lost", func(t *testing.T) {
			n := newNode(t, onOwnDisk(t))
			r := n.start(slowJob("ncpu = 1"))
			n.stop()
			mend := without(r, c.trouble)
			n.launch()
			r.comeBack()
			n.hears(r.id, "is not managed yet")
			n.hears(r.id, c.why)
			r.isServed("0")
			lease, ok := n.lease(r.id)
			must.True(t, ok)
			must.Eq(t, "0", lease.CPUs.String())
			mend()
			n.hears(r.id, "Restored core 0 from the driver state")
			n.hears(r.id, "The run is managed again")
			r.runsOn("0")
		})
	}
}

func TestUnmanaged_CoresOfThePidFileComeFirst(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	n.stop()
	r.withCores(1) // since it was moved
	mend := wrongMode(t, n.config.StateDir)
	n.launch()
	r.comeBack()
	r.isServed("0") // as far as the driver state knows
	mend()
	n.hears(r.id, "Restored core 1 from the pid file")
	n.hears(r.id, "The run is managed again")
	r.runsOn("1")
}

func TestUnmanaged_CoresAreNobodyElses(t *testing.T) {
	needCPUs(t, 2)
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	n.stop()
	alloc := filepath.Dir(filepath.Dir(r.recordDir()))
	must.NoError(t, os.RemoveAll(alloc))
	must.NoError(t, os.WriteFile(alloc, nil, 0o600)) // no record can be made there
	n.launch()
	r.comeBack()
	n.hears(r.id, "not a directory")
	other := n.start(slowJob("ncpu = 1"))
	other.runsOn("1")
	r.isServed("0")
	must.NoError(t, os.Remove(alloc))
	n.hears(r.id, "The run is managed again")
	r.runsOn("0")
	other.runsOn("1")
}

func TestUnmanaged_StopLeavesADump(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.says("flush i/o buffers")
	n.stop()
	wrongMode(t, n.config.StateDir)
	n.waits.Stopped = 5 * time.Second // for the outputs to be read, too
	n.launch()
	r.comeBack()
	must.NoError(t, n.StopTask(r.id, patience, "SIGTERM"))
	must.False(t, alive(r.pid))
	n.hears(r.id, "Stopping with sw1, dump d3dump01 written at t = ")
	result := r.wait()
	must.False(t, result.Successful())
	must.ErrorContains(t, result.Err, "exit status unknown")
	_, err := os.Lstat(filepath.Join(r.recordDir(), "stop.json"))
	must.ErrorIs(t, err, os.ErrNotExist, must.Sprint("others may have exchanged what is there"))
	must.NoError(t, n.DestroyTask(r.id, false))
}

// Who stops a run waits a moment for the truth of its end.
func TestUnmanaged_StopIsToldAsItWas(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.says("flush i/o buffers")
	n.stop()
	mend := wrongMode(t, n.config.StateDir)
	n.launch()
	r.comeBack()
	must.NoError(t, n.StopTask(r.id, patience, "SIGTERM"))
	n.hears(r.id, "how it ended is told when state_dir can be used again")
	must.False(t, r.task().IsEnded())
	mend()
	result := r.wait()
	must.Zero(t, result.Signal)
	must.ErrorContains(t, result.Err, "stopped by a sense switch")
	must.StrNotContains(t, result.Err.Error(), "unknown")
	n.hears(r.id, "Stopping with sw1, dump d3dump01 written at t = ")
}

func TestUnmanaged_StopOfOneThatHasEnded(t *testing.T) {
	n := newNode(t)
	r := n.start(n.script("until test -e go; do sleep 0.01; done; exit 7"))
	n.stop()
	wrongMode(t, n.config.StateDir)
	n.waits.Stopped = time.Second
	n.launch()
	r.comeBack()
	must.NoError(t, os.WriteFile(filepath.Join(r.folder, "go"), nil, 0o644))
	n.hears(r.id, "how it ended is told when state_dir can be used again")
	must.NoError(t, n.StopTask(r.id, patience, "SIGTERM"))
	must.ErrorContains(t, r.wait().Err, "exit status unknown")
	must.NoError(t, n.DestroyTask(r.id, false))
}

// Whenever the run ends, its end is told as it was.
func TestUnmanaged_EndIsToldWhenStateDirCanBeUsed(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]bool{"it ends while it is not managed": false, "it had ended before": true} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(n.script("until test -e go; do sleep 0.01; done; exit 7"))
			n.stop()
			mend := wrongMode(t, n.config.StateDir)
			end := func() {
				supervisor := r.pidFile().SupervisorPID
				must.NoError(t, os.WriteFile(filepath.Join(r.folder, "go"), nil, 0o644))
				eventually(t, "the supervisor has ended", func() bool { return !alive(supervisor) })
			}
			if before {
				end()
			}
			n.launch()
			r.comeBack()
			if !before {
				end()
			}
			n.hears(r.id, "how it ended is told when state_dir can be used again")
			must.False(t, r.task().IsEnded())
			mend()
			must.Eq(t, 7, r.wait().ExitCode)
			must.Eq(t, n.cores.Managed(), n.free())
			must.NoError(t, n.DestroyTask(r.id, false))
		})
	}
}

// A stop that an earlier plugin had begun goes on when its record can be read.
func TestUnmanaged_StopThatWasBegunGoesOn(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.says("flush i/o buffers")
	must.NoError(t, r.task().Record().WriteStop(state.Stop{Began: time.Now(), Deadline: time.Now().Add(patience), Signal: "SIGTERM"}))
	n.stop()
	mend := wrongMode(t, n.config.StateDir)
	n.launch()
	r.comeBack()
	r.isServed("0")
	mend()
	n.hears(r.id, "Going on with the stop that an earlier plugin process had begun")
	r.wait()
	must.FileExists(t, filepath.Join(r.folder, "d3dump01"))
}

// A run that is not managed gives way to a start of the same task like any other.
func TestUnmanaged_GivesWayToItsSuccessor(t *testing.T) {
	n := newNode(t)
	j := slowJob("ncpu = 1")
	old := n.start(j)
	old.says("flush i/o buffers")
	n.stop()
	alloc := filepath.Join(n.config.StateDir, "tasks", old.cfg.AllocID)
	must.NoError(t, os.RemoveAll(alloc))
	must.NoError(t, os.WriteFile(alloc, nil, 0o600))
	n.waits.Stopped = 5 * time.Second // for the outputs to be read, too
	n.launch()
	old.comeBack()
	n.hears(old.id, "not a directory")
	j.alloc, j.folder = old.cfg.AllocID, old.folder
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, "not a directory") // nor can the new one have a record
	must.False(t, alive(old.pid))
	must.FileExists(t, filepath.Join(old.folder, "d3dump01"))
	must.NoError(t, os.Remove(alloc))
	r := n.start(j)
	must.Eq(t, "d3dump01", r.task().Details().Restart)
	must.False(t, strings.Contains(strings.Join(n.said(r.id), "\n"), "Ended an earlier run"))
}

// A plugin whose client died logs to state_dir, if that is its own.
func TestFollowLog_NotIntoAStateDirThatWasNotTaken(t *testing.T) {
	n := newNode(t)
	n.stop()
	mend := wrongMode(t, n.config.StateDir)
	n.launch()
	broken := make(chan os.Signal)
	n.routines.Go(func() { outlive.FollowLog(n.ctx, broken, n.logFolder, n.logger) })
	broken <- unix.SIGPIPE
	n.stop()
	must.FileNotExists(t, filepath.Join(n.config.StateDir, "plugin.log"))
	mend()
	n.launch()
}
