// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
)

var diskFaults = []fault{
	{name: "full disk", weight: 6, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		return c.without(ctx, rng, c.fillDisk)
	}},
	{name: "read-only state_dir", weight: 5, inject: func(ctx context.Context, c *campaign, rng *rand.Rand) (string, error) {
		return c.without(ctx, rng, c.protectState)
	}, missing: withoutNsenter},
}

// without makes state_dir unwritable, lets something happen that would write to
// it, and makes it writable again.
func (c *campaign) without(ctx context.Context, rng *rand.Rand, block func() (undo func() error, err error)) (what string, err error) {
	undo, err := block()
	if err != nil {
		return "", err
	}
	switch rng.IntN(5) {
	case 0:
		what = "when the plugin is killed"
		_, err = c.killPlugin(ctx)
		err = errors.Join(err, c.recovered(ctx))
	case 1:
		what, err = c.killOne(rng, check.Solver, syscall.SIGKILL)
	case 2:
		var j *job
		if j, err = c.start(ctx); err == nil {
			what = "when " + j.name + " is to start"
			_, err = c.decided(ctx, j)
		}
	case 3:
		what = "when agent and plugin are killed"
		err = c.downed(ctx, c.killBoth, nil)
	case 4:
		j := c.jobs[rng.IntN(len(c.jobs))]
		what, err = "when "+j.name+" is to stop", c.stop(j)
	}
	return what, errors.Join(err, undo())
}

// fillDisk leaves no byte free on state_dir's file system.
func (c *campaign) fillDisk() (undo func() error, err error) {
	path := filepath.Join(c.state, "ballast")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("fill the disk: %w", err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return nil, fmt.Errorf("fill the disk: %w", err)
	}
	return func() error { return os.Remove(path) }, f.Close()
}

// protectState covers state_dir with a read-only view of itself, where the client
// and everything below it sees it. Files that are open stay as they are: a file
// system that turns read-only under a writer does more, but cannot be made to.
func (c *campaign) protectState() (undo func() error, err error) {
	inClient := func(args ...string) error {
		enter := append([]string{"--target", fmt.Sprint(c.client.PID()), "--mount", "--"}, args...)
		out, err := exec.Command("nsenter", enter...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
		return nil
	}
	if err := inClient("mount", "--bind", c.state, c.state); err != nil {
		return nil, err
	}
	undo = func() error { return inClient("umount", "-l", c.state) }
	if err := inClient("mount", "-o", "remount,bind,ro", c.state); err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}
