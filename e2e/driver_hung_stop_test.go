// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// A stop goes its way by its times, whether or not the folder answers, and the
// cores are free with the last process.
func TestDriver_StopNeedsNoFolder(t *testing.T) {
	cores := twoCores(t)
	s := newServedSite(t, fmt.Sprintf("allow_command = true\ncores { usable = %q }", cores))
	stuck := s.stoppable(jobHCL{name: "stuck", folder: s.served("stuck"), config: "ncpu = 1", env: looking})
	waiting := s.stoppable(jobHCL{name: "waiting", folder: s.served("waiting"), config: "ncpu = 1", env: looking})
	obedient := s.sleeper("obedient")
	s.waitCycles(stuck)
	s.waitCycles(waiting)
	solver, err := proc.Read(stuck.pidFile().PID)
	must.NoError(t, err)
	must.NoError(t, s.server.HangWith(solver.PID)) // nothing ends this one now

	began := time.Now()
	ends := map[*run]syscall.Signal{obedient: syscall.SIGTERM, waiting: syscall.SIGKILL}
	for _, r := range []*run{stuck, waiting, obedient} {
		r.askToStop()
	}
	for r := range ends {
		r.loses(r.pidFile().PID)
		t.Logf("%s: the solver is gone %s after the stop", r.job, time.Since(began).Round(time.Millisecond))
	}
	beside := s.submit(jobHCL{name: "beside", folder: s.shortDeck("beside"), config: "ncpu = 2"})
	beside.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Running without affinity: 2 cores asked, 1 free"))
	for r, want := range ends {
		signal := r.stops()
		must.Eq(t, int(want), signal)
	}

	s.resume()
	stuck.loses(solver.PID)
	signal := stuck.stops()
	must.Eq(t, int(syscall.SIGKILL), signal)
	s.runsBeside("afterwards", 2)
}

// stoppable is a run on the file server that has ten seconds for its stop.
func (s *servedSite) stoppable(j jobHCL, edits ...string) *run {
	s.t.Helper()
	edits = append(edits, `kill_timeout = "60s"`, `kill_timeout = "10s"`)
	alloc, err := s.Run(within(s.t), strings.NewReplacer(edits...).Replace(j.String()))
	must.NoError(s.t, err)
	r := &run{s: s.site, job: j.name, folder: j.folder, alloc: alloc}
	r.wait(api.AllocClientStatusRunning, cluster.TaskState("lsdyna", "running"))
	return r
}

// sleeper is stoppable for a solver that does nothing in its folder.
func (s *servedSite) sleeper(name string) *run {
	s.t.Helper()
	script := filepath.Join(s.scratch, name+".sh")
	must.NoError(s.t, os.WriteFile(script, []byte("#!/bin/sh\nexec sleep 3600\n"), 0o755))
	return s.stoppable(jobHCL{name: name, folder: s.served(name)}, `solver   = "standin"`, fmt.Sprintf("command  = %q", script))
}

// loses waits until a process of the run is gone.
func (r *run) loses(pid int) {
	r.s.t.Helper()
	must.NoError(r.s.t, cluster.Poll(within(r.s.t), "the end of a process of "+r.job, func() (bool, string, error) {
		p, err := proc.Read(pid)
		return err != nil || !p.Alive(), p.String(), nil
	}))
}

// stops waits until Nomad knows that the run was stopped, and returns the signal
// that ended it. The driver waits a minute for what the solver wrote.
func (r *run) stops() (signal int) {
	r.s.t.Helper()
	ctx, cancel := context.WithTimeout(r.s.t.Context(), 2*stepTimeout)
	defer cancel()
	alloc, err := r.s.WaitAlloc(ctx, r.alloc, cluster.Terminal, cluster.TaskEvent("lsdyna", "Sent SIGTERM to the solver"))
	must.NoError(r.s.t, err)
	_, signal, err = cluster.Exit(alloc, "lsdyna")
	must.NoError(r.s.t, err)
	return signal
}
