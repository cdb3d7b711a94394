// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package lastpage is the page about a run (lsdyna/report) that a task with report = true
// leaves in its run folder at its end. It is made in the goroutine of the folder's watcher,
// with the rights of the task's user, like all that happens there.
package lastpage

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/events"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/verdict"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report/page"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// Patience is how long a page is waited for. A folder that hangs just then costs no more,
// and the page may still come behind it.
const Patience = 5 * time.Second

// Run is what the driver knows of a run that is over.
type Run struct {
	ID       state.ID
	Details  *state.Details
	Process  *supervisor.Process
	Topology *topology.Topology
	Isolated bool // siblings of its CPUs were kept idle
	Events   *events.Stream
	Snapshot output.Snapshot
	Exit     verdict.Exit
	Outcome  output.Outcome
	Program  string // that makes the page
}

// Leave makes the page and puts it into the run folder, as long as the folder is this
// run's. The error is for the task's user.
func Leave(ctx context.Context, w *watch.Watcher, run Run) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	p := run.page()
	err := w.Do(ctx, guarded(func(f *rundir.Folder) error {
		if err := ownership.Of(f).CheckOwner(run.ID.String()); err != nil {
			return err
		}
		r := output.NewReport(run.Snapshot, run.Exit.Exit)
		r.Outcome, r.Reason = run.Outcome.Kind, run.Outcome.Reason
		r.LastRuns, _ = f.History() // nothing else depends on it
		report.Gather(f, "", run.Snapshot, r, &p)
		p.Snapshot.LastWords = run.Events.Redact(p.Snapshot.LastWords)
		p.CommandLine = run.Events.Redact(p.CommandLine)
		p.Made = time.Now()
		data, err := p.Render()
		if err != nil {
			return err
		}
		_, err = report.Save(f, data)
		return err
	}))
	if err != nil {
		return fmt.Errorf("no %s in the run folder: %w", report.Name, err)
	}
	return nil
}

// guarded makes an error of a panic: a page is worth no plugin, and is made of whatever
// lies in the folder.
func guarded(do func(*rundir.Folder) error) func(*rundir.Folder) error {
	return func(f *rundir.Folder) (err error) {
		defer func() {
			if fault := recover(); fault != nil {
				err = fmt.Errorf("a fault of this driver, which its maintainers want to hear of: %v at %s", fault, debug.Stack())
			}
		}()
		return do(f)
	}
}

// page is what does not come from the folder.
func (run *Run) page() page.Page {
	d := run.Details
	at := page.Place{
		Path: d.RunPath(), User: d.User, Namespace: d.Namespace, Job: d.JobID, Alloc: run.ID.Alloc, Task: run.ID.Task,
		Node: d.NodeName, Solver: d.Solver, Started: d.StartedAt, Ended: run.Exit.At(),
	}
	if run.Exit.Known {
		at.Exit = report.ExitText(run.Exit.Code, run.Exit.Signal, run.Exit.OOMKilled)
	}
	p := page.Page{Program: run.Program, Place: at}
	for _, e := range run.Events.Told() {
		p.Events = append(p.Events, page.Event{At: e.At, Text: e.Text})
	}
	if spec := run.Process.Spec(); spec != nil && d.Nodes < 2 { // else the solver is not what the supervisor executes
		p.CommandLine = report.CommandLine(spec.Command, spec.Args)
	}
	p.Machine = run.machine()
	if p.Machine != nil {
		p.Place.Cores = p.Machine.Own.String()
	}
	return p
}

// machine is the cores that the run had last, by its pid file.
func (run *Run) machine() *page.Machine {
	rec, err := run.Process.Record()
	if err != nil || run.Topology == nil {
		return nil
	}
	m := &page.Machine{Isolated: run.Isolated}
	if m.Own, err = cpuset.FromSlice(rec.Cores); err != nil {
		return nil
	}
	for _, c := range run.Topology.CPUs {
		if c.Online {
			m.CPUs = append(m.CPUs, page.CPU{Index: c.Index, Package: c.Package, Node: c.NUMANode, L3: c.L3, Core: c.Core})
		}
	}
	return m
}
