// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// results are what was measured, in seconds and bytes.
type results struct {
	start              map[driver][]float64
	memory             map[driver][]float64
	launch, launchPeer []float64
	plugin             float64 // our plugin's process
	recovery           map[driver]recovery
	load               map[driver]load
}

func newResults() results {
	return results{start: map[driver][]float64{}, memory: map[driver][]float64{}, recovery: map[driver]recovery{}, load: map[driver]load{}}
}

// median is not disturbed by what else the machine did for a moment. NaN of none.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// A row is one thing measured of both drivers.
type row struct {
	name       string
	ours, them []float64
	unit       string
	scale      float64 // from seconds or bytes to the unit
	aim        float64 // the ratio to stay below, 0 for none
}

func (r row) ratio() float64 { return median(r.ours) / median(r.them) }

func (r row) ratioText() string {
	if median(r.them) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", r.ratio())
}

// verdict says whether the aim was met.
func (r row) verdict() string {
	switch {
	case r.aim == 0:
		return ""
	case r.ratio() <= r.aim:
		return fmt.Sprintf("aim ≤ %.1f: met", r.aim)
	}
	return fmt.Sprintf("aim ≤ %.1f: missed", r.aim)
}

const (
	milliseconds = 1e3
	mebibytes    = 1.0 / (1 << 20)
	percent      = 1e2
)

func (r results) rows(p plan) []row {
	tasks := p.tasks
	a, b := r.recovery[ours], r.recovery[rawExec]
	return append([]row{
		{"launch on two nodes, beside mpirun alone", r.launch, r.launchPeer, "ms", milliseconds, 1.2},
		{"start: StartTask to the solver's first instruction", r.start[ours], r.start[rawExec], "ms", milliseconds, 0.5},
		{fmt.Sprintf("memory beside a solver, %d tasks run", memoryTasks), r.memory[ours], r.memory[rawExec], "MiB", mebibytes, 0.2},
		{fmt.Sprintf("recovery of %d tasks: the drivers' work", tasks), a.driver, b.driver, "ms", milliseconds, 0.5},
		{fmt.Sprintf("recovery of %d tasks: the client's whole start", tasks), a.whole, b.whole, "ms", milliseconds, 0},
	}, r.loadRows(p.load)...)
}

func (r results) loadRows(tasks int) []row {
	a, b := r.load[ours], r.load[rawExec]
	of := func(name string, ours, them float64, unit string, scale float64) row {
		row := row{name: fmt.Sprintf("%d tasks at once: %s", tasks, name), unit: unit, scale: scale}
		if ours > 0 || them > 0 { // processes at rest may take no CPU at all
			row.ours, row.them = []float64{ours}, []float64{them}
		}
		return row
	}
	return []row{
		of("start", a.start, b.start, "s", 1),
		of("recovery", a.recovery, b.recovery, "s", 1),
		of("stop", a.stop, b.stop, "s", 1),
		of("CPU at rest, of a core", a.cpu, b.cpu, "%", percent),
		of("memory at rest", a.memory, b.memory, "MiB", mebibytes),
	}
}

// print writes the table.
func (r results) print(w io.Writer, p plan) error {
	var errs []error
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		errs = append(errs, err)
	}
	line("%-52s %11s %11s %7s", "median", "lsdyna", "raw_exec", "ratio")
	for _, row := range r.rows(p) {
		if len(row.ours) == 0 || len(row.them) == 0 {
			line("%-52s not measured", row.name)
			continue
		}
		line("%-52s %7.2f %-3s %7.2f %-3s %7s  %s", row.name, median(row.ours)*row.scale, row.unit, median(row.them)*row.scale, row.unit, row.ratioText(), row.verdict())
		if len(row.ours) == 1 && len(row.them) == 1 {
			continue
		}
		line("%-52s %11s %11s", fmt.Sprintf("    smallest to largest of %d", len(row.ours)), spread(row.ours, row.scale), spread(row.them, row.scale))
	}
	if b := r.recovery[rawExec]; len(b.whole) > 0 {
		nomad := median(b.whole) - median(b.driver)
		line("The rest of the client's start is Nomad's own: with a driver that takes no time the last ratio would be %.3f.", nomad/median(b.whole))
	}
	if r.plugin > 0 {
		line("lsdyna's plugin process, one on a node however many tasks run: %.1f MiB (raw_exec is part of Nomad's client).", r.plugin*mebibytes)
	}
	return errors.Join(errs...)
}

func spread(values []float64, scale float64) string {
	if len(values) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f-%.1f", slices.Min(values)*scale, slices.Max(values)*scale)
}
