// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proctree

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

const leaderlessEnv = "PROCTREE_TEST_LEADERLESS"

// A process whose first thread ends, and whose others live on until standard input
// is closed.
func init() {
	if os.Getenv(leaderlessEnv) == "" {
		return
	}
	runtime.LockOSThread() // init runs on the first thread
	go func() {
		_, _ = os.Stdout.WriteString("lives\n")
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}

// A process without its first thread looks like a zombie, and computes.
func TestTree_ProcessWithoutItsFirstThread(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), leaderlessEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = input.Close(); <-ended })
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	stat, err := procfs.ReadStat(procfs.Root, pid)
	for ; err == nil && !stat.Ended(); stat, err = procfs.ReadStat(procfs.Root, pid) {
		runtime.Gosched()
	}
	tree := Tree{ProcRoot: procfs.Root, Session: true, Main: pid, MainStart: stat.StartTicks}
	pids, err := tree.PIDs()
	if err != nil || !slices.Contains(pids, pid) {
		t.Errorf("PIDs() = %v, %v; want process %d among them", pids, err, pid)
	}
	go func() { defer close(ended); _ = cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := Repeat(ctx.Done(), tree.KillOnce); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("it was not killed")
	}
}
