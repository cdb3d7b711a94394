// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package worker runs a command in a second process of this program.
//
// A thread that waits for a file server cannot always be killed: once a FUSE server
// has read a request, only its answer ends the wait (linux/fs/fuse/dev.c,
// request_wait_answer). The process of such a thread does not end, so who called a
// command would wait for its end as long as the file server is down.
//
// Commands that read run folders therefore run in a second process, the worker. It
// says its exit code when it is done, and then the first process ends, whether the
// worker can end or not.
package worker

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// workerEnv marks a worker, workerFD is where it writes its exit code.
const (
	workerEnv = "NOMAD_DRIVER_LSDYNA_WORKER"
	workerFD  = 3
)

// failed is the exit code where it could not be found out.
const failed = 1

// Run executes a command that this process was started with, by args, and returns its exit
// code: in a worker by run, else in a new worker.
func Run(program string, args []string, run func() int) int {
	if os.Getenv(workerEnv) != "" {
		return work(run)
	}
	return start(program, args)
}

// work runs the command in a worker.
func work(run func() int) int {
	answer := os.NewFile(workerFD, "answer")
	unix.CloseOnExec(workerFD)
	code := run()
	// Who reads the output from a pipe waits for its end.
	if null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		for fd := range workerFD {
			_ = unix.Dup3(int(null.Fd()), fd, 0)
		}
	}
	_, _ = answer.Write([]byte{byte(code)})
	return code
}

// signalGrace is how long a worker may take to end after a signal. Who presses Ctrl-C
// waits for it; who sends SIGTERM, as systemd does, lets it write what it has begun.
func signalGrace(s os.Signal) time.Duration {
	if s == syscall.SIGINT {
		return time.Second
	}
	return 10 * time.Second
}

// start runs a command in a worker and returns its exit code.
func start(program string, args []string) int {
	runtime.LockOSThread() // Pdeathsig is about the thread that starts the worker
	answer, theirs, err := os.Pipe()
	if err != nil {
		return tellError(program, args, err)
	}
	defer answer.Close()
	cmd := exec.Command("/proc/self/exe", args...) //nolint:noctx // the worker ends with this process
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), workerEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := cmd.Start(); err != nil {
		return tellError(program, args, err)
	}
	_ = theirs.Close()
	ended := make(chan int, 1)
	go func() { ended <- await(cmd, answer) }()
	select {
	case code := <-ended:
		return code
	case s := <-signals:
		if s != syscall.SIGINT { // that one the terminal gives both
			_ = cmd.Process.Signal(s)
		}
		select {
		case code := <-ended:
			return code
		case <-time.After(signalGrace(s)):
			return signalCode(s.(syscall.Signal))
		}
	}
}

// endGrace is how long a worker may take to end after its answer: usually it does at
// once.
const endGrace = 100 * time.Millisecond

// await waits for a worker's answer, its exit code, or for the end of a worker
// that was killed.
func await(worker *exec.Cmd, answer io.Reader) int {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = worker.Wait() // what came of it is in ProcessState
	}()
	var code [1]byte
	if _, err := io.ReadFull(answer, code[:]); err == nil {
		select {
		case <-gone:
		case <-time.After(endGrace):
		}
		return int(code[0])
	}
	<-gone
	status, ok := worker.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return signalCode(status.Signal())
	}
	return max(worker.ProcessState.ExitCode(), failed)
}

// signalCode is the exit code that shells give to a process that a signal ended.
func signalCode(s syscall.Signal) int { return 128 + int(s) }

func tellError(program string, args []string, err error) int {
	fmt.Fprintf(os.Stderr, "%s %s: start a process for it: %v\n", program, args[0], err)
	return failed
}
