// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// openBinary opens d3plot and glstat on rank 0: anew, or where the dump was
// written.
func (r *run) openBinary() error {
	if r.ranks.Rank > 0 {
		return nil
	}
	var err error
	var size int64
	if r.dump != nil {
		size = r.dump.Glstat
		r.plot, err = resumeD3plot(r.prefix, r.id.wordBytes(), r.dump.Plot)
	} else {
		r.plot, err = createD3plot(r.prefix, r.id.wordBytes(), r.solve.Model)
	}
	if err != nil || r.plan.GlstatEvery <= 0 {
		return err
	}
	if r.glstat, err = openGrowing(r.prefix+"glstat", size); err == nil && r.glstat.size == 0 {
		err = r.glstat.write([]byte(glstatHead(r.solve.Model.Title, r.id)))
	}
	return err
}

// collect brings the state together on rank 0.
func (r *run) collect() error {
	return collect(r.ranks, &r.solve.Part, r.others, r.solve.State)
}

// plotState writes a state that is due, and sets when the next one is.
func (r *run) plotState() error {
	p := &r.plan
	for p.PlotEvery > 0 && p.NextPlot <= r.solve.State.Time {
		p.NextPlot += p.PlotEvery
	}
	return r.extraState()
}

// extraState writes a state now.
func (r *run) extraState() error {
	r.watch.lap(timeOther)
	if err := r.collect(); err != nil {
		return err
	}
	if r.ranks.Rank == 0 {
		if err := r.plot.state(r.solve.Model, r.solve.State, r.solve.Energies()); err != nil {
			return err
		}
	}
	r.watch.lap(timeBinary)
	r.event("write d3plot file")
	return nil
}

// statistics adds a record to glstat.
func (r *run) statistics() error {
	p, s, m := &r.plan, r.solve.State, r.solve.Model
	for p.NextGlstat <= s.Time {
		p.NextGlstat += p.GlstatEvery
	}
	if err := r.collect(); err != nil || r.ranks.Rank > 0 {
		return err
	}
	var kind uint8
	element := 0
	if slow := m.Smallest(s.X, 1); len(slow) > 0 {
		kind, element = slow[0].Kind, slow[0].ID
	}
	r.watch.lap(timeOther)
	if r.hushed() {
		return nil
	}
	wrong := unsound{drift: 1 + float64(r.faults.past("energy_drift", s.Cycle))/100, percent: r.faults.number("added_mass", 0)}
	err := r.glstat.write([]byte(glstatRecord(s.Cycle+1, s.Time, r.step(), kind, element, r.solve.Energies(), p.Initial, wrong)))
	r.watch.lap(timeASCII)
	return err
}

// writeDump writes a restart file: the next d3dumpNN, or the one named.
func (r *run) writeDump(name string) error {
	if r.args.NoDump && name == "" {
		return nil
	}
	r.watch.lap(timeOther)
	if name == "" {
		r.plan.Dumps++
		name = fmt.Sprintf("d3dump%02d", r.plan.Dumps)
	}
	d := &Dump{
		Parallel: r.id.Parallel, Precision: r.id.Precision, Ranks: r.ranks.Size,
		Model: r.solve.Model, State: r.solve.State, Plan: r.plan,
	}
	if r.plot != nil {
		d.Plot = r.plot.at
	}
	if r.glstat != nil {
		d.Glstat = r.glstat.size
	}
	b, err := d.encode()
	if err != nil {
		return err
	}
	path := dumpName(r.prefix+name, r.id, r.ranks.Rank)
	if r.faults.has("truncate_dump") {
		r.dieInDump(path, b[:len(b)/2])
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("write restart file: %w", err)
	}
	r.watch.lap(timeBinary)
	r.event("write " + name + " file")
	return nil
}

// writeDynain writes the deformed nodes as a deck to include.
func (r *run) writeDynain() error {
	if err := r.collect(); err != nil || r.ranks.Rank > 0 {
		return err
	}
	var b strings.Builder
	b.WriteString("*KEYWORD\n*NODE\n")
	m, s := r.solve.Model, r.solve.State
	for n, id := range m.NodeIDs {
		fmt.Fprintf(&b, "%8d%16.8e%16.8e%16.8e\n", id, s.X[3*n], s.X[3*n+1], s.X[3*n+2])
	}
	b.WriteString("*END\n")
	if err := os.WriteFile(r.prefix+"dynain", []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write dynain: %w", err)
	}
	r.event("write dynain file")
	return nil
}

// writeStatus keeps status.out up to date. Its form in LS-DYNA is not known;
// this one holds the last progress and the estimate.
func (r *run) writeStatus() {
	if r.ranks.Rank > 0 || r.solve == nil {
		return
	}
	s := r.solve.State
	text := fmt.Sprintf(" %s\n%s\n%s", r.solve.Model.Title,
		progressLine(s.Cycle+1, s.Time, r.step(), "status", r.list.stamp()),
		estimate(cpuTime(), time.Since(r.watch.start), r.fraction()))
	if err := os.WriteFile(r.prefix+"status.out", []byte(text), 0o644); err != nil {
		fmt.Fprintln(r.stderr, "stand-in solver:", err)
	}
}
