// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// mpirun is the command for n ranks, with free places.
func mpirun(t *testing.T, n string) []string {
	t.Helper()
	path, err := exec.LookPath("mpirun")
	if err != nil {
		t.Skip("mpirun is not installed (apt-get install openmpi-bin): MPP is not tested")
	}
	return []string{path, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np", n, executable(t)}
}

func TestMPPGivesTheSameResultsAsSMP(t *testing.T) {
	for _, deck := range []string{"solid_bar_impact/main.k", "shell_box_crush/small.k"} {
		dir, input, _ := strings.Cut(deck, "/")
		smp := folder(t, dir)
		solve(t, 0, smp, "i="+input, cycles(300))
		for _, n := range []string{"2", "3"} {
			t.Run(deck+" on "+n, func(t *testing.T) {
				mpp := folder(t, dir)
				j := launch(t, mpp, mpirun(t, n), "i="+input, "memory=20m", "memory2=10m", cycles(300))
				if code := j.wait(); code != 0 {
					t.Fatalf("exit code %d\n%s\n%s", code, j.stdout(), j.err.String())
				}
				same(t, smp, mpp, "standin-results", "d3plot", "d3plot01")
			})
		}
	}
}

func TestMPPOutputs(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	j := launch(t, dir, mpirun(t, "2"), "i=main.k", cycles(200), "p=pfile")
	if code := j.wait(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, j.err.String())
	}
	demand(t, j.stdout(), "|  Version : mpp d R14 ", " MPP execution with       2 procs\n", " Parallel execution with      2 MPP proc",
		"using     2 MPP procs\n", "Performing Decomposition -- Phase 3")
	if n := strings.Count(j.stdout(), normalWords); n != 2 {
		t.Errorf("%d banners on stdout", n)
	}
	mes := j.file("mes0000")
	last := strings.LastIndex(mes, normalWords)
	if strings.Count(mes, normalWords) != 2 || !progress.MatchString(strings.Split(mes[last:], "\n")[1]) {
		t.Error("mes0000 needs two banners and a progress line after the last")
	}
	other := j.file("mes0001")
	if strings.Count(other, normalWords) != 1 || strings.Contains(other, "termination time reached") {
		t.Error("mes0001 needs one banner and no reason")
	}
	for _, name := range []string{"d3dump01.0000", "d3dump01.0001", "standin-affinity.0001"} {
		j.file(name)
	}
	if n := strings.Count(j.stdout(), "STANDIN-AFFINITY rank=1"); n != 0 {
		t.Error("rank 1 wrote on stdout")
	}

	again := launch(t, dir, mpirun(t, "2"), "r=d3dump01", cycles(300))
	if code := again.wait(); code != 0 {
		t.Fatalf("restart: exit code %d\n%s", code, again.stdout())
	}
	again.file("mes000001")
	whole := folder(t, "solid_bar_impact")
	solve(t, 0, whole, "i=main.k", cycles(300))
	same(t, whole, dir, results[:3]...)

	wrong := launch(t, dir, mpirun(t, "3"), "r=d3dump01")
	if code := wrong.wait(); code == 0 {
		t.Error("a dump of 2 ranks restarted on 3")
	}
}

func TestMPPStopsBySwitch(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	j := launch(t, dir, mpirun(t, "2"), "i=main.k", "STANDIN_PACE=2ms")
	j.says("estimated total")
	write(t, filepath.Join(dir, killFile), "sw1.")
	if code := j.wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	demand(t, j.stdout(), "kill file detected", normalWords)
	demand(t, j.file("mes0001"), "write d3dump01 file", normalWords)
}

// The launcher must see the failure, and no rank may stay behind.
func TestDeadRankEndsTheOthers(t *testing.T) {
	for name, fault := range map[string]string{
		"a rank is killed":     "kill=50,rank=1",
		"a rank aborts":        "abort=50,rank=1",
		"rank 0 is killed":     "kill=50",
		"all fail by an error": "error=50",
		"a rank has no memory": "",
	} {
		t.Run(name, func(t *testing.T) {
			words := []string{"i=main.k", "STANDIN_FAULT=" + fault}
			if fault == "" {
				words = append(words, "memory2=1k")
			}
			j := launch(t, folder(t, "solid_bar_impact"), mpirun(t, "2"), words...)
			if code := j.wait(); code == 0 {
				t.Errorf("mpirun says that all is well:\n%s", j.stdout())
			}
			gone(t, j)
			if fault == "error=50" {
				demand(t, j.stdout(), errorWords, " *** Error 40500 (SOL+500)")
			} else {
				refuse(t, j.stdout(), normalWords)
			}
		})
	}
}

// gone waits for the end of every rank that wrote its affinity.
func gone(t *testing.T, j *job) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(j.dir, "standin-affinity.*"))
	for _, file := range files {
		for _, pid := range regexp.MustCompile(`pid=([0-9]+)`).FindAllStringSubmatch(read(t, file), -1) {
			n, _ := strconv.Atoi(pid[1])
			until(t, "the end of process "+pid[1], func() bool {
				exe, err := os.Readlink(filepath.Join("/proc", pid[1], "exe"))
				return err != nil || exe != executable(t) || syscall.Kill(n, 0) != nil
			})
		}
	}
}
