// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

func TestStop_BySenseSwitch(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1"))
	r.says("flush i/o buffers")
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
	r := n.start(slowJob("ncpu = 1", "ignore_sigterm", "ignore_d3kil"))
	r.says("flush i/o buffers")
	const timeout = time.Second
	began := time.Now()
	must.NoError(t, n.StopTask(r.id, timeout, "SIGTERM"))
	took := time.Since(began)
	must.GreaterEq(t, timeout, took)
	must.Less(t, timeout+10*time.Second, took) // a busy machine
	must.False(t, alive(r.pid))
	result := r.wait()
	must.Eq(t, 9, result.Signal)
	for _, words := range []string{"Stopping with sw1", "did not take it", "Sent SIGTERM", "did not end within kill_timeout"} {
		n.hears(r.id, words)
	}
}

func TestStop_BySignalWhenTheSwitchIsIgnored(t *testing.T) {
	n := newNode(t)
	r := n.start(slowJob("ncpu = 1", "ignore_d3kil"))
	r.says("flush i/o buffers")
	must.NoError(t, n.StopTask(r.id, 5*time.Second, ""))
	n.hears(r.id, "did not take it")
	n.hears(r.id, "Sent SIGTERM")
	result := r.wait()
	must.False(t, result.Successful())
	must.NotEq(t, 9, result.Signal)
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
	must.Eq(t, n.cores.managed(), n.cores.alloc.Free())
}

func TestExitResult(t *testing.T) {
	completed := output.Outcome{Kind: output.Completed, Reason: "normal termination"}
	failed := output.Outcome{Kind: output.Failed, Reason: "error termination"}
	for name, c := range map[string]struct {
		outcome output.Outcome
		exit    output.Exit
		want    drivers.ExitResult
	}{
		"completed":                     {completed, output.Exit{Known: true}, drivers.ExitResult{}},
		"error termination with exit 0": {failed, output.Exit{Known: true}, drivers.ExitResult{ExitCode: 1, Err: errors.New("error termination")}},
		"error termination":             {failed, output.Exit{Known: true, Code: 3}, drivers.ExitResult{ExitCode: 3, Err: errors.New("error termination")}},
		"stopped":                       {output.Outcome{Kind: output.Stopped, Reason: "stopped"}, output.Exit{Known: true}, drivers.ExitResult{ExitCode: 1, Err: errors.New("stopped")}},
		"signal":                        {failed, output.Exit{Known: true, Code: 137, Signal: 9}, drivers.ExitResult{ExitCode: 137, Signal: 9, Err: errors.New("error termination")}},
		"out of memory":                 {failed, output.Exit{Known: true, Signal: 9, OOMKilled: true}, drivers.ExitResult{ExitCode: 137, Signal: 9, OOMKilled: true, Err: errors.New("error termination")}},
		"completed, then out of memory": {completed, output.Exit{Known: true, OOMKilled: true}, drivers.ExitResult{ExitCode: 1, OOMKilled: true, Err: errors.New("normal termination")}},
		"completed, but an exit code":   {completed, output.Exit{Known: true, Code: 2}, drivers.ExitResult{ExitCode: 2, Err: errors.New("normal termination")}},
		"completed, but nobody saw it":  {completed, output.Exit{}, drivers.ExitResult{ExitCode: -1, Err: errors.New("exit status unknown; normal termination")}},
		"nothing known":                 {output.Outcome{Kind: output.Unknown, Reason: "?"}, output.Exit{}, drivers.ExitResult{ExitCode: -1, Err: errors.New("exit status unknown; ?")}},
		"exit 0, but LS-DYNA is silent": {output.Outcome{Kind: output.Unknown, Reason: "?"}, output.Exit{Known: true}, drivers.ExitResult{ExitCode: 1, Err: errors.New("?")}},
	} {
		t.Run(name, func(t *testing.T) {
			got := exitResult(c.outcome, c.exit)
			if c.want.Err == nil {
				must.NoError(t, got.Err)
				must.True(t, got.Successful())
			} else {
				must.EqError(t, got.Err, c.want.Err.Error())
				must.False(t, got.Successful())
			}
			got.Err, c.want.Err = nil, nil
			must.Eq(t, c.want, *got)
		})
	}
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
			n.hears(r.id, sentence(result.Err.Error()))
		})
	}
}

func TestLookupSignal(t *testing.T) {
	for name, want := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL, "SIGUSR1": syscall.SIGUSR1} {
		got, err := lookupSignal(name)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	for _, name := range []string{"", "TERM", "15", "sigterm", "SIGRT99"} {
		_, err := lookupSignal(name)
		must.Error(t, err, must.Sprint(name))
	}
	sig, err := stopSignal("")
	must.NoError(t, err)
	must.Eq(t, syscall.SIGTERM, sig)
}
