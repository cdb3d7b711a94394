// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// machine describes a made machine; every number counts parts of the next
// larger one.
type machine struct {
	packages, nodes, l3s, cores, threads int
	efficiency                           int    // further cores of one thread in the last L3
	offline                              string // CPUs that are there and offline
}

// sysfs makes a tree that stands for /sys. CPUs are numbered as Linux numbers
// them on x86: the first threads of all cores, then the second ones.
func (m machine) sysfs(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	cpuDir := filepath.Join(root, "devices/system/cpu")
	total := m.packages * m.nodes * m.l3s * m.cores
	var all []int
	nodeCPUs := map[int][]int{}
	l3 := func(core int) int { return core / m.cores }
	for core := range total + m.efficiency {
		place := min(core, total-1)
		l3s := l3(place)
		node := l3s / m.l3s
		threads := []int{core}
		if core < total {
			threads = nil
			for thread := range m.threads {
				threads = append(threads, m.number(thread, core, total))
			}
		}
		var shared []int
		for other := l3s * m.cores; other < (l3s+1)*m.cores; other++ {
			for thread := range m.threads {
				shared = append(shared, m.number(thread, other, total))
			}
		}
		if l3s == total/m.cores-1 {
			for e := range m.efficiency {
				shared = append(shared, total*m.threads+e)
			}
		}
		if core >= total {
			threads = []int{total*m.threads + core - total}
		}
		for _, cpu := range threads {
			dir := filepath.Join(cpuDir, "cpu"+strconv.Itoa(cpu))
			put(t, filepath.Join(dir, "topology/core_id"), strconv.Itoa(core))
			put(t, filepath.Join(dir, "topology/physical_package_id"), strconv.Itoa(node/m.nodes))
			put(t, filepath.Join(dir, "topology/thread_siblings_list"), list(threads))
			put(t, filepath.Join(dir, "topology/core_cpus_list"), list(threads))
			put(t, filepath.Join(dir, "cache/index3/level"), "3")
			put(t, filepath.Join(dir, "cache/index3/type"), "Unified")
			put(t, filepath.Join(dir, "cache/index3/shared_cpu_list"), list(shared))
			all = append(all, cpu)
			nodeCPUs[node] = append(nodeCPUs[node], cpu)
		}
	}
	if m.offline != "" {
		for _, cpu := range strings.Split(m.offline, ",") {
			put(t, filepath.Join(cpuDir, "cpu"+cpu, "online"), "0")
		}
	}
	put(t, filepath.Join(cpuDir, "online"), list(all))
	for node, cpus := range nodeCPUs {
		put(t, filepath.Join(root, "devices/system/node", "node"+strconv.Itoa(node), "cpulist"), list(cpus))
	}
	for node := range nodeCPUs {
		put(t, filepath.Join(root, "devices/system/node", "node"+strconv.Itoa(node), "distance"), m.distances(node))
	}
	put(t, filepath.Join(root, "devices/system/node/online"), fmt.Sprintf("0-%d", len(nodeCPUs)-1))
	if m.efficiency > 0 {
		put(t, filepath.Join(root, "devices/cpu_core/cpus"), fmt.Sprintf("0-%d", total*m.threads-1))
		put(t, filepath.Join(root, "devices/cpu_atom/cpus"), fmt.Sprintf("%d-%d", total*m.threads, total*m.threads+m.efficiency-1))
	}
	return root
}

func (m machine) number(thread, core, total int) int { return thread*total + core }

func list(cpus []int) string {
	words := make([]string, len(cpus))
	for i, cpu := range cpus {
		words[i] = strconv.Itoa(cpu)
	}
	return strings.Join(words, ",")
}

func put(t testing.TB, path, content string) {
	t.Helper()
	must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must.NoError(t, os.WriteFile(path, []byte(content+"\n"), 0o644))
}

// stateDir is an empty state_dir.
func stateDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	must.NoError(t, os.Mkdir(dir, 0o700))
	return dir
}

// madeTask is a record to be made.
type madeTask struct {
	job, alloc, task string
	cores            []int // nil: a pid file of one line
	since            time.Duration
	stdout           string // in the run folder, "" for none
	reserved         bool
	over             bool                   // nobody holds the lock
	exit             *supervisor.ExitRecord // written beside it, with the identity of the pid file
	spec             *supervisor.Spec
	pid              int // 0: one that does not exist
	start            uint64
}

// make makes the record and returns the run folder.
func (m madeTask) make(t testing.TB, dir string) string {
	t.Helper()
	store, err := state.Open(dir)
	must.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	record, err := store.Create(state.ID{Alloc: m.alloc, Task: m.task, Invocation: "5f0c2a11"})
	must.NoError(t, err)
	must.NoError(t, store.Close())
	base := t.TempDir()
	folder := filepath.Join(base, "local")
	must.NoError(t, os.Mkdir(folder, 0o755))
	if m.stdout != "" {
		put(t, filepath.Join(folder, "stdout"), strings.TrimSuffix(m.stdout, "\n"))
	}
	must.NoError(t, record.WriteDetails(&state.Details{
		TaskID: record.ID.String(), JobID: m.job, JobName: m.job, Namespace: "default", Group: "solver",
		Task: m.task, AllocID: m.alloc, StartedAt: time.Now().Add(-m.since), User: "cae",
		Solver: "r14-smp-d", Parallel: "smp", Precision: "double", RunBase: base, RunFolder: "local", Stdout: "stdout",
		CoresAsked: max(len(m.cores), 1), Reserved: m.reserved, Placement: "one L3 cache",
	}))
	if m.spec != nil {
		m.spec.Dir = folder
		must.NoError(t, supervisor.WriteSpec(record.Dir, m.spec))
	}
	pid := m.writePID(t, record.Dir)
	if m.exit != nil {
		m.exit.PID, m.exit.StartTime, m.exit.BootID = pid.PID, pid.StartTime, pid.BootID
		data, err := json.Marshal(m.exit)
		must.NoError(t, err)
		put(t, filepath.Join(record.Dir, "exit.json"), string(data))
	}
	if m.over {
		record.Unlock()
	} else {
		t.Cleanup(record.Unlock)
	}
	return folder
}

func (m madeTask) writePID(t testing.TB, dir string) pidfile.Record {
	t.Helper()
	rec := pidfile.Record{PID: m.pid, Cores: m.cores, StartTime: m.start}
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

// solving is the stdout of a run between its start and its end, a line for
// every ten seconds and 1e-3 of the problem time.
func solving(lines int, endTime float64) string {
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

// result is what a call of Run gave.
type result struct {
	code        int
	out, errout string
}

// call runs a command in a terminal-less world of a given width.
func call(t testing.TB, args ...string) result {
	t.Helper()
	var out, errout bytes.Buffer
	code := Run(context.Background(), args, &out, &errout)
	return result{code, out.String(), errout.String()}
}

// distances is node's line of the SLIT table: 12 within a package, 32 beyond.
func (m machine) distances(node int) string {
	words := make([]string, m.packages*m.nodes)
	for other := range words {
		words[other] = "32"
		switch {
		case other == node:
			words[other] = "10"
		case other/m.nodes == node/m.nodes:
			words[other] = "12"
		}
	}
	return strings.Join(words, " ")
}
