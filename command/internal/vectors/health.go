// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package vectors

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/health"
)

// healthVectors are the metrics of how the runs of tasks do.
type healthVectors struct {
	quiet, ratio, hourglass, mass, step, largestStep *prometheus.GaugeVec
	warnings                                         *prometheus.CounterVec
}

// gaugeMaker makes a gauge with the labels given.
type gaugeMaker func(name, help string, labels ...string) *prometheus.GaugeVec

func newHealthVectors(gauge gaugeMaker, warnings *prometheus.CounterVec) healthVectors {
	return healthVectors{
		quiet:       gauge("task_quiet_seconds", "Time since something was written to the outputs of a run that solves.", taskLabels...),
		ratio:       gauge("task_energy_ratio", "Total energy by initial energy and external work.", taskLabels...),
		hourglass:   gauge("task_hourglass_ratio", "Hourglass energy by the largest internal energy up to now.", taskLabels...),
		mass:        gauge("task_added_mass_ratio", "Mass added by mass scaling, by the physical mass.", taskLabels...),
		step:        gauge("task_time_step", "Time step, in the deck's unit of time.", taskLabels...),
		largestStep: gauge("task_largest_time_step", "Largest time step up to now, in the deck's unit of time.", taskLabels...),
		warnings:    warnings,
	}
}

// set sets the series of a task; h is nil where nothing is known.
func (v *healthVectors) set(h *health.Health, labels []string) {
	if h == nil {
		return
	}
	setKnown(v.quiet, labels, h.Quiet)
	setKnown(v.ratio, labels, h.Ratio)
	setKnown(v.hourglass, labels, part(h.HourglassPercent))
	setKnown(v.mass, labels, part(h.MassPercent))
	setKnown(v.step, labels, h.Dt)
	setKnown(v.largestStep, labels, h.LargestDt)
	for _, kind := range h.Kinds {
		addKnown(v.warnings, append([]string{strconv.Itoa(kind.Code)}, labels...), &kind.Count)
	}
}

// part makes a part of one of a percentage.
func part(percent *float64) *float64 {
	if percent == nil {
		return nil
	}
	v := *percent / 100
	return &v
}
