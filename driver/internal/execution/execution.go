// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package execution executes commands beside a solver, as raw_exec does for its tasks.
package execution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/creack/pty"
	"github.com/hashicorp/nomad/plugins/drivers"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/task"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Check executes a command for at most the timeout, and returns the end of its output.
// The timeout covers the launch as well, and all that the command has started ends with
// it.
func Check(ctx context.Context, h *task.Handle, argv []string, timeout time.Duration) (*drivers.ExecTaskResult, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	output := newTail(drivers.CheckBufSize)
	c, err := startExec(ctx, h, argv, nil, output, output)
	if err != nil {
		return nil, err
	}
	result, err := waitExec(ctx, c)
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, supervisor.ErrNotEnded) {
		result, err = &drivers.ExitResult{ExitCode: -1}, nil
	}
	if err != nil {
		return nil, err
	}
	return &drivers.ExecTaskResult{Stdout: output.Bytes(), ExitResult: result}, nil
}

// Stream executes a command with the streams that it is given, on a terminal of its
// own where that is asked for.
func Stream(ctx context.Context, h *task.Handle, opts *drivers.ExecOptions) (*drivers.ExitResult, error) {
	if opts.Tty {
		return executeTTY(ctx, h, opts)
	}
	return execute(ctx, h, opts.Command, opts.Stdin, opts.Stdout, opts.Stderr)
}

// execute executes a command beside the solver.
func execute(ctx context.Context, h *task.Handle, argv []string, stdin io.Reader, stdout, stderr io.Writer) (*drivers.ExitResult, error) {
	c, err := startExec(ctx, h, argv, stdin, stdout, stderr)
	if err != nil {
		return nil, err
	}
	return waitExec(ctx, c)
}

// startExec starts a command beside the solver.
func startExec(ctx context.Context, h *task.Handle, argv []string, stdin io.Reader, stdout, stderr io.Writer) (*supervisor.ExecCmd, error) {
	c, err := h.Command(argv, false)
	if err != nil {
		return nil, err
	}
	if stdin != nil {
		w, err := c.Cmd.StdinPipe()
		if err != nil {
			return nil, fmt.Errorf("execute %s: %w", argv[0], err)
		}
		go func() {
			// Not by os/exec, whose Wait would wait for the client to close its end.
			_, _ = io.Copy(w, stdin)
			_ = w.Close()
		}()
	}
	c.Cmd.Stdout, c.Cmd.Stderr = stdout, stderr
	// A background child that keeps the pipes open must not hold up the result.
	c.Cmd.WaitDelay = time.Second
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// waitExec waits for the command. At the end of ctx the command and all that it has
// started are ended.
func waitExec(ctx context.Context, c *supervisor.ExecCmd) (*drivers.ExitResult, error) {
	code, err := c.Wait(ctx)
	if err != nil {
		return nil, err
	}
	result := &drivers.ExitResult{ExitCode: code}
	if code > 128 {
		result.Signal = code - 128
	}
	return result, nil
}

// executeTTY executes a command on a terminal of its own.
func executeTTY(ctx context.Context, h *task.Handle, opts *drivers.ExecOptions) (*drivers.ExitResult, error) {
	c, err := h.Command(opts.Command, true)
	if err != nil {
		return nil, err
	}
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	defer master.Close()
	if h.Spec().User.UID != os.Geteuid() {
		if err := slave.Chown(h.Spec().User.UID, -1); err != nil {
			_ = slave.Close()
			return nil, fmt.Errorf("hand over terminal: %w", err)
		}
	}
	c.Cmd.Stdin, c.Cmd.Stdout, c.Cmd.Stderr = slave, slave, slave
	err = c.Start(ctx)
	_ = slave.Close()
	if err != nil {
		return nil, err
	}
	go func() { _, _ = io.Copy(master, opts.Stdin) }()
	sizes, stop := context.WithCancel(ctx)
	resized := make(chan struct{})
	go func() {
		defer close(resized)
		resize(sizes, master, opts.ResizeCh)
	}()
	// Before the terminal is closed: its descriptor's number may be another's then.
	defer func() { stop(); <-resized }()
	output := make(chan struct{})
	go func() {
		defer close(output)
		_, _ = io.Copy(opts.Stdout, master) // ends with EIO when the last of the terminal's processes closes it
	}()
	result, err := waitExec(ctx, c)
	// What the command printed last is still on its way; a background child
	// that keeps the terminal open is not waited for.
	select {
	case <-output:
	case <-time.After(ttyDrain):
	}
	return result, err
}

// ttyDrain bounds the wait for a terminal's last output after its command ended.
const ttyDrain = 200 * time.Millisecond

func resize(ctx context.Context, tty *os.File, sizes <-chan drivers.TerminalSize) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			_ = pty.Setsize(tty, &pty.Winsize{Rows: uint16(size.Height), Cols: uint16(size.Width)})
		}
	}
}
