// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package vectors

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/past"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/state/history"
)

// SetTotals sets the counters of the runs that have ended in a registry, which has none
// of them yet. Each outcome has its series from the beginning: a rate needs the zero
// before the first.
func SetTotals(registry prometheus.Registerer, totals history.Totals) {
	auto := promauto.With(registry)
	counter := func(name, help string) *prometheus.CounterVec {
		return auto.NewCounterVec(prometheus.CounterOpts{Namespace: metricsNamespace, Name: name, Help: help}, []string{"outcome"})
	}
	runs := counter("runs_total", "Runs that have ended on this node.")
	seconds := counter("core_seconds_total", "Cores times wall time of the runs that have ended on this node, in seconds.")
	for _, outcome := range past.Outcomes() {
		runs.WithLabelValues(outcome)
		seconds.WithLabelValues(outcome)
	}
	for outcome, t := range totals.Outcomes {
		runs.WithLabelValues(valid(outcome)).Add(float64(max(t.Runs, 0)))
		seconds.WithLabelValues(valid(outcome)).Add(max(t.CoreSeconds, 0))
	}
}
