// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

import "slices"

// tiersOf sorts the units into the classes a job may be placed on. A job gets
// one kind of core: a solver's threads wait for each other at every time step,
// so a mix runs as slowly as its slowest core. In isolate mode whole cores come
// first; a core with a sibling that is online but not managed (an operator who
// lists one thread of each core, a thread kept for the system) is given out
// where nothing better is left, because who runs on that sibling is unknown.
//
// CPUs that the operator isolated from the scheduler (isolcpus=) are managed only
// where they are meant for this (see Manageable). They come before others of their
// class, and a job has only such cores or none: on the others the scheduler moves
// foreign threads about, on these it does not move the job's own.
func (g *grid) tiersOf(opts Options) {
	var whole, kind [2]bitmap // by Kind; whole is a part of kind
	var all, isolated, tickless bitmap
	for i, u := range g.units {
		cpu := g.cpu(u)
		kind[cpu.Kind].set(i)
		if !opts.isolate() || cpu.Siblings == u.held {
			whole[cpu.Kind].set(i)
		}
		all.set(i)
		if u.held.SubsetOf(g.topo.Isolated) {
			isolated.set(i)
		}
		if u.held.SubsetOf(g.topo.NoHzFull) {
			tickless.set(i)
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
		{mask: whole[Performance]}, {mask: kind[Performance], note: partial},
		{mask: whole[Efficiency], note: slow}, {mask: kind[Efficiency], note: slow + "; " + partial},
		{mask: all, note: mixed},
	} {
		g.addTier(t.mask.and(&isolated), tickless, joinNotes(t.note, apart))
		g.addTier(t.mask.without(&isolated), tickless, t.note)
	}
	g.addTier(all, bitmap{}, both)
}

// addTier appends a class unless it is empty or there already. Beside it comes
// the part of it that has no timer tick while one thread runs (nohz_full=): a
// preference among placements that are equally good.
func (g *grid) addTier(mask, tickless bitmap, note string) {
	known := func(t tier) bool { return !t.part && t.mask == mask }
	if mask == (bitmap{}) || slices.ContainsFunc(g.tiers, known) {
		return
	}
	g.tiers = append(g.tiers, tier{mask: mask, note: note})
	if quiet := mask.and(&tickless); quiet != (bitmap{}) && quiet != mask {
		g.tiers[len(g.tiers)-1].quiet = len(g.tiers)
		g.tiers = append(g.tiers, tier{mask: quiet, part: true, note: joinNotes(note, "without timer tick (nohz_full)")})
	}
}

func joinNotes(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
