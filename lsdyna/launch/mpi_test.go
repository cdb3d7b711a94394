// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package launch

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// allowedCPUs are the CPUs that this process may use.
func allowedCPUs(t *testing.T) []int {
	t.Helper()
	var set unix.CPUSet
	must.NoError(t, unix.SchedGetaffinity(0, &set))
	var cpus []int
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// masksOfRanks starts a command line whose solver is a script that writes the
// rank's own number and affinity, and returns the affinities by rank.
func masksOfRanks(t *testing.T, parallel lsdyna.Parallel, o Options) []string {
	t.Helper()
	mpirun, err := exec.LookPath("mpirun")
	if err != nil {
		t.Skip("no mpirun here")
	}
	version, _ := exec.Command(mpirun, "--version").Output()
	if !strings.Contains(string(version), "Open MPI") {
		t.Skip("mpirun is not Open MPI's")
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "solver")
	must.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\n"+
		"awk -v r=$OMPI_COMM_WORLD_RANK '/^Cpus_allowed_list/ {print $2 > (\"mask.\" r)}' /proc/self/status\n"), 0o755))
	o.Input, o.Root = "main.k", os.Getuid() == 0
	o.Env = map[string]string{"PATH": os.Getenv("PATH"), "HOME": dir}
	cmd, err := Build(lsdyna.Solver{Name: "script", Path: script, Parallel: parallel, MPI: lsdyna.OpenMPI, MPIRun: mpirun}, o)
	must.NoError(t, err)
	for name, content := range cmd.Files {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o644))
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, cmd.Path, cmd.Args...)
	run.Dir, run.Env = dir, cmd.Env
	out, err := run.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	masks := make([]string, cmd.Ranks)
	for rank := range masks {
		mask, err := os.ReadFile(filepath.Join(dir, "mask."+strconv.Itoa(rank)))
		must.NoError(t, err)
		masks[rank] = strings.TrimSpace(string(mask))
	}
	return masks
}

func TestOpenMPI_everyRankSitsOnItsOwnCPU(t *testing.T) {
	cpus := allowedCPUs(t)
	if len(cpus) < 2 {
		t.Skip("needs two CPUs")
	}
	for _, lease := range [][]int{{cpus[0]}, {cpus[1]}, {cpus[0], cpus[1]}, {cpus[1], cpus[0]}} {
		var want []string
		for _, cpu := range lease {
			want = append(want, strconv.Itoa(cpu))
		}
		got := masksOfRanks(t, lsdyna.MPP, Options{NCPU: len(lease), Placement: Placement{CPUs: lease}})
		must.Eq(t, want, got)
	}
}

func TestOpenMPI_threadsOfARankShareItsCPUs(t *testing.T) {
	cpus := allowedCPUs(t)
	if len(cpus) < 2 || cpus[1] != cpus[0]+1 {
		t.Skip("needs two neighbouring CPUs")
	}
	got := masksOfRanks(t, lsdyna.Hybrid, Options{NCPU: 2, Placement: Placement{CPUs: cpus[:2]}})
	must.Eq(t, []string{strconv.Itoa(cpus[0]) + "-" + strconv.Itoa(cpus[1])}, got)
}

func TestOpenMPI_startsMoreRanksThanCoresWhenNotPinned(t *testing.T) {
	got := masksOfRanks(t, lsdyna.MPP, Options{NCPU: len(allowedCPUs(t)) + 1})
	must.Len(t, 1, slices.Compact(got), must.Sprint("all ranks share all CPUs"))
}
