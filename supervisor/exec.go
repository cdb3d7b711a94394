// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"

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

	order   shim.StageOrder
	process *Process // that it runs beside; nil: nobody needs to know
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
	c.process = p
	return c, nil
}

// Start returns when the command has been executed, or with a *LaunchError when
// it could not be.
func (c *ExecCmd) Start() error {
	socket, theirs, err := socketpair()
	if err != nil {
		return err
	}
	defer socket.Close()
	c.Cmd.ExtraFiles = []*os.File{theirs} // descriptor 3, shim.ControlFD
	err = c.Cmd.Start()
	theirs.Close()
	if err != nil {
		return fmt.Errorf("execute %s: %w", c.order.Argv[0], err)
	}
	var report shim.StageReport
	sent := shim.WriteMessage(socket, c.order)
	err = shim.ReadMessage(socket, &report)
	if errors.Is(err, io.EOF) && sent == nil {
		c.process.addBeside(c.Cmd.Process.Pid)
		return nil // closed by the exec
	}
	c.Cmd.Process.Kill()
	_ = c.Cmd.Wait() // ends as it was told to
	if err != nil {
		return fmt.Errorf("execute %s: %w", c.order.Argv[0], errors.Join(sent, err))
	}
	return &LaunchError{report.Error}
}

// Wait waits for the command and returns its exit code, 128+n after signal n.
// The error is about the waiting or the copying of streams, not the command's. A
// child of the command that still has its streams after Cmd.WaitDelay is no error.
func (c *ExecCmd) Wait() (int, error) {
	err := c.Cmd.Wait()
	c.process.removeBeside(c.Cmd.Process.Pid)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return -1, err
	}
	if status, ok := c.Cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return c.Cmd.ProcessState.ExitCode(), nil
}

// addBeside notes the session of a command beside the task. Its id is its own
// until it is waited for.
func (p *Process) addBeside(session int) {
	if p == nil {
		return
	}
	p.beside.Lock()
	defer p.beside.Unlock()
	p.beside.sessions = append(p.beside.sessions, session)
}

func (p *Process) removeBeside(session int) {
	if p == nil {
		return
	}
	p.beside.Lock()
	defer p.beside.Unlock()
	p.beside.sessions = slices.DeleteFunc(p.beside.sessions, func(s int) bool { return s == session })
}

func (p *Process) besides() []int {
	p.beside.Lock()
	defer p.beside.Unlock()
	return slices.Clone(p.beside.sessions)
}
