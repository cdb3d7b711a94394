// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/internal/proctree"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/shim"
)

// ExecOptions describe a command run beside the solver.
type ExecOptions struct {
	Argv []string // Argv[0] is a path, or is looked up in Env's PATH as the user
	Env  []string // HOME, USER and LOGNAME are set from the task's user
	CPUs []int    // what the task is bound to now; empty: no affinity
	TTY  bool     // standard input is a terminal that becomes the controlling one
}

// ExecCmd is a command in the task's cgroup, on its cores, as its user, in its
// run folder. Set Cmd's standard streams before Start.
type ExecCmd struct {
	Cmd *exec.Cmd

	order  shim.StageOrder
	beside *sessions // of the task it belongs to
}

// Command prepares a command beside the task of spec.
func Command(spec *Spec, opts ExecOptions) (*ExecCmd, error) {
	if len(opts.Argv) == 0 || opts.Argv[0] == "" {
		return nil, errors.New("execute: there is no command")
	}
	if err := spec.Validate(); err != nil {
		return nil, fmt.Errorf("execute %s: %w", opts.Argv[0], err)
	}
	return &ExecCmd{
		beside: &sessions{},
		Cmd: &exec.Cmd{
			Path:        "/proc/self/exe",
			Args:        []string{"stage", shim.StageCommand},
			Env:         withRaceOptions([]string{"GOMAXPROCS=1"}),
			Dir:         "/",
			SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: opts.TTY},
		},
		order: shim.StageOrder{
			Argv: opts.Argv, Env: userEnv(opts.Env, spec.User), Dir: spec.Dir, User: spec.User,
			Join: spec.Cgroups.Join, CPUs: opts.CPUs, Memory: spec.Memory, THP: hugePages(), AllowSetuid: spec.AllowSetuid,
		},
	}, nil
}

// Command is Command for a task whose processes the command belongs to while it
// runs: it moves with them, and ends with them at the latest. In a cgroup it does so
// by being there; without cgroups the task has to know of it.
func (p *Process) Command(spec *Spec, opts ExecOptions) (*ExecCmd, error) {
	c, err := Command(spec, opts)
	if err != nil {
		return nil, err
	}
	c.beside = &p.beside
	return c, nil
}

// Start returns when the command has been executed, or with a *LaunchError when
// it could not be. At the end of ctx it is ended: its run folder may be on a file
// server that does not answer. Where the kernel cannot end it the error wraps
// ErrNotEnded, and it ends later.
func (c *ExecCmd) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return c.failed(context.Cause(ctx))
	}
	socket, theirs, err := socketpair()
	if err != nil {
		return err
	}
	defer socket.Close()
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(past) })
	defer stop()
	c.Cmd.ExtraFiles = []*os.File{theirs} // descriptor 3, shim.ControlFD
	err = c.Cmd.Start()
	theirs.Close()
	if err != nil {
		return c.failed(err)
	}
	c.beside.add(c.Cmd.Process.Pid)
	var report shim.StageReport
	sent := shim.WriteMessage(socket, c.order)
	err = shim.ReadMessage(socket, &report)
	if errors.Is(err, io.EOF) && sent == nil {
		return nil // closed by the exec
	}
	switch {
	case err == nil:
		err = &LaunchError{report.Error}
	case ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
		err = c.failed(fmt.Errorf("its launch does not end: does its run folder answer? (%w)", context.Cause(ctx)))
	default:
		err = c.failed(errors.Join(sent, err))
	}
	if left := c.abort(); left != nil {
		return fmt.Errorf("%w (%w)", err, left)
	}
	return err
}

func (c *ExecCmd) failed(err error) error {
	return fmt.Errorf("execute %s: %w", c.order.Argv[0], err)
}

// abort ends a command that was not executed. Whatever happens, it is waited for, if
// need be after abort has returned.
func (c *ExecCmd) abort() error {
	c.Cmd.Process.Kill()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Cmd.Wait() // ends as it was told to
		c.beside.remove(c.Cmd.Process.Pid)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(endPatience):
		return fmt.Errorf("end process %d: %w", c.Cmd.Process.Pid, ErrNotEnded)
	}
}

// Wait waits for the command and returns its exit code, 128+n after signal n. At the
// end of ctx it ends the command with its session and all that is below it; the error
// wraps the context's then, and ErrNotEnded as well where the kernel cannot end them.
// Other errors are about the waiting or the copying of streams, not the command's. A
// child of the command that still has its streams after Cmd.WaitDelay is no error.
func (c *ExecCmd) Wait(ctx context.Context) (int, error) {
	over := make(chan struct{})
	go func() { defer close(over); awaitExit(c.Cmd.Process.Pid) }()
	select {
	case <-over:
		return c.reap()
	case <-ctx.Done():
	}
	err := c.failed(context.Cause(ctx))
	if left := c.endSession(); left != nil {
		_ = c.Cmd.Process.Kill() // at least the command itself, where /proc cannot be read
		go func() { <-over; _, _ = c.reap() }()
		return -1, fmt.Errorf("%w (%w)", err, left)
	}
	<-over
	_, _ = c.reap() // ends as it was told to
	return -1, err
}

// awaitExit waits until a child has ended, and leaves it to be waited for: its id, and
// that of its session, stay its own.
func awaitExit(pid int) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// endSession ends the command's session and what is below it. Nobody has waited for
// the command yet.
func (c *ExecCmd) endSession() error {
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	tree := proctree.Tree{ProcRoot: procfs.Root, Sessions: []int{c.Cmd.Process.Pid}}
	if err := proctree.Repeat(ctx.Done(), tree.KillOnce); err != nil {
		return fmt.Errorf("end the processes of the command: %w", err)
	}
	return nil
}

// reap waits for a command that has ended.
func (c *ExecCmd) reap() (int, error) {
	err := c.Cmd.Wait()
	c.beside.remove(c.Cmd.Process.Pid)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return -1, err
	}
	if status, ok := c.Cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return c.Cmd.ProcessState.ExitCode(), nil
}

// sessions are those of the commands that run beside a solver. A session's id is its
// own until its leader is waited for.
type sessions struct {
	mu  sync.Mutex
	ids []int
}

func (s *sessions) add(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, id)
}

func (s *sessions) remove(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = slices.DeleteFunc(s.ids, func(other int) bool { return other == id })
}

func (s *sessions) list() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}
