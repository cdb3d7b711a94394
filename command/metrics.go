// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/exposition"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/vectors"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

const metricsHelp = `USAGE
  nomad-driver-lsdyna metrics [-state-dir DIR] [-smt isolate|share]
      [-usable LIST] [-sysfs DIR] [-o FILE [-every DURATION]] [-json]

DESCRIPTION
  Prints what status shows in Prometheus' text format, for the textfile
  collector of a node exporter. Series of tasks have the labels job (the Nomad
  job's id), alloc_id and task; to keep the label job, the scrape configuration
  needs honor_labels: true.

    lsdyna_physical_cores, lsdyna_logical_cores, lsdyna_available_cores
    lsdyna_hyper_threading_enabled        1 or 0
    lsdyna_core_allocated                 by cpu, numa_node, package: 1 where a
                                          task has the CPU, 0 where none has
    lsdyna_core_idle_sibling              ... 1 where the task leaves it idle
    lsdyna_core_reserved                  ... 1 where Nomad reserved it for others
    lsdyna_core_drift                     ... 1 where a task runs that does not own it
    lsdyna_task_core_info                 1 by cpu, for each CPU that a task has
    lsdyna_task_state                     by state: launching, running, orphaned, ended
    lsdyna_task_drift                     1 where its affinity is not as recorded
    lsdyna_task_start_timestamp_seconds
    lsdyna_task_cores                     0 without affinity
    lsdyna_task_nodes                     of its run: 1, or several Nomad clients
    lsdyna_task_node_index                of this one in its run; 0 leads. Each node
                                          has the run's progress, so sum up where
                                          this is 0
    lsdyna_task_waits_for_nodes           1 where its run waits for other nodes
    lsdyna_task_progress_ratio            problem time of end time, 0 to 1
    lsdyna_task_problem_time, lsdyna_task_problem_end_time
                                          in the deck's own unit of time
    lsdyna_task_cycles_total, lsdyna_task_errors_total, lsdyna_task_warnings_total
    lsdyna_task_elapsed_seconds           since the start
    lsdyna_task_eta_seconds               estimate of the time left
    lsdyna_task_eta_low_seconds, lsdyna_task_eta_high_seconds
                                          four of five runs end between these
    lsdyna_task_energy_ratio              total energy by initial energy and external
                                          work, by glstat
    lsdyna_task_hourglass_ratio           hourglass energy by the largest internal one
    lsdyna_task_added_mass_ratio          mass added by mass scaling, by the physical
    lsdyna_task_time_step, lsdyna_task_largest_time_step
                                          in the deck's own unit of time
    lsdyna_task_quiet_seconds             since something was written to the outputs of
                                          a run that solves
    lsdyna_task_warnings_by_code_total    by code: the most frequent kinds
    lsdyna_task_exit_code                 of tasks that have ended
    lsdyna_runs_total                     by outcome: runs that have ended on this
                                          node, since its history began
    lsdyna_core_seconds_total             by outcome: cores times wall time of them
    lsdyna_build_info                     1, by version
    lsdyna_read_timestamp_seconds         when all this was read: it stands still
                                          where -every has ended or cannot read

  A series that is not known is left out.

OPTIONS
  -state-dir DIR  The agent's state_dir, where it is not found; see help help.
  -smt MODE       The agent's cores.smt; see status.
  -usable LIST    The agent's cores.usable; see status.
  -sysfs DIR      A captured machine instead of /sys.
  -o FILE         Replace FILE as a whole, by rename and with mode 0644, instead of
                  printing. The collector reads files whose names end in .prom.
  -every DURATION With -o: do it again and again, 30s for example, until SIGTERM or
                  Ctrl-C. An error is told on stderr, FILE stays as it is, and the
                  next round comes all the same.
  -json           The same facts as the status command's JSON.

EXIT STATUS
  0; 1 when the records cannot be read or there are none of a plugin: nothing is
  written then; 2 for a wrong call.

EXAMPLE
  nomad-driver-lsdyna metrics -every 30s \
      -o /var/lib/prometheus/node-exporter/lsdyna.prom
`

// metricsCall is a call of metrics.
type metricsCall struct {
	file   string
	every  time.Duration
	asJSON bool
}

func runMetrics(ctx context.Context, args []string, s streams) error {
	fs := newFlags("metrics")
	agent, newReader := readerFlags(fs)
	var call metricsCall
	fs.StringVar(&call.file, "o", "", "")
	fs.StringVar(&call.file, "textfile", "", "") // as -o was called before 0.1.0
	fs.DurationVar(&call.every, "every", 0, "")
	fs.BoolVar(&call.asJSON, "json", false, "")
	if err := parseOnly(fs, args); err != nil {
		return err
	}
	if err := call.check(); err != nil {
		return err
	}
	r, err := newReader()
	if err != nil {
		return err
	}
	defer r.Close()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if call.every == 0 {
		return call.once(ctx, r, s)
	}
	ticker := time.NewTicker(call.every)
	defer ticker.Stop()
	tell := func(text string) { fmt.Fprintf(s.err, "%s metrics: %s\n", program, screen.Clean(text)) }
	// What is told beside the metrics, of a record that cannot be read for example, is
	// told by the first round only: who reads a log does not want it every 30 seconds.
	round := s
	exposition.Repeat(ctx, ticker.C, func(ctx context.Context) error {
		defer func() { round.err = io.Discard }()
		r.StateDir = agent.Dir() // which the plugin may tell after this began, at boot for example
		return call.once(ctx, r, round)
	}, tell)
	return nil
}

func (c *metricsCall) check() error {
	switch {
	case c.file != "" && c.asJSON:
		return usagef("give -o or -json, not both")
	case isSpecial(c.file):
		return usagef("-o %s is no regular file, and would be replaced by one; without -o the metrics are printed", c.file)
	case c.every != 0 && c.file == "":
		return usagef("-every goes with -o FILE, which is replaced each time")
	case c.every != 0 && c.every < time.Second:
		return usagef("-every %s: give 1s or more", c.every)
	}
	return nil
}

// once reads the state and writes it. Nothing is written where it cannot be read, or was
// read after the end of ctx.
func (c *metricsCall) once(ctx context.Context, r *node.Reader, s streams) error {
	state, err := r.State(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	for _, note := range state.Notes {
		fmt.Fprintf(s.err, "%s metrics: %s\n", program, screen.Clean(note))
	}
	if c.asJSON {
		return writeJSON(s.out, state.Report())
	}
	registry := prometheus.NewRegistry()
	vectors.Set(registry, state.Report())
	vectors.SetSource(registry, findVersion().Version, state.Now)
	if totals, err := history.ReadTotals(r.StateDir); err == nil {
		vectors.SetTotals(registry, totals)
	} else {
		fmt.Fprintf(s.err, "%s metrics: the counters of runs that have ended are left out: %s\n", program, screen.Clean(err.Error()))
	}
	if c.file == "" {
		return exposition.Write(s.out, registry)
	}
	if err := exposition.WriteFile(c.file, registry); err != nil {
		return fmt.Errorf("write %s: %w", c.file, err)
	}
	return nil
}
