// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// task is the name of the task in each of the example jobs.
const task = "lsdyna"

// A show is one job of the demo, as it runs.
type show struct {
	*demo
	job    string
	alloc  string
	folder string // the run folder
	shown  int    // events that were printed
}

// survive runs a job to its end, and kills the plugin and the client meanwhile.
func (d *demo) survive(ctx context.Context) error {
	cpus := max(1, min(2, runtime.NumCPU()-1))
	// A slower pace, for people to see something.
	s, err := d.start(ctx, "smp", "solid_bar_impact", cpus, "20ms")
	if err != nil {
		return err
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	before, err := s.solver()
	if err != nil {
		return err
	}

	if err := s.killThings(ctx); err != nil {
		return err
	}
	after, err := s.solver()
	if err != nil {
		return err
	}
	if after.PID != before.PID {
		return fmt.Errorf("the solver did not survive: pid %d before, %d after", before.PID, after.PID)
	}
	_, _ = fmt.Fprintf(d.out, "the solver, pid %d, did not notice\n", after.PID)
	if err := s.look(ctx); err != nil {
		return err
	}

	d.say("The end of the run")
	return s.finish(ctx, api.AllocClientStatusComplete)
}

// killThings kills the plugin, and when Nomad has another one that knows the
// task, kills the client too and starts it again.
func (s *show) killThings(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	s.say("The plugin is killed; Nomad starts another one")
	killed, err := s.client.KillPlugin()
	if err != nil {
		return err
	}
	err = cluster.Poll(ctx, "another plugin process", func() (bool, string, error) {
		plugins, err := s.client.Plugins()
		if err != nil || len(plugins) != 1 || plugins[0].PID == killed {
			return false, fmt.Sprint(plugins), err
		}
		_, _ = fmt.Fprintf(s.out, "plugin pid %d is gone, %d is there\n", killed, plugins[0].PID)
		return true, "", nil
	})
	if err != nil {
		return err
	}
	const restored = "Restored core"
	if _, err := s.server.WaitAlloc(ctx, s.alloc, cluster.TaskEvent(task, restored)); err != nil {
		return err
	}
	s.say("The Nomad client is killed (SIGKILL), and started again")
	if err := s.client.Kill(); err != nil {
		return err
	}
	return s.client.Start(ctx)
}

// stopInTime stops a job that would run for long, which leaves a dump behind.
func (d *demo) stopInTime(ctx context.Context) error {
	s, err := d.start(ctx, "stop", "shell_box_crush", 1, "5ms")
	if err != nil {
		return err
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	d.say("The job is stopped: the solver is asked for a dump first")
	limited, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := d.client.StopJob(limited, s.job, false); err != nil {
		return err
	}
	if err := s.finish(ctx, ""); err != nil {
		return err
	}
	dumps, err := filepath.Glob(filepath.Join(s.folder, "d3dump*"))
	if err != nil || len(dumps) == 0 {
		return fmt.Errorf("the stopped run left no d3dump in %s (%w)", s.folder, err)
	}
	_, _ = fmt.Fprintf(d.out, "to restart from: %s\n", filepath.Base(dumps[len(dumps)-1]))
	return nil
}

// start submits an example job for the stand-in solver and waits until it runs.
func (d *demo) start(ctx context.Context, job, deck string, cpus int, pace string) (*show, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	file := filepath.Join(d.example, "jobs", job+".nomad.hcl")
	d.say("Job %s on %s, %d CPUs", file, filepath.Join(d.example, "decks", deck), cpus)
	folder, err := d.runFolder(deck, job)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parsed, err := d.server.API.Jobs().ParseHCLOpts(&api.JobsParseRequest{
		JobHCL:       string(text),
		Variables:    fmt.Sprintf("solver = \"standin\"\nrun_dir = %q\n", folder),
		Canonicalize: true,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	// The example asks for more than a laptop may have. With ncpu instead of reserved cores
	// it runs under an agent without cgroups, too.
	t := parsed.TaskGroups[0].Tasks[0]
	t.Config["ncpu"] = cpus
	t.Resources.Cores = nil
	t.Env = map[string]string{"STANDIN_PACE": pace}
	little := 100
	t.Resources.CPU, t.Resources.MemoryMB = &little, &little
	if _, _, err := d.server.API.Jobs().Register(parsed, nil); err != nil {
		return nil, fmt.Errorf("register job: %w", err)
	}
	allocs, err := d.server.WaitPlaced(ctx, *parsed.ID, 1)
	if err != nil {
		return nil, err
	}
	s := &show{demo: d, job: *parsed.ID, alloc: allocs[0].ID, folder: folder}
	if _, err := d.server.WaitAlloc(ctx, s.alloc, cluster.TaskState(task, "running")); err != nil {
		return nil, err
	}
	return s, s.waitProgress(ctx)
}

// progressLine is LS-DYNA's line about a cycle.
var progressLine = regexp.MustCompile(`(?m)^ *\d+ t [-+.0-9E]+ dt .*$`)

// progress returns the newest line about a cycle in the solver's message file.
func (s *show) progress() string {
	messag, err := os.ReadFile(filepath.Join(s.folder, "messag"))
	lines := progressLine.FindAll(messag, -1)
	if err != nil || len(lines) == 0 {
		return ""
	}
	return string(lines[len(lines)-1])
}

func (s *show) waitProgress(ctx context.Context) error {
	return cluster.Poll(ctx, "the solver's first cycles", func() (bool, string, error) {
		return s.progress() != "", "nothing in " + s.folder, nil
	})
}

// look prints what an operator would look at.
func (s *show) look(ctx context.Context) error {
	if err := s.events(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(s.out, "messag:%s\n", s.progress())
	var text bytes.Buffer
	cmd := exec.CommandContext(ctx, s.client.PluginPath(), "status", "-state-dir", s.client.StateDir())
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	_, _ = fmt.Fprintf(s.out, "\n$ %s status\n%s", cluster.PluginName, &text)
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	return nil
}

// events prints the allocation's state and its task's new events.
func (s *show) events() error {
	alloc, _, err := s.server.API.Allocations().Info(s.alloc, nil)
	if err != nil {
		return fmt.Errorf("allocation: %w", err)
	}
	_, _ = fmt.Fprintf(s.out, "allocation %s of job %s is %s\n", alloc.ID[:8], alloc.JobID, alloc.ClientStatus)
	events := cluster.Events(alloc, task)
	for _, e := range events[min(s.shown, len(events)):] {
		_, _ = fmt.Fprintf(s.out, "  %s\n", strings.TrimSpace(e))
	}
	s.shown = len(events)
	return nil
}

// finish waits for the allocation's end, in the state wanted if any, and prints
// how it came about.
func (s *show) finish(ctx context.Context, want string) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	alloc, err := s.server.WaitAlloc(ctx, s.alloc, cluster.Terminal)
	if err != nil {
		return err
	}
	if err := s.events(); err != nil {
		return err
	}
	if want != "" && alloc.ClientStatus != want {
		return fmt.Errorf("the allocation is %s, not %s", alloc.ClientStatus, want)
	}
	code, signal, err := cluster.Exit(alloc, task)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(s.out, "exit code %d, signal %d\n", code, signal)
	return nil
}

// solver returns the solver's process.
func (s *show) solver() (proc.Process, error) {
	solvers, err := proc.WithExe(s.client.Path("bin", "lsdyna-standin"))
	if err != nil {
		return proc.Process{}, err
	}
	i := slices.IndexFunc(solvers, func(p proc.Process) bool { return p.Cwd == s.folder })
	if i < 0 {
		return proc.Process{}, errors.New("the solver is not running")
	}
	return solvers[i], nil
}
