// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/nodes/wire"
)

// shell executes what an agent sends, as a remote shell does with the words that it is
// given: launchers quote them for that.
const shell = "/bin/sh"

// lateOutput is how long the streams of a program that has ended are still read: a
// daemon that it left behind may hold them for as long as the run lasts.
const lateOutput = time.Second

// unreachable is the exit code of a remote shell that cannot do what it is asked for,
// as ssh has it.
const unreachable = 255

// execute executes what an agent sends, and tells it what that prints and how it ends.
// What is executed ends when the agent does.
func (d *Daemon) execute(ctx context.Context, conn *wire.Conn, data []byte) {
	var e exec
	err := json.Unmarshal(data, &e)
	switch {
	case err != nil:
		err = fmt.Errorf("its message is not valid: %w", err)
	case !d.HasLeader():
		err = errors.New("the run has no leader yet")
	case strings.TrimSpace(e.Script) == "":
		err = errors.New("there is nothing to execute")
	}
	if err != nil {
		_ = conn.SendJSON(kindRefused, refused{err.Error()})
		return
	}
	serving := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := osexec.CommandContext(ctx, shell, "-c", e.Script)
	cmd.Dir, cmd.Env = d.options.Dir, append(append([]string{}, d.options.Env...), e.Env...)
	cmd.Stdout, cmd.Stderr = sender{conn, kindStdout}, sender{conn, kindStderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Its group is its own, and nobody has waited for it yet.
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) } //nolint:forbidigo // see above
	cmd.WaitDelay = lateOutput
	if err := cmd.Start(); err != nil {
		_ = conn.SendJSON(kindRefused, refused{err.Error()})
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _, _ = conn.Receive() // an agent says no more: this is its end
		cancel()
	}()
	code := exitCode(cmd.Wait())
	switch {
	case serving.Err() != nil: // the run is over
	case ctx.Err() != nil:
		d.fail("the launch agent that had started something there is gone")
	case code != 0:
		d.fail("what the MPI launcher started there ended with " + describeExit(code))
	}
	_ = conn.SendJSON(kindExited, exited{code})
	_ = conn.Close()
	<-gone
}

// fail has the leader told what ended here that the run needs, if nothing was before.
func (d *Daemon) fail(what string) {
	select {
	case d.failed <- what:
	default:
	}
}

// exitCode is the exit code by which a shell tells of the end of a program.
func exitCode(err error) int {
	var ended *osexec.ExitError
	switch {
	case err == nil, errors.Is(err, osexec.ErrWaitDelay):
		return 0
	case errors.As(err, &ended):
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return ended.ExitCode()
	}
	return unreachable
}

// describeExit names an exit code of a shell.
func describeExit(code int) string {
	if name := unix.SignalName(syscall.Signal(code - 128)); code > 128 && name != "" {
		return name
	}
	return fmt.Sprintf("exit code %d", code)
}

// sender sends what is written to it.
type sender struct {
	conn *wire.Conn
	kind wire.Kind
}

func (s sender) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), wire.MaxMessage)
		if err := s.conn.Send(s.kind, rest[:n]); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func isOutOfFiles(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) || errors.Is(err, os.ErrDeadlineExceeded)
}
