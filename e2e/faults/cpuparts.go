// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// A client with cgroups v1 starts nothing any more where a cpuset is left that it has
// forgotten: its cpuparts_hook cannot take that one's cores out of the cpuset above. The
// driver empties the cpusets of its tasks, but where a fault took the record away that
// names one it cannot. Then the campaign does what TROUBLESHOOT tells an operator.

// blocks counts how often Nomad could start nothing.
type blocks struct {
	all       int
	inARow    int // steps
	cpusets   int // that were left
	withCores int // those with cores in them
}

// mostInARow is how many steps one after the other may be blocked.
const mostInARow = 3

// reserve is where Nomad has the cpusets of tasks with reserved cores.
const reserve = "/sys/fs/cgroup/cpuset/nomad/reserve"

// errBlocked says that what an operator is told to do did not help.
var errBlocked = errors.New("nomad starts no job, by its cpuparts_hook, and what TROUBLESHOOT says about that does not help")

// unblockIfStuck helps Nomad where it gave up each of the jobs of a step.
func (c *campaign) unblockIfStuck(ctx context.Context, fresh []*job) error {
	if !allGivenUp(c.world, fresh) {
		c.blocks.inARow = 0
		return nil
	}
	if c.blocks.inARow++; c.blocks.inARow > mostInARow {
		return fmt.Errorf("%w: %d steps in a row", errBlocked, c.blocks.inARow)
	}
	return c.unblock(ctx)
}

// allGivenUp reports whether Nomad itself could set none of the jobs up. Without a job it
// did not try.
func allGivenUp(w *check.World, jobs []*job) bool {
	for _, j := range jobs {
		given := slices.ContainsFunc(w.Allocs, func(a check.Alloc) bool { return a.Job == j.name && a.GivenUp() })
		if !given {
			return false
		}
	}
	return len(jobs) > 0
}

// unblock collects what has ended, and takes away the cpusets that are left. What must
// always hold must hold meanwhile.
func (c *campaign) unblock(ctx context.Context) error {
	c.blocks.all++
	w, err := c.observer.Look(ctx, false)
	if err != nil {
		return err
	}
	markOver(w, c.jobs)
	if err := c.server.API.System().GarbageCollect(); err != nil {
		return err
	}
	dir := c.client.CgroupPath(reserve)
	return c.timed(ctx, func(ctx context.Context) error {
		return cluster.Poll(ctx, "the removal of cpusets that Nomad has forgotten", func() (bool, string, error) {
			w, err := c.always(ctx)
			if err != nil {
				if _, ok := errors.AsType[*lostError](err); ok {
					return false, "", err
				}
				return false, err.Error(), nil
			}
			left, err := removeForgotten(dir, func(alloc string) bool {
				return slices.ContainsFunc(w.Allocs, func(a check.Alloc) bool { return a.ID == alloc && !a.Over() })
			})
			c.blocks.cpusets += len(left)
			for _, l := range left {
				if l.cpus != "" {
					c.blocks.withCores++
				}
				fmt.Printf("(cpuset %s with cores %q was left) ", l.name, l.cpus)
			}
			return err == nil, fmt.Sprint(err), nil
		})
	})
}

// markOver notes which jobs are over, while their allocations can be seen.
func markOver(w *check.World, jobs []*job) {
	for _, j := range jobs {
		j.over = j.over || slices.ContainsFunc(w.Allocs, func(a check.Alloc) bool { return a.Job == j.name && a.Over() })
	}
}

// A forgottenCpuset is one whose allocation is over.
type forgottenCpuset struct{ name, cpus string }

// removeForgotten removes the cpusets of allocations that do not live. The kernel keeps
// those with a process in them.
func removeForgotten(dir string, lives func(alloc string) bool) (removed []forgottenCpuset, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		alloc, _, ofTask := strings.Cut(e.Name(), ".")
		if !e.IsDir() || !ofTask || lives(alloc) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		cpus, _ := os.ReadFile(filepath.Join(path, "cpuset.cpus"))
		switch err := os.Remove(path); {
		case err == nil:
			removed = append(removed, forgottenCpuset{e.Name(), strings.TrimSpace(string(cpus))})
		case !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, err)
		}
	}
	return removed, errors.Join(errs...)
}

// line tells of the blocks, "" where there were none.
func (b blocks) line() string {
	if b.all == 0 {
		return ""
	}
	return fmt.Sprintf("     Nomad could start nothing %d times: %d cpusets that it had forgotten were taken away, %d of them with cores\n", b.all, b.cpusets, b.withCores)
}
