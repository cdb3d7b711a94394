// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package nodetest makes records of runs for tests of what reads them.
package nodetest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology/topologytest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/supervisortest"
)

// StateDir is an empty state_dir.
func StateDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	must.NoError(t, os.MkdirAll(filepath.Join(dir, "tasks"), 0o700))
	t.Cleanup(func() { supervisortest.EndAll(t, dir) })
	return dir
}

// Task is a record to be made.
type Task struct {
	Job, Alloc, Name string
	Cores            []int // nil: a pid file of one line
	Since            time.Duration
	Folder           string // run folder, "" for a new one
	Stdout           string // in the run folder, "" for none
	Reserved         bool
	Nodes, NodeIndex int                    // of a run over several nodes
	Over             bool                   // nobody holds the lock
	Exit             *supervisor.ExitRecord // written beside it, with the identity of the pid file
	Spec             *supervisor.Spec
	PID              int    // 0: one that does not exist
	Start            uint64 // of PID
}

// Make makes the record and returns the run folder.
func (m Task) Make(t testing.TB, dir string) string {
	t.Helper()
	store, err := state.Open(dir)
	must.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	record, err := store.Create(state.ID{Alloc: m.Alloc, Task: m.Name, Invocation: "5f0c2a11"})
	must.NoError(t, err)
	must.NoError(t, store.Close())
	folder := m.Folder
	if folder == "" {
		folder = filepath.Join(t.TempDir(), "local")
		must.NoError(t, os.Mkdir(folder, 0o755))
	}
	if m.Stdout != "" {
		topologytest.WriteFile(t, filepath.Join(folder, "stdout"), strings.TrimSuffix(m.Stdout, "\n"))
	}
	must.NoError(t, record.WriteDetails(&state.Details{
		TaskID: record.ID.String(), JobID: m.Job, JobName: m.Job, Namespace: "default", Group: "solver",
		Task: m.Name, AllocID: m.Alloc, StartedAt: time.Now().Add(-m.Since), User: "cae",
		Solver: "r14-smp-d", Parallel: "smp", Precision: "double", RunBase: filepath.Dir(folder), RunFolder: filepath.Base(folder), Stdout: "stdout",
		CoresAsked: max(len(m.Cores), 1), Reserved: m.Reserved, Placement: "one L3 cache",
		Nodes: m.Nodes, NodeIndex: m.NodeIndex,
	}))
	if m.Spec != nil {
		m.Spec.Dir = folder
		must.NoError(t, supervisor.WriteSpec(record.Dir, m.Spec))
	}
	pid := m.writePID(t, record.Dir)
	if m.Exit != nil {
		m.Exit.PID, m.Exit.StartTime, m.Exit.BootID = pid.PID, pid.StartTime, pid.BootID
		data, err := json.Marshal(m.Exit)
		must.NoError(t, err)
		topologytest.WriteFile(t, filepath.Join(record.Dir, "exit.json"), string(data))
	}
	if m.Over {
		record.Unlock()
	} else {
		t.Cleanup(record.Unlock)
	}
	return folder
}

func (m Task) writePID(t testing.TB, dir string) pidfile.Record {
	t.Helper()
	rec := pidfile.Record{PID: m.PID, Cores: m.Cores, StartTime: m.Start}
	if rec.PID == 0 {
		rec.PID, rec.StartTime = 1<<22+17, 1 // above any pid that Linux gives
	}
	boot, err := procfs.BootID("/proc")
	must.NoError(t, err)
	rec.BootID = boot
	data, err := rec.Encode()
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(filepath.Join(dir, "pid"), data, 0o600))
	return rec
}

// Solving is the stdout of a run between its start and its end, a line for
// every ten seconds and 1e-3 of the problem time.
func Solving(lines int, endTime float64) string {
	var b strings.Builder
	b.WriteString(`
      Date: 11/22/2026      Time: 10:00:00
      ___________________________________________________
     |                                                   |
     |  LS-DYNA, A Program for Nonlinear Dynamic         |
     |  Analysis of Structures in Three Dimensions       |
     |  Date    : 04/12/2024    Time: 14:40:30           |
     |  Version : smp d R14                              |
     |  Revision: R14.1-205-geb5348f751                  |
     |                                                   |
     |  Licensed to: Example Works -- 1                  |
     |  Precision  : Double precision (I8R8)             |
     |___________________________________________________|

 Executing with LSTC network license

 Command line options: i=main.k
                       ncpu=2

 Input file: main.k

 Beginning of keyword reader                                   11/22/26 10:00:00

 input of data is completed

`)
	fmt.Fprintf(&b, " termination time                  = %.3E\n\n initialization completed\n\n", endTime)
	for i := range lines {
		fmt.Fprintf(&b, "%8d t %.4E dt %.2E %-29s%s\n", 1000*i+1, float64(i)*1e-3, 1e-6, "flush i/o buffers",
			time.Date(2026, 11, 22, 10, 0, 10*i, 0, time.UTC).Format("01/02/06 15:04:05"))
	}
	return b.String()
}

// Statistics is a glstat of one block: energy ratio, hourglass energy beside an internal
// energy of 100, per cent of added mass.
func Statistics(time, ratio, hourglass, mass float64) string {
	var b strings.Builder
	b.WriteString("\n\n dt of cycle       7 is controlled by shell           4711 of part        12\n\n")
	row := func(name string, v float64) {
		fmt.Fprintf(&b, " %s%s%14.5E\n", name, strings.Repeat(".", 31-len(name)), v)
	}
	row("time", time)
	row("time step", 1e-6)
	row("kinetic energy", 800)
	row("internal energy", 100)
	row("hourglass energy ", hourglass)
	row("total energy", 900+hourglass)
	row("total energy / initial energy", ratio)
	row("added mass", mass/1000)
	row("percentage increase", mass)
	return b.String()
}
