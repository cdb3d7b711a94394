// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node/nodetest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/eta"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/public"
)

// dora is a user of whom nothing else is known.
const dora = 54321

// told is a node whose plugin tells dora of one task of hers, on cores 0 and 1, beside one
// of somebody else on core 4.
type told struct {
	stateDir, statusDir, sysfs string
	node                       public.Node
	tasks                      public.Tasks
}

func newTold(t *testing.T) *told {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("another user needs root")
	}
	n := &told{stateDir: nodetest.StateDir(t), statusDir: filepath.Join(t.TempDir(), "status"), sysfs: twoSockets.Sysfs(t)}
	for _, path := range []string{n.stateDir, n.statusDir, n.sysfs} {
		for dir := filepath.Dir(path); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
			must.NoError(t, os.Chmod(dir, 0o755))
		}
	}
	ticks, err := procfs.StartTicks(procfs.Root, os.Getpid())
	must.NoError(t, err)
	boot, err := procfs.BootID(procfs.Root)
	must.NoError(t, err)
	s := output.Snapshot{Phase: output.PhaseSolving, Progress: output.Progress{HasTime: true, Time: 0.004, EndTime: 0.01, Cycle: 4001}, Sources: []string{"stdout"}}
	s.HasETA, s.Remaining = true, eta.Forecast{Likely: time.Minute, Low: 50 * time.Second, High: 80 * time.Second}
	snapshot, err := json.Marshal(s)
	must.NoError(t, err)
	n.node = public.Node{Writer: public.ThisProcess(os.Getpid()), Written: time.Now(), Uptime: public.Uptime(), Taken: "0-1,4", Tasks: 2}
	n.tasks.Tasks = []public.Task{{
		ID: state.ID{Alloc: allocA, Task: "solve", Invocation: "1"}, State: "running", Cores: []int{0, 1}, Snapshot: snapshot,
		Details: state.Details{JobID: "crash", Task: "solve", AllocID: allocA, StartedAt: time.Now().Add(-time.Hour), User: "dora", UID: dora},
		Process: public.Process{PID: os.Getpid(), Start: ticks, BootID: boot},
	}}
	return n
}

// write is what the plugin does.
func (n *told) write(t *testing.T) {
	t.Helper()
	d, err := public.Open(n.statusDir)
	must.NoError(t, err)
	must.NoError(t, d.Write(n.node, map[int]public.Tasks{dora: n.tasks}))
	must.NoError(t, d.Close())
}

// asks runs status as a user.
func (n *told) asks(t *testing.T, uid int, args ...string) (r result) {
	t.Helper()
	must.NoError(t, creds.User{UID: uid, GID: uid}.Do(func() error {
		r = call(t, append([]string{"status", "-state-dir", n.stateDir, "-status-dir", n.statusDir, "-sysfs", n.sysfs}, args...)...)
		return nil
	}))
	return r
}

func TestStatus_showsAnOwnerHisOwnTasks(t *testing.T) {
	n := newTold(t)
	n.write(t)
	t.Setenv("COLUMNS", "140")
	r := n.asks(t, dora)
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	must.StrContains(t, r.out, "5 cores free (whole cores, siblings stay idle), 1 task of yours, 1 of other users\n")
	must.StrContains(t, r.out, "  cpu 0-3    A A . .\n  cpu 8-11   - - . .\nSocket 1, NUMA node 1   3 of 4 free\n  cpu 4-7    x . . .\n  cpu 12-15  - . . .\n")
	must.StrContains(t, r.out, "x another user's task")
	must.StrContains(t, r.out, "A  crash  solve  3f1c2a9b")
	must.StrContains(t, r.out, " 1m00s  50s-1m20s  0.004 of 0.01 ")

	var report node.Report
	must.NoError(t, json.Unmarshal([]byte(n.asks(t, dora, "-json").out), &report))
	must.Eq(t, 5, report.AvailableCores)
	must.Len(t, 1, report.Tasks)
	must.Eq(t, 60, *report.Tasks[0].ETA)
	must.SliceEmpty(t, report.Notes)
	must.True(t, report.Cores[4].Taken)
	must.Nil(t, report.Cores[4].JobID)
	must.False(t, report.Cores[0].Taken)
	must.Eq(t, "crash", *report.Cores[0].JobID)
}

func TestStatus_showsAStrangerWhichCoresAreTaken(t *testing.T) {
	n := newTold(t)
	n.write(t)
	r := n.asks(t, dora+1)
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	must.StrContains(t, r.out, "0 tasks of yours, 2 of other users")
	must.StrContains(t, r.out, "No task of yours runs.")
	must.StrNotContains(t, r.out, "crash")
	must.StrNotContains(t, r.out, "dora")
}

func TestStatus_saysHowOldIsWhatAnOwnerSees(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*told)
		want   []string
		gone   bool // the task is not among those that run
	}{
		"the plugin was killed, the solver lives": {func(n *told) { n.node.Writer.Start++ }, []string{"this may be old", "does not run any more"}, false},
		"both were killed": {func(n *told) {
			n.node.Writer.Start++
			n.tasks.Tasks[0].Process.Start++
		}, []string{"does not run any more", "task solve of job crash has ended since"}, true},
		"before the machine was started": {func(n *told) {
			n.node.Writer.BootID, n.tasks.Tasks[0].Process.BootID = "before", "before"
		}, []string{"the machine was started since", "has ended since"}, true},
		"the plugin hangs": {func(n *told) { n.node.Uptime -= 3600 }, []string{"and nothing since: it does not run, or hangs"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTold(t)
			c.change(n)
			n.write(t)
			t.Setenv("COLUMNS", "300")
			r := n.asks(t, dora)
			must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
			for _, want := range c.want {
				must.StrContains(t, r.out, want)
			}
			must.Eq(t, c.gone, strings.Contains(r.out, "No task of yours runs."))
		})
	}
}

func TestStatus_saysWhyAnOwnerSeesNothing(t *testing.T) {
	n := newTold(t)
	r := n.asks(t, dora)
	must.Eq(t, exitNo, r.code)
	must.StrContains(t, r.errout, "is for root only; run this as root (sudo)")
	must.StrContains(t, r.errout, "in "+n.statusDir+" there is nothing")
	n.write(t)
	must.StrContains(t, call(t, "status", "-state-dir", n.stateDir, "-status-dir", n.statusDir, "-sysfs", n.sysfs).out, "No task runs.", must.Sprint("root reads the records"))
	n.stateDir += "/none" // another agent's
	must.StrContains(t, n.asks(t, dora).out, "1 task of yours")
}

func TestStatus_believesNoForgedFile(t *testing.T) {
	n := newTold(t)
	evil := "\x1b[2J\nevil"
	n.tasks.Tasks[0].Details.JobID, n.tasks.Tasks[0].Notes = evil, []string{evil}
	n.tasks.Tasks[0].Cores = []int{0, -1, 99999}
	n.write(t)
	r := n.asks(t, dora)
	must.Eq(t, exitOK, r.code, must.Sprint(r.errout))
	must.False(t, strings.ContainsAny(r.out, "\x1b"))
}
