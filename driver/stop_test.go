// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
)

func TestStop_BySenseSwitch(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.computes()
	must.NoError(t, n.StopTask(r.id, patience, "SIGTERM"))
	must.False(t, alive(r.pid))
	n.hears(r.id, "Stopping with sw1, dump d3dump01 written at t = ")
	must.FileExists(t, filepath.Join(r.folder, "d3dump01"))
	result := r.wait()
	must.False(t, result.Successful()) // stopped, not completed
	must.Eq(t, 0, result.Signal)
	must.ErrorContains(t, result.Err, "stopped by")
	must.StrNotContains(t, strings.Join(n.said(r.id), "\n"), "Sent SIG")
}

func TestStop_SolverIgnoresEverything(t *testing.T) {
	n := newNode(t)
	inGoodTime(t, func(timeout time.Duration) string {
		r := n.start(slowJob("ncpu = 1", "ignore_sigterm", "ignore_d3kil"))
		r.computes()
		began := time.Now()
		must.NoError(t, n.StopTask(r.id, timeout, "SIGTERM"))
		took := time.Since(began)
		must.GreaterEq(t, timeout, took)
		must.Less(t, timeout+patience, took) // a busy machine
		must.False(t, alive(r.pid))
		must.Eq(t, 9, r.wait().Signal)
		must.Eq(t, "", r.unsaid("did not end within kill_timeout"))
		return r.unsaid("Stopping with sw1", "did not take it", "Sent SIGTERM")
	})
}

func TestStop_BySignalWhenTheSwitchIsIgnored(t *testing.T) {
	n := newNode(t)
	inGoodTime(t, func(timeout time.Duration) string {
		r := n.start(slowJob("ncpu = 1", "ignore_d3kil"))
		r.computes()
		must.NoError(t, n.StopTask(r.id, timeout, ""))
		result := r.wait()
		must.False(t, result.Successful())
		if result.Signal == 9 {
			return "an end by the signal"
		}
		return r.unsaid("did not take it", "Sent SIGTERM")
	})
}

func TestStop_BeforeTheSolverListens(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1", "license_wait=forever"))
	must.NoError(t, n.StopTask(r.id, patience, "SIGTERM"))
	must.StrNotContains(t, strings.Join(n.said(r.id), "\n"), "Stopping with")
	_, err := os.Stat(filepath.Join(r.folder, "d3kil"))
	must.ErrorIs(t, err, os.ErrNotExist)
}

func TestStop_WithoutASwitchAndWithAKillSignal(t *testing.T) {
	n := newNode(t)
	r := n.start(n.script(`trap 'echo interrupted; exit 4' INT; trap 'echo terminated; exit 5' TERM; echo ready; while :; do sleep 0.01; done`))
	r.says("ready")
	must.NoError(t, n.StopTask(r.id, patience, "SIGINT"))
	must.Eq(t, 4, r.wait().ExitCode)
	must.StrContains(t, r.read("stdout"), "interrupted")
}

// The kernel delivers no signal to a stopped process but SIGKILL.
func TestStop_OfAStoppedSolver(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	must.NoError(t, syscall.Kill(r.pid, syscall.SIGSTOP))
	must.NoError(t, n.StopTask(r.id, 200*time.Millisecond, "SIGTERM"))
	must.False(t, alive(r.pid))
}

func TestStop_StartTimeout(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1\n start_timeout = \"100ms\"", "license_wait=forever"))
	result := r.wait()
	must.False(t, result.Successful())
	must.ErrorContains(t, result.Err, "no licence and no start on the deck within start_timeout 100ms")
	n.hears(r.id, "Ending the solver: no licence")
	must.Eq(t, n.cores.Managed(), n.free())
}

// Outcomes of whole runs, as the stand-in solver fails.
func TestTask_Outcomes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults []string
		code   int
		want   string
	}{
		"error termination with exit 0": {[]string{"error=20", "exit_code=0"}, 1, "40500"},
		"error termination":             {[]string{"error=20"}, 1, "40500"},
		"negative volume":               {[]string{"negative_volume=20"}, 1, "40509"},
		"before the end time":           {[]string{"short=0.5"}, 1, "before the end time"},
		"no banner":                     {[]string{"vanish=20"}, 1, "exit code 0, but LS-DYNA printed no end"},
		"licence refused":               {[]string{"license_refused"}, 1, "licence"},
		"aborted":                       {[]string{"abort=20"}, 134, "SIGABRT"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			r := n.start(standinJob("ncpu = 1", c.faults...))
			result := r.wait()
			must.Eq(t, c.code, result.ExitCode)
			must.ErrorContains(t, result.Err, c.want)
			n.hears(r.id, events.Sentence(result.Err.Error()))
		})
	}
}
