// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// Plugins returns the living plugin processes of the agent: the child that Nomad
// talks to, and any that a killed agent left behind.
func (a *Agent) Plugins() ([]proc.Process, error) {
	return proc.Select(func(p proc.Process) bool { return p.Exe == a.PluginPath() && len(p.Args) == 1 })
}

// Supervisors returns the living supervisors of the agent's tasks.
func (a *Agent) Supervisors() ([]proc.Process, error) {
	return proc.Select(a.IsSupervisor)
}

// IsSupervisor tells by its record whether a process is the supervisor of a task of this
// agent: what it is executed from has no path.
func (a *Agent) IsSupervisor(p proc.Process) bool {
	if len(p.Args) != 3 || p.Args[1] != "supervise" {
		return false
	}
	return strings.HasPrefix(p.Args[2], a.Path()+"/") ||
		a.Config.StateDir != "" && strings.HasPrefix(p.Args[2], a.Config.StateDir+"/")
}

// KillPlugin kills the plugin process that the agent talks to and returns its
// pid. Nomad starts another one.
func (a *Agent) KillPlugin() (int, error) {
	plugins, err := a.Plugins()
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(plugins, func(p proc.Process) bool { return p.PPID == a.PID() })
	if i < 0 {
		// After a crash of the agent, its successor adopts the orphan.
		if len(plugins) != 1 {
			return 0, fmt.Errorf("the agent has no plugin process of its own, and there are %d of others: %v", len(plugins), plugins)
		}
		i = 0
	}
	return plugins[i].PID, Signal(plugins[i], syscall.SIGKILL)
}

// Signal sends a signal to the process, unless its pid is by now another's.
func Signal(p proc.Process, sig syscall.Signal) error {
	handle, err := os.FindProcess(p.PID) // a pidfd: it cannot come to mean another process
	if err != nil {
		return fmt.Errorf("signal %s: %w", p, err)
	}
	defer func() { _ = handle.Release() }()
	now, err := proc.Read(p.PID)
	if err != nil || now.StartTicks != p.StartTicks {
		return nil // it has ended by itself
	}
	if err := handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p, err)
	}
	return nil
}

// WaitGone waits until the process has ended.
func WaitGone(ctx context.Context, p proc.Process) error {
	return Poll(ctx, fmt.Sprintf("the end of %s", p), func() (bool, string, error) {
		now, err := proc.Read(p.PID)
		if err != nil || now.StartTicks != p.StartTicks || !now.Alive() {
			return true, "", nil
		}
		return false, now.String(), nil
	})
}

// leftovers returns what still runs once everything had the time to end.
func (a *Agent) leftovers(patience time.Duration) ([]proc.Process, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var left []proc.Process
	err := Poll(ctx, "the end of all processes", func() (done bool, seen string, err error) {
		left, err = a.Processes()
		return len(left) == 0, "", err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return left, err
}

// killAll kills every process that the agent caused. They may fork meanwhile, so
// it looks again until there is none.
func (a *Agent) killAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return Poll(ctx, "the end of all killed processes", func() (bool, string, error) {
		left, err := a.Processes()
		if err != nil {
			return false, "", err
		}
		for _, p := range left {
			if err := Signal(p, syscall.SIGKILL); err != nil {
				return false, "", err
			}
		}
		return len(left) == 0, fmt.Sprint(left), nil
	})
}
