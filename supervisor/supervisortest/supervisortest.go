// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package supervisortest is for tests of other packages that have solvers run. A
// supervisor outlives whoever started it; a test that does not wait for it leaves it
// writing to a folder that is being removed.
package supervisortest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/program"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/shim"
)

// BuildProgram builds the small supervisor program to path, and has supervisors executed
// from it as in the binary that make builds. Without it they are the test binary.
func BuildProgram(path string) error {
	build := exec.Command("go", "build", "-o", path, reflect.TypeFor[program.Program]().PkgPath()+"/shim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the supervisor program: %w\n%s", err, out)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	program.Embed(image)
	return nil
}

// patience is how long a supervisor may take to end on a busy machine.
const patience = 20 * time.Second

// EndAll ends every supervisor whose record is below a folder, with its solver, and
// returns when none is left. It is to be called at the end of a test, before the
// folder is removed.
func EndAll(t testing.TB, below string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		left := Running(t, below)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("supervisors are still there: %v", left)
		}
		for _, dir := range left {
			end(t, dir)
		}
	}
}

// end ends the task of a record, whatever state it is in.
func end(t testing.TB, dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if p, err := supervisor.Open(dir); err == nil {
		defer p.Close()
		if tree, err := p.Tree(); err == nil {
			if err := tree.Kill(ctx); err != nil {
				t.Errorf("end the task of %s: %v", dir, err)
			}
		}
		select {
		case <-p.Done():
		case <-time.After(time.Second): // a launch, or a supervisor that a test has stopped
		}
	}
	for pid, of := range supervisors(t) {
		if of != dir {
			continue
		}
		if err := supervisor.EndProcess(identity(t, pid)); err != nil {
			t.Errorf("end the supervisor of %s: %v", dir, err)
		}
	}
}

// Running returns the records below a folder whose supervisors run.
func Running(t testing.TB, below string) []string {
	t.Helper()
	var dirs []string
	for _, dir := range supervisors(t) {
		if below == "" || strings.HasPrefix(dir, strings.TrimSuffix(below, "/")+"/") {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// supervisors returns the record of each supervisor of this machine, by its pid. One
// that has ended has no arguments any more.
func supervisors(t testing.TB) map[int]string {
	t.Helper()
	pids, err := procfs.PIDs(procfs.Root)
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, pid := range pids {
		line, err := durable.ReadFile(filepath.Join(procfs.Root, strconv.Itoa(pid), "cmdline"), 1<<20)
		if err != nil {
			continue
		}
		args := strings.Split(string(line), "\x00")
		if len(args) == 4 && args[1] == shim.SuperviseCommand { // the last is empty
			found[pid] = args[2]
		}
	}
	return found
}

func identity(t testing.TB, pid int) procfs.Identity {
	t.Helper()
	boot, err := procfs.BootID(procfs.Root)
	if err != nil {
		t.Fatal(err)
	}
	start, _ := procfs.StartTicks(procfs.Root, pid) // 0: it has ended
	return procfs.Identity{PID: pid, StartTicks: start, BootID: boot}
}
