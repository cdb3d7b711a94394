// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/helper/uuid"
	"github.com/shoenig/test/must"
)

func TestStart_EndsALivePredecessor(t *testing.T) {
	t.Parallel()
	for name, sameID := range map[string]bool{
		"the same task ID, after the plugin died inside StartTask":                 true,
		"another invocation, after the client died before it persisted the handle": false,
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			j := slowJob("ncpu = 1")
			j.alloc = uuid.Generate()
			old := n.start(j)
			n.restart()
			j.folder = old.folder
			cfg := n.task(j)
			if sameID {
				cfg.ID = old.id
			}
			handle, _, err := n.StartTask(cfg)
			must.NoError(t, err)
			r := n.started(cfg, handle)
			must.NotEq(t, old.pid, r.pid)
			must.Eq(t, []int{r.pid}, solversIn(t, r.folder))
			r.runsOn("0")
			n.hears(r.id, fmt.Sprintf("Ended an earlier run of this task that was still alive (pid %d)", old.pid))
			// And the successor is what recovery finds.
			n.restart()
			r.comeBack()
			r.runsOn("0")
		})
	}
}

// What a predecessor has computed is not lost with it.
func TestStart_GoesOnFromThePredecessorsDump(t *testing.T) {
	n := newNode(t)
	j := slowJob("ncpu = 1")
	j.alloc = uuid.Generate()
	old := n.start(j)
	old.says("flush i/o buffers")
	n.restart()
	j.folder = old.folder
	r := n.start(j)
	n.hears(r.id, fmt.Sprintf("Ended an earlier run of this task that was still alive (pid %d). Stopping with sw1, dump d3dump01 written at t = ", old.pid))
	must.Eq(t, "d3dump01", r.task().Details().Restart)
	must.Eq(t, []int{r.pid}, solversIn(t, r.folder))
}

// It may have reached its end by itself before it looked for the switch.
func TestStart_APredecessorThatCompletesInsteadOfGivingWayIsNotBegunAgain(t *testing.T) {
	n := newNode(t)
	j := standinJob("ncpu = 1", "ignore_sigterm", "ignore_d3kil")
	j.env["STANDIN_PACE"] = "100ms" // six seconds
	j.alloc = uuid.Generate()
	old := n.start(j)
	old.says("flush i/o buffers")
	must.NoError(t, syscall.Kill(old.pid, syscall.SIGSTOP))
	n.restart()
	asked := make(chan error, 1)
	go func() {
		began, err := time.Now(), error(nil)
		for ; time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
			if _, err = os.Stat(filepath.Join(old.folder, "d3kil")); err == nil {
				break
			}
		}
		asked <- errors.Join(err, syscall.Kill(old.pid, syscall.SIGCONT))
	}()
	r := old.again(j)
	must.NoError(t, <-asked)
	n.hears(r.id, fmt.Sprintf("Ended an earlier run of this task that was still alive (pid %d)", old.pid))
	n.hears(r.id, "This allocation has completed its run already, at ")
	must.True(t, r.wait().Successful())
	must.Zero(t, r.pid)
	must.StrContains(t, r.read("stdout"), "termination time reached")
	must.FileNotExists(t, filepath.Join(r.folder, "stdout.1"))
}

func TestStart_APredecessorThatDoesNotListenHasItsTime(t *testing.T) {
	n := newNode(t)
	j := slowJob("ncpu = 1", "ignore_sigterm", "ignore_d3kil")
	j.alloc = uuid.Generate()
	old := n.start(j)
	old.says("flush i/o buffers")
	n.waits.Dump = 500 * time.Millisecond
	n.restart()
	j.folder = old.folder
	r := n.start(j)
	n.hears(r.id, fmt.Sprintf("Ended an earlier run of this task that was still alive (pid %d)", old.pid))
	must.Eq(t, []int{r.pid}, solversIn(t, r.folder))
}

// Nomad destroys what it could not recover.
func TestDestroy_ALiveRunLeavesItsDump(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.says("flush i/o buffers")
	n.restart()
	must.NoError(t, n.DestroyTask(r.id, true))
	must.FileExists(t, filepath.Join(r.folder, "d3dump01"))
	must.False(t, alive(r.pid))
	must.Eq(t, n.cores.Managed(), n.free())
}

func TestStart_RefusesATaskThatNomadKnowsToRun(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	_, _, err := n.StartTask(r.cfg)
	must.ErrorContains(t, err, "already started")
	r.runsOn("0")
	var wait sync.WaitGroup
	cfg := n.task(slowJob("ncpu = 1"))
	errs := make([]error, 3)
	for i := range errs {
		wait.Go(func() { _, _, errs[i] = n.StartTask(cfg) })
	}
	wait.Wait()
	started := 0
	for _, err := range errs {
		if err == nil {
			started++
		}
	}
	must.Eq(t, 1, started)
	must.NoError(t, n.DestroyTask(cfg.ID, true))
}

// At whatever moment the plugin dies, Nomad starts the task again and there is
// one solver.
func TestStart_PluginKilledInside(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond, time.Hour} {
		t.Run(after.String(), func(t *testing.T) {
			n := newNode(t)
			n.stop()
			j := slowJob("ncpu = 1")
			cfg := n.task(j)
			part := pluginPart{Config: *n.config, Cfg: cfg}
			must.NoError(t, cfg.DecodeDriverConfig(&part.Task))
			data, err := json.Marshal(part)
			must.NoError(t, err)
			file := filepath.Join(t.TempDir(), "part.json")
			must.NoError(t, os.WriteFile(file, data, 0o600))

			plugin := exec.Command("/proc/self/exe", "plugin", file)
			out, err := plugin.StdoutPipe()
			must.NoError(t, err)
			must.NoError(t, plugin.Start())
			lines := bufio.NewScanner(out)
			must.True(t, lines.Scan())
			must.Eq(t, "starting", lines.Text())
			if after == time.Hour {
				must.True(t, lines.Scan())
				must.Eq(t, "started", lines.Text())
			} else {
				<-time.After(after) // any moment will do
			}
			must.NoError(t, plugin.Process.Kill())
			_ = plugin.Wait()

			n.launch()
			handle, _, err := n.StartTask(cfg)
			must.NoError(t, err)
			r := n.started(cfg, handle)
			eventually(t, "one solver", func() bool {
				pids := solversIn(t, r.folder)
				return len(pids) == 1 && pids[0] == r.pid
			})
			r.runsOn("0")
		})
	}
}
