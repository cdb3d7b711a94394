// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

const metricsHelp = `USAGE
  nomad-driver-lsdyna metrics [-state-dir DIR] [-smt isolate|share]
      [-usable LIST] [-sysfs DIR] [-json]

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
    lsdyna_task_progress_ratio            problem time of end time, 0 to 1
    lsdyna_task_problem_time, lsdyna_task_problem_end_time
                                          in the deck's own unit of time
    lsdyna_task_cycles_total, lsdyna_task_errors_total, lsdyna_task_warnings_total
    lsdyna_task_elapsed_seconds           since the start
    lsdyna_task_eta_seconds               estimate of the time left
    lsdyna_task_exit_code                 of tasks that have ended

  A series that is not known is left out.

OPTIONS
  -state-dir DIR  The agent's state_dir (/var/lib/nomad-driver-lsdyna).
  -smt MODE       The agent's cores.smt; see status.
  -usable LIST    The agent's cores.usable; see status.
  -sysfs DIR      A captured machine instead of /sys.
  -json           The same facts as the status command's JSON.

EXIT STATUS
  0; 1 when the records cannot be read: nothing is printed then; 2 for a wrong
  call.

EXAMPLE
  nomad-driver-lsdyna metrics > /var/lib/node_exporter/lsdyna.prom.tmp &&
    mv /var/lib/node_exporter/lsdyna.prom.tmp /var/lib/node_exporter/lsdyna.prom
`

func runMetrics(ctx context.Context, args []string, s streams) error {
	fs := newFlags("metrics")
	newReader := readerFlags(fs)
	asJSON := fs.Bool("json", false, "")
	if err := parseOnly(fs, args); err != nil {
		return err
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
	data, err := encodeMetrics(state.Report())
	if err != nil {
		return err
	}
	return write(s.out, string(data))
}

// encodeMetrics writes a report in Prometheus' text format.
func encodeMetrics(r node.Report) ([]byte, error) {
	m := newMeters()
	m.machine(r)
	for _, core := range r.Cores {
		m.core(core)
	}
	for _, task := range current(r.Tasks) {
		m.task(task)
	}
	families, err := m.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather metrics: %w", err)
	}
	var b bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&b, family); err != nil {
			return nil, fmt.Errorf("write metrics: %w", err)
		}
	}
	return b.Bytes(), nil
}

// current leaves one run of each task of an allocation: the live one, or the
// last. A restarted task's earlier runs would have the same labels.
func current(tasks []node.TaskReport) []node.TaskReport {
	type name struct{ alloc, task string }
	at := map[name]int{}
	var kept []node.TaskReport
	for _, t := range tasks { // the oldest first
		key := name{t.AllocID, t.Task}
		i, again := at[key]
		switch {
		case !again:
			at[key] = len(kept)
			kept = append(kept, t)
		case t.State != ended || kept[i].State == ended:
			kept[i] = t
		}
	}
	return kept
}

// ended is the state of tasks that are over.
var ended = supervisor.Ended.String()

// meters are the gauges of one report, in a registry of their own.
type meters struct {
	registry *prometheus.Registry
	vectors  map[string]*prometheus.GaugeVec
	counters map[string]*prometheus.CounterVec
}

func newMeters() *meters {
	return &meters{prometheus.NewRegistry(), map[string]*prometheus.GaugeVec{}, map[string]*prometheus.CounterVec{}}
}

// set sets a gauge; labels are names and values in turn.
func (m *meters) set(name, help string, value float64, labels ...string) {
	if m.vectors[name] == nil {
		names, _ := pairs(labels)
		m.vectors[name] = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "lsdyna", Name: name, Help: help}, names)
		m.registry.MustRegister(m.vectors[name])
	}
	_, values := pairs(labels)
	m.vectors[name].WithLabelValues(values...).Set(value)
}

// count sets a counter of something that the solver counts.
func (m *meters) count(name, help string, value *int64, labels ...string) {
	if value == nil || *value < 0 {
		return
	}
	if m.counters[name] == nil {
		names, _ := pairs(labels)
		m.counters[name] = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "lsdyna", Name: name, Help: help}, names)
		m.registry.MustRegister(m.counters[name])
	}
	_, values := pairs(labels)
	m.counters[name].WithLabelValues(values...).Add(float64(*value))
}

// setKnown is set for a value that may not be known.
func (m *meters) setKnown(name, help string, value *float64, labels ...string) {
	if value != nil {
		m.set(name, help, *value, labels...)
	}
}

func pairs(labels []string) (names, values []string) {
	for i := 0; i+1 < len(labels); i += 2 {
		names = append(names, labels[i])
		values = append(values, strings.ToValidUTF8(labels[i+1], "?"))
	}
	return names, values
}

func (m *meters) machine(r node.Report) {
	m.set("physical_cores", "Physical cores online.", float64(r.PhysicalCores))
	m.set("logical_cores", "Logical CPUs online.", float64(r.LogicalCores))
	m.set("hyper_threading_enabled", "1 where a core has more than one CPU online.", flag01(r.HyperThreading))
	m.set("available_cores", "Cores that a new task could get.", float64(r.AvailableCores))
}

func (m *meters) core(c node.CoreReport) {
	labels := []string{
		"cpu", strconv.Itoa(c.Index), "numa_node", strconv.Itoa(c.NUMANode), "package", strconv.Itoa(c.Package),
		"job", textOf(c.JobID), "alloc_id", textOf(c.AllocID), "task", textOf(c.Task),
	}
	m.set("core_allocated", "1 where a task has the CPU.", flag01(c.JobID != nil), labels...)
	m.set("core_idle_sibling", "1 where a task holds the CPU and leaves it idle.", flag01(c.Idle), labels...)
	m.set("core_reserved", "1 where Nomad reserved the CPU for a task of others.", flag01(c.Reserved), labels...)
	m.set("core_drift", "1 where a task may run on the CPU that does not own it.", flag01(c.Drift), labels...)
}

func (m *meters) task(t node.TaskReport) {
	labels := []string{"job", t.JobID, "alloc_id", t.AllocID, "task", t.Task}
	m.set("task_state", "1 for the state a task is in.", 1, append([]string{"state", t.State}, labels...)...)
	m.set("task_cores", "Cores the task is bound to; 0 without affinity.", float64(len(t.Cores)), labels...)
	m.set("task_drift", "1 where the kernel's affinity is not what the pid file says.", flag01(t.Drift), labels...)
	m.setKnown("task_elapsed_seconds", "Time since the start, to the end of tasks that have ended.", t.Elapsed, labels...)
	m.setKnown("task_start_timestamp_seconds", "When the task was started.", startOf(t), labels...)
	m.setKnown("task_progress_ratio", "Problem time as a part of the end time.", t.Progress, labels...)
	m.setKnown("task_problem_time", "Problem time, in the deck's unit of time.", t.Time, labels...)
	m.setKnown("task_problem_end_time", "End time, in the deck's unit of time.", t.EndTime, labels...)
	m.setKnown("task_eta_seconds", "Estimate of the wall time that is left.", t.ETA, labels...)
	m.count("task_cycles_total", "Cycles that the solver has done.", t.Cycle, labels...)
	m.count("task_errors_total", "Errors that the solver has printed.", t.Errors, labels...)
	m.count("task_warnings_total", "Warnings that the solver has printed.", t.Warnings, labels...)
	if t.Exit != nil {
		m.set("task_exit_code", "Exit code; 128 and the signal's number where a signal ended the task.", float64(t.Exit.Code), labels...)
	}
}

func startOf(t node.TaskReport) *float64 {
	if t.StartedAt == nil {
		return nil
	}
	at, err := time.Parse(time.RFC3339, *t.StartedAt)
	if err != nil {
		return nil
	}
	seconds := float64(at.Unix())
	return &seconds
}

func flag01(set bool) float64 {
	if set {
		return 1
	}
	return 0
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
