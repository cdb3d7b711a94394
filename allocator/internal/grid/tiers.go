// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package grid

import (
	"slices"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
)

// tier is a class of units a job may be placed on as a whole.
type tier struct {
	mask     Bitmap
	note     string // for Facts, "" where there is nothing to say
	tickless int    // index of the tier that is the part of this one without timer tick, 0 for none

	ticklessPart bool // it is such a part
}

// buildTiers sorts the units into the classes a job may be placed on. A job gets
// one kind of core: a solver's threads wait for each other at every time step,
// so a mix runs as slowly as its slowest core. In isolate mode whole cores come
// first; a core with a sibling that is online but not managed (an operator who
// lists one thread of each core, a thread kept for the system) is given out
// where nothing better is left, because who runs on that sibling is unknown.
//
// CPUs that the operator isolated from the scheduler (isolcpus=) are managed only
// where they are meant for this (see topology.Topology.Manageable). They come before others of their
// class, and a job has only such cores or none: on the others the scheduler moves
// foreign threads around, on these it does not move the job's own.
func (g *Grid) buildTiers() {
	var whole, kind [2]Bitmap // by Kind; whole is a part of kind
	var all, isolated, tickless Bitmap
	for i, u := range g.units {
		cpu := g.cpu(u)
		kind[cpu.Kind].Set(i)
		if !g.opts.WholeCores || cpu.Siblings == u.Held {
			whole[cpu.Kind].Set(i)
		}
		all.Set(i)
		if u.Held.SubsetOf(g.topo.Isolated) {
			isolated.Set(i)
		}
		if u.Held.SubsetOf(g.topo.NoHzFull) {
			tickless.Set(i)
		}
	}
	const (
		partial = "on some cores a sibling thread is not this driver's"
		slow    = "efficiency cores, because too few performance cores are free"
		mixed   = "performance and efficiency cores mixed, because neither kind has enough free"
		apart   = "isolated from the scheduler (isolcpus)"
		both    = "isolated cores (isolcpus) and others mixed, because neither has enough free"
	)
	for _, t := range []tier{
		{mask: whole[topology.Performance]},
		{mask: kind[topology.Performance], note: partial},
		{mask: whole[topology.Efficiency], note: slow},
		{mask: kind[topology.Efficiency], note: slow + "; " + partial},
		{mask: all, note: mixed},
	} {
		g.addTier(t.mask.And(&isolated), tickless, joinNotes(t.note, apart))
		g.addTier(t.mask.without(&isolated), tickless, t.note)
	}
	g.addTier(all, Bitmap{}, both)
}

// addTier appends a class unless it is empty or there already. Beside it comes
// the part of it that has no timer tick while one thread runs (nohz_full=): a
// preference among placements that are equally good.
func (g *Grid) addTier(mask, tickless Bitmap, note string) {
	known := func(t tier) bool { return !t.ticklessPart && t.mask == mask }
	if mask == (Bitmap{}) || slices.ContainsFunc(g.tiers, known) {
		return
	}
	g.tiers = append(g.tiers, tier{mask: mask, note: note})
	if quiet := mask.And(&tickless); quiet != (Bitmap{}) && quiet != mask {
		g.tiers[len(g.tiers)-1].tickless = len(g.tiers)
		g.tiers = append(g.tiers, tier{mask: quiet, ticklessPart: true, note: joinNotes(note, "without timer tick (nohz_full)")})
	}
}

func joinNotes(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
