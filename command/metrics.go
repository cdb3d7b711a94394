// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/vectors"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

const metricsHelp = `USAGE
  nomad-driver-lsdyna metrics [-state-dir DIR] [-smt isolate|share]
      [-usable LIST] [-sysfs DIR] [-textfile FILE] [-json]

DESCRIPTION
  Prints what status shows in Prometheus' text format, for the textfile
  collector of a node exporter. Series of tasks have the labels job (the Nomad
  job's id), alloc_id and task; to keep the label job, the scrape configuration
  needs honor_labels: true.

    lsdyna_physical_cores, lsdyna_logical_cores, lsdyna_available_cores
    lsdyna_hyper_threading_enabled        1 or 0
    lsdyna_core_allocated                 by cpu, numa_node, package: 1 where a
                                          task has the CPU, 0 where it is free
    lsdyna_core_idle_sibling              ... 1 where the task leaves it idle
    lsdyna_core_reserved                  ... 1 where Nomad reserved it for others
    lsdyna_core_drift                     ... 1 where a task runs that does not own it
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

  A series that is not known is left out.

OPTIONS
  -state-dir DIR  The agent's state_dir (/var/lib/nomad-driver-lsdyna).
  -smt MODE       The agent's cores.smt; see status.
  -usable LIST    The agent's cores.usable; see status.
  -sysfs DIR      A captured machine instead of /sys.
  -textfile FILE  Replace FILE as a whole instead of printing. The collector reads
                  files whose names end in .prom.
  -json           The same facts as the status command's JSON.

EXIT STATUS
  0; 1 when the records cannot be read: nothing is written then; 2 for a wrong
  call.

EXAMPLE
  nomad-driver-lsdyna metrics -textfile /var/lib/node_exporter/lsdyna.prom
`

func runMetrics(ctx context.Context, args []string, s streams) error {
	fs := newFlags("metrics")
	newReader := readerFlags(fs)
	textfile := fs.String("textfile", "", "")
	asJSON := fs.Bool("json", false, "")
	if err := parseOnly(fs, args); err != nil {
		return err
	}
	switch {
	case *textfile != "" && *asJSON:
		return usagef("give -textfile or -json, not both")
	case isSpecial(*textfile):
		return usagef("-textfile %s is no regular file, and would be replaced by one; without -textfile the metrics are printed", *textfile)
	}
	r, err := newReader()
	if err != nil {
		return err
	}
	defer r.Close()
	state, err := r.State(ctx)
	if err != nil {
		return err
	}
	for _, note := range state.Notes {
		fmt.Fprintf(s.err, "%s metrics: %s\n", program, screen.Clean(note))
	}
	if *asJSON {
		return writeJSON(s.out, state.Report())
	}
	registry := prometheus.NewRegistry()
	vectors.Set(registry, state.Report())
	if totals, err := history.ReadTotals(r.StateDir); err == nil {
		vectors.SetTotals(registry, totals)
	} else {
		fmt.Fprintf(s.err, "%s metrics: the counters of runs that have ended are left out: %s\n", program, screen.Clean(err.Error()))
	}
	if *textfile != "" {
		if err := prometheus.WriteToTextfile(*textfile, registry); err != nil {
			return fmt.Errorf("write %s: %w", *textfile, err)
		}
		return nil
	}
	return writeMetrics(s.out, registry)
}

// writeMetrics writes metrics in Prometheus' text format.
func writeMetrics(w io.Writer, metrics prometheus.Gatherer) error {
	families, err := metrics.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}
