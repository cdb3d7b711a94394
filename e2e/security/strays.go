// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// adoptStrays makes this process the parent of what tests leave behind: a driver
// without a defence leaves supervisors and solvers, and no test can end them all.
func adoptStrays() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	return nil
}

// reapStrays waits for adopted processes that have ended, until ctx does, as init
// would: Nomad waits for a logmon of before its restart to vanish, and a zombie does
// not. Children that os/exec has started are waited for at once, so one that is still
// there at the second look is adopted.
func reapStrays(ctx context.Context) {
	const interval = 500 * time.Millisecond
	seen := map[int]bool{}
	for ctx.Err() == nil {
		all, _ := proc.All() // the next look is as good
		now := map[int]bool{}
		for _, p := range all {
			switch {
			case p.PPID != os.Getpid() || p.Alive():
			case seen[p.PID]:
				_, _ = syscall.Wait4(p.PID, nil, syscall.WNOHANG, nil)
			default:
				now[p.PID] = true
			}
		}
		seen = now
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}

// endStrays kills every descendant of this process, and returns when there is none.
// It is called while no command of ours runs.
func endStrays() error {
	for {
		all, err := proc.All()
		if err != nil {
			return err
		}
		ours := descendants(all, os.Getpid())
		if len(ours) == 0 {
			return nil
		}
		for _, p := range ours {
			if err := cluster.Signal(p, syscall.SIGKILL); err != nil {
				return err
			}
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 && err != syscall.EINTR {
				break
			}
		}
	}
}

// descendants returns the processes below one, zombies that only wait for us
// included.
func descendants(all []proc.Process, pid int) []proc.Process {
	below := map[int]bool{pid: true}
	var found []proc.Process
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if below[p.PPID] && !below[p.PID] {
				below[p.PID], grown = true, true
				found = append(found, p)
			}
		}
	}
	return found
}
