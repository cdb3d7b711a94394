// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proctree

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// cgroup.kill is there since Linux 5.14, cgroup.freeze since 5.2.
func TestKillOnce_OnKernelsWithoutCgroupKill(t *testing.T) {
	for name, files := range map[string][]string{"before 5.14": {"cgroup.freeze"}, "before 5.2": nil} {
		t.Run(name, func(t *testing.T) {
			sleep := exec.Command("sleep", "1000")
			if err := sleep.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { sleep.Process.Kill(); sleep.Wait() })
			dir := t.TempDir()
			for _, file := range append(files, "cgroup.procs") {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.Itoa(sleep.Process.Pid)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			tree := &Tree{ProcRoot: procfs.Root, Cgroup: dir, V2: true}
			if empty, err := tree.KillOnce(); empty || err != nil {
				t.Fatalf("empty %v, %v", empty, err)
			}
			_ = sleep.Wait()
			if status, ok := sleep.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Errorf("it ended with %v", sleep.ProcessState)
			}
			if empty, err := tree.KillOnce(); !empty || err != nil {
				t.Errorf("empty %v, %v afterwards", empty, err)
			}
			for _, file := range files {
				if data, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(data) != "0" {
					t.Errorf("%s says %q (%v)", file, data, err)
				}
			}
		})
	}
}
