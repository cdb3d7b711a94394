// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package vectors is what the metrics command tells Prometheus: the series of a report
// and of the runs that have ended.
package vectors

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

// vectors are the metrics of one report. A series that is not set is left out.
type vectors struct {
	machineVectors
	coreVectors
	taskVectors
	nodesVectors
	solverVectors
	healthVectors
}

type machineVectors struct {
	physicalCores, logicalCores, availableCores, hyperThreading prometheus.Gauge
}

type coreVectors struct {
	allocated, idleSibling, reserved, drift, owner *prometheus.GaugeVec
}

type taskVectors struct {
	state, cores, drift, elapsed, start, exitCode *prometheus.GaugeVec
}

type nodesVectors struct {
	nodes, index, waits *prometheus.GaugeVec
}

type solverVectors struct {
	progress, time, endTime, eta, etaLow, etaHigh *prometheus.GaugeVec
	cycles, errors, warnings                      *prometheus.CounterVec
}

const metricsNamespace = "lsdyna"

// taskLabels name a task; values in this order are taskValues.
var taskLabels = []string{"job", "alloc_id", "task"}

func taskValues(job, alloc, task string) []string {
	return []string{valid(job), valid(alloc), valid(task)}
}

// valid makes a label's value of what users wrote.
func valid(text string) string { return strings.ToValidUTF8(text, "?") }

func newVectors(registry prometheus.Registerer) *vectors {
	auto := promauto.With(registry)
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return auto.NewGaugeVec(prometheus.GaugeOpts{Namespace: metricsNamespace, Name: name, Help: help}, labels)
	}
	single := func(name, help string) prometheus.Gauge {
		return auto.NewGauge(prometheus.GaugeOpts{Namespace: metricsNamespace, Name: name, Help: help})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return auto.NewCounterVec(prometheus.CounterOpts{Namespace: metricsNamespace, Name: name, Help: help}, append(labels, taskLabels...))
	}
	// Whose a CPU is stands in a series of its own: labels that come and go would make
	// another series of the CPU with each task, and empty ones for a free CPU.
	core := []string{"cpu", "numa_node", "package"}
	return &vectors{
		machineVectors{
			physicalCores:  single("physical_cores", "Physical cores online."),
			logicalCores:   single("logical_cores", "Logical CPUs online."),
			hyperThreading: single("hyper_threading_enabled", "1 where a core has more than one CPU online."),
			availableCores: single("available_cores", "Cores that a new task could get."),
		},
		coreVectors{
			allocated:   gauge("core_allocated", "1 where a task has the CPU.", core...),
			idleSibling: gauge("core_idle_sibling", "1 where a task holds the CPU and leaves it idle.", core...),
			reserved:    gauge("core_reserved", "1 where Nomad reserved the CPU for a task of others.", core...),
			drift:       gauge("core_drift", "1 where a task may run on the CPU that does not own it.", core...),
			owner:       gauge("task_core_info", "1 for each CPU that the task has, also where it leaves it idle.", append([]string{"cpu"}, taskLabels...)...),
		},
		taskVectors{
			state:    gauge("task_state", "1 for the state a task is in.", append([]string{"state"}, taskLabels...)...),
			cores:    gauge("task_cores", "Cores the task is bound to; 0 without affinity.", taskLabels...),
			drift:    gauge("task_drift", "1 where the kernel's affinity is not what the pid file says.", taskLabels...),
			elapsed:  gauge("task_elapsed_seconds", "Time since the start, to the end of tasks that have ended.", taskLabels...),
			start:    gauge("task_start_timestamp_seconds", "When the task was started.", taskLabels...),
			exitCode: gauge("task_exit_code", "Exit code; 128 and the signal's number where a signal ended the task.", taskLabels...),
		},
		nodesVectors{
			nodes: gauge("task_nodes", "Nomad clients that the task's run is on.", taskLabels...),
			index: gauge("task_node_index", "This node's number in the task's run, from 0, which leads.", taskLabels...),
			waits: gauge("task_waits_for_nodes", "1 where the task's run waits for other nodes.", taskLabels...),
		},
		solverVectors{
			progress: gauge("task_progress_ratio", "Problem time as a part of the end time.", taskLabels...),
			time:     gauge("task_problem_time", "Problem time, in the deck's unit of time.", taskLabels...),
			endTime:  gauge("task_problem_end_time", "End time, in the deck's unit of time.", taskLabels...),
			eta:      gauge("task_eta_seconds", "Estimate of the wall time that is left.", taskLabels...),
			etaLow:   gauge("task_eta_low_seconds", "Low end of the estimate: four of five runs end between it and the high one.", taskLabels...),
			etaHigh:  gauge("task_eta_high_seconds", "High end of the estimate.", taskLabels...),
			cycles:   counter("task_cycles_total", "Cycles that the solver has done."),
			errors:   counter("task_errors_total", "Errors that the solver has printed."),
			warnings: counter("task_warnings_total", "Warnings that the solver has printed."),
		},
		newHealthVectors(gauge, counter("task_warnings_by_code_total", "Warnings of the most frequent kinds, by LS-DYNA's number.", "code")),
	}
}

// Set sets the series of a report in a registry, which has none of them yet.
func Set(registry prometheus.Registerer, r node.Report) {
	newVectors(registry).set(r)
}

func (v *vectors) set(r node.Report) {
	v.physicalCores.Set(float64(r.PhysicalCores))
	v.logicalCores.Set(float64(r.LogicalCores))
	v.hyperThreading.Set(oneIf(r.HyperThreading))
	v.availableCores.Set(float64(r.AvailableCores))
	for i := range r.Cores {
		v.setCore(&r.Cores[i])
	}
	for _, t := range newestRuns(r.Tasks) {
		labels := taskValues(t.JobID, t.AllocID, t.Task)
		v.taskVectors.set(&t, labels)
		v.nodesVectors.set(&t.TaskNodes, labels)
		v.solverVectors.set(&t.TaskProgress, labels)
		v.healthVectors.set(t.Health, labels)
	}
}

func (v *coreVectors) setCore(c *node.CoreReport) {
	labels := []string{strconv.Itoa(c.Index), strconv.Itoa(c.NUMANode), strconv.Itoa(c.Package)}
	v.allocated.WithLabelValues(labels...).Set(oneIf(c.JobID != nil || c.Taken))
	v.idleSibling.WithLabelValues(labels...).Set(oneIf(c.Idle))
	v.reserved.WithLabelValues(labels...).Set(oneIf(c.Reserved))
	v.drift.WithLabelValues(labels...).Set(oneIf(c.Drift))
	if c.JobID != nil {
		owner := taskValues(*c.JobID, orEmpty(c.AllocID), orEmpty(c.Task))
		v.owner.WithLabelValues(append([]string{labels[0]}, owner...)...).Set(1)
	}
}

func (v *taskVectors) set(t *node.TaskReport, labels []string) {
	v.state.WithLabelValues(append([]string{t.State}, labels...)...).Set(1)
	v.cores.WithLabelValues(labels...).Set(float64(len(t.Cores)))
	v.drift.WithLabelValues(labels...).Set(oneIf(t.Drift))
	setKnown(v.elapsed, labels, t.Elapsed)
	if t.StartedAt != nil {
		if at, err := time.Parse(time.RFC3339, *t.StartedAt); err == nil {
			v.start.WithLabelValues(labels...).Set(float64(at.Unix()))
		}
	}
	if t.Exit != nil {
		v.exitCode.WithLabelValues(labels...).Set(float64(t.Exit.Code))
	}
}

func (v *nodesVectors) set(n *node.TaskNodes, labels []string) {
	index := 0
	if n.NodeIndex != nil {
		index = *n.NodeIndex
	}
	v.nodes.WithLabelValues(labels...).Set(float64(max(n.Nodes, 1)))
	v.index.WithLabelValues(labels...).Set(float64(index))
	v.waits.WithLabelValues(labels...).Set(oneIf(n.NodesWaiting))
}

func (v *solverVectors) set(p *node.TaskProgress, labels []string) {
	setKnown(v.progress, labels, p.Progress)
	setKnown(v.time, labels, p.Time)
	setKnown(v.endTime, labels, p.EndTime)
	setKnown(v.eta, labels, p.ETA)
	setKnown(v.etaLow, labels, p.ETALow)
	setKnown(v.etaHigh, labels, p.ETAHigh)
	addKnown(v.cycles, labels, p.Cycle)
	addKnown(v.errors, labels, p.Errors)
	addKnown(v.warnings, labels, p.Warnings)
}

func setKnown(v *prometheus.GaugeVec, labels []string, value *float64) {
	if value != nil {
		v.WithLabelValues(labels...).Set(*value)
	}
}

// addKnown sets a counter of something that the solver counts.
func addKnown(v *prometheus.CounterVec, labels []string, value *int64) {
	if value != nil && *value >= 0 {
		v.WithLabelValues(labels...).Add(float64(*value))
	}
}

// newestRuns leaves one run of each task of an allocation: the live one, or the
// last. A restarted task's earlier runs would have the same labels.
func newestRuns(tasks []node.TaskReport) []node.TaskReport {
	ended := supervisor.Ended.String()
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

func oneIf(set bool) float64 {
	if set {
		return 1
	}
	return 0
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
