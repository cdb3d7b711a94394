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
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/faults/internal/check"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// Somebody removes the folder of an allocation whose solver lives.
var orphanFaults = []fault{
	{name: "orphan reaped", weight: 3, inject: unlessGivenUp(orphanReaped), missing: withoutNsenter},
}

func withoutNsenter(*campaign) string {
	if _, err := exec.LookPath("nsenter"); err != nil {
		return "needs nsenter (util-linux)"
	}
	return ""
}

// orphanReaped has an operator end an orphan, which gets its dump.
func orphanReaped(ctx context.Context, c *campaign, _ *rand.Rand) (string, error) {
	j, err := c.computes(ctx, "ok")
	if err != nil {
		return "", err
	}
	return j.name, c.downed(ctx, c.killBoth, func() error {
		p, err := c.solverOf(j)
		if err != nil {
			return err
		}
		// Nomad's mounts are in its own view: nothing of them is in the way here.
		if err := os.RemoveAll(c.client.AllocDir(j.alloc)); err != nil {
			return err
		}
		// Whoever reaps removes the record, too, and Nomad's client, which has not forgotten
		// the allocation, asks for it.
		c.spoiled[fmt.Sprint(p.Alloc, " ", p.PID)] = true
		return errors.Join(c.stop(j), c.reap(ctx, j, p))
	})
}

// reap calls the command where the solver is, whose cgroups are not the machine's.
func (c *campaign) reap(ctx context.Context, j *job, p check.Process) error {
	supervisor, err := proc.Read(p.Parent)
	if err != nil {
		return err
	}
	return c.timed(ctx, func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, "nsenter", "--target", fmt.Sprint(supervisor.PID), "--mount", "--",
			c.client.PluginPath(), "reap", "-kill", j.alloc+"/lsdyna", "-state-dir", c.state).CombinedOutput()
		if err != nil {
			return fmt.Errorf("reap: %w: %s", err, out)
		}
		if !strings.Contains(strings.Join(strings.Fields(string(out)), " "), "stopped with sw1, dump d3dump01 written at t = ") {
			return &lostError{[]check.Violation{{Rule: check.DumpTaken, Evidence: fmt.Sprintf("reap -kill of %s: %s", j.name, out)}}}
		}
		return c.gone(ctx, j)
	})
}
