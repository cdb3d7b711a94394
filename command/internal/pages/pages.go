// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package pages makes pages about runs for the commands: of a run folder or an output,
// and of a task by its record.
package pages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report/page"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
)

// OfPath makes the page of a run folder or an output file. running says that the run is
// known to be alive.
func OfPath(ctx context.Context, path string, running bool, program string) ([]byte, error) {
	p := page.Page{Program: program, Place: page.Place{Path: path}}
	made := make(chan page.Page, 1) // a folder that hangs may be looked at behind the error
	_, err := watch.InspectWith(ctx, path, running, func(ctx context.Context, f *rundir.Folder, file string, r output.Report) {
		report.Gather(f, file, r.Snapshot, r, &p)
		made <- p
	})
	if err != nil {
		return nil, err
	}
	return render(<-made)
}

// Timeout is how long the folder of a task may take.
const Timeout = time.Minute

// OfTask makes the page of the newest run of a task, named ALLOC or ALLOC/TASK. sysfs
// stands for /sys where it is not "".
func OfTask(ctx context.Context, stateDir, sysfs, name, program string) ([]byte, error) {
	t, settings, err := node.Find(stateDir, name)
	if err != nil {
		return nil, err
	}
	p := page.Page{Program: program, Place: placeOf(t)}
	if command, args := t.Command(); command != "" {
		p.CommandLine = report.CommandLine(command, args)
	}
	if topo, _, err := topology.Discover(sysfs); err == nil {
		p.Machine = machineOf(topo, t, settings)
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	made := make(chan page.Page, 1)
	err = t.Read(ctx, func(ctx context.Context, f *rundir.Folder, s output.Snapshot) {
		r := output.NewReport(s, t.HowItEnded())
		r.LastRuns, _ = f.History() // nothing else depends on it
		report.Gather(f, "", s, r, &p)
		made <- p
	})
	if errors.Is(err, rundir.ErrNoAnswer) {
		return nil, fmt.Errorf("%w: is its file server down?", rundir.ErrNoAnswer)
	}
	if err != nil {
		return nil, fmt.Errorf("read run folder %s: %w", t.RunDir(), err)
	}
	return render(<-made)
}

func render(p page.Page) ([]byte, error) {
	p.Made = time.Now()
	return p.Render()
}

func placeOf(t *node.Task) page.Place {
	d := &t.Details
	at := page.Place{
		Path: t.RunDir(), User: d.User, Namespace: d.Namespace, Job: t.Job(), Alloc: t.ID.Alloc, Task: t.ID.Task,
		Node: d.NodeName, Solver: t.Solver(), Started: d.StartedAt,
	}
	if t.Pinned {
		at.Cores = t.Cores.String()
	}
	if t.Exit != nil {
		at.Ended = t.Exit.FinishedAt
		at.Exit = report.ExitText(t.Exit.Code, t.Exit.Signal, t.Exit.OOMKilled)
	}
	return at
}

func machineOf(topo *topology.Topology, t *node.Task, settings state.Settings) *page.Machine {
	m := &page.Machine{Own: t.Cores, Isolated: allocator.SMT(settings.SMT) != allocator.SMTShare}
	for _, c := range topo.CPUs {
		if c.Online {
			m.CPUs = append(m.CPUs, page.CPU{Index: c.Index, Package: c.Package, Node: c.NUMANode, L3: c.L3, Core: c.Core})
		}
	}
	return m
}
