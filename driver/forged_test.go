// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

// innocent is a live process that has nothing to do with any task.
func innocent(t *testing.T) (pid int, start uint64) {
	t.Helper()
	cmd := exec.Command("sleep", "3600")
	must.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	start, err := procfs.StartTicks("/proc", cmd.Process.Pid)
	must.NoError(t, err)
	return cmd.Process.Pid, start
}

func TestRecover_ForgedIdentityIsNeverSignalled(t *testing.T) {
	t.Parallel()
	other := "11111111-2222-3333-4444-555555555555"
	for name, forge := range map[string]func(rec pidfile.Record, pid int, start uint64) string{
		"no identity": func(_ pidfile.Record, pid int, _ uint64) string { return fmt.Sprintf("%d\n", pid) },
		"other start": func(rec pidfile.Record, pid int, start uint64) string {
			return fmt.Sprintf("%d\n{\"cores\":[0],\"start_time\":%d,\"boot_id\":%q}\n", pid, start-1, rec.BootID)
		},
		"other boot": func(_ pidfile.Record, pid int, start uint64) string {
			return fmt.Sprintf("%d\n{\"cores\":[0],\"start_time\":%d,\"boot_id\":%q}\n", pid, start, other)
		},
		"other boot for the supervisor": func(_ pidfile.Record, pid int, start uint64) string {
			return fmt.Sprintf("%d\n{\"cores\":[0],\"start_time\":%d,\"boot_id\":%q,\"supervisor_pid\":%d,\"supervisor_start_time\":%d}\n",
				pid, start, other, pid, start)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			pid, start := innocent(t)
			mask := (&run{t: t, pid: pid}).threads()
			r := n.start(n.script("exec sleep 3600"))
			rec := r.pidFile()
			n.stop()
			endProcess(t, rec.SupervisorPID)
			endProcess(t, r.pid)
			r.writePid(forge(rec, pid, start))
			n.launch()
			r.comeBack()
			result := r.wait()
			must.False(t, result.Successful())
			must.NoError(t, n.StopTask(r.id, 0, "SIGKILL"))
			must.NoError(t, n.DestroyTask(r.id, true))
			must.True(t, alive(pid))
			must.Eq(t, mask, (&run{t: t, pid: pid}).threads())
		})
	}
}

// A run that ends after a restart, before Nomad asks for it again, ends as its exit record
// says, though its pid file names another process: what Nomad remembers decides.
func TestRecover_ForgedPidFileHidesNoEndBeforeNomadAsks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		forge func(rec pidfile.Record, pid int, start uint64) string
		gone  bool // the forgery does not keep the run from being found gone
	}{
		"no identity": {func(_ pidfile.Record, pid int, _ uint64) string { return fmt.Sprintf("%d\n", pid) }, true},
		"with all that proves it": {func(rec pidfile.Record, pid int, start uint64) string {
			return fmt.Sprintf("%d\n{\"cores\":[0],\"start_time\":%d,\"boot_id\":%q}\n", pid, start, rec.BootID)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(n.script("until test -e go; do sleep 0.01; done; exit 7"))
			rec := r.pidFile()
			n.stop()
			pid, start := innocent(t)
			r.writePid(c.forge(rec, pid, start))
			n.launch()
			h, err := n.Driver.task(r.id)
			must.NoError(t, err)
			r.open()
			eventually(t, "the solver has ended", func() bool { return !alive(r.pid) })
			if c.gone {
				eventually(t, "its cores are free", h.IsGone)
			}
			must.False(t, h.IsEnded())
			r.comeBack()
			must.Eq(t, 7, r.wait().ExitCode)
			must.True(t, alive(pid))
		})
	}
}
