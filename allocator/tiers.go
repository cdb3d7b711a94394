// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package allocator

// tiersOf sorts the units into the classes a job may be placed on. A job gets
// one kind of core: a solver's threads wait for each other at every time step,
// so a mix runs as slowly as its slowest core. In isolate mode whole cores come
// first; a core with a sibling that is online but not managed (an operator who
// lists one thread of each core, a thread kept for the system) is given out
// where nothing better is left, because who runs on that sibling is unknown.
func (g *grid) tiersOf(opts Options) {
	var whole, kind [2]bitmap // by Kind; whole is a part of kind
	var all bitmap
	for i, u := range g.units {
		cpu := g.cpu(u)
		kind[cpu.Kind].set(i)
		if !opts.isolate() || cpu.Siblings == u.held {
			whole[cpu.Kind].set(i)
		}
		all.set(i)
	}
	const (
		partial = "on some cores a sibling thread is not this driver's"
		slow    = "efficiency cores, because too few performance cores are free"
		mixed   = "performance and efficiency cores mixed, because neither kind has enough free"
	)
	g.addTier(whole[Performance], "")
	g.addTier(kind[Performance], partial)
	g.addTier(whole[Efficiency], slow)
	g.addTier(kind[Efficiency], slow+"; "+partial)
	g.addTier(all, mixed)
}

// addTier appends a class unless it is empty or the last one again.
func (g *grid) addTier(mask bitmap, note string) {
	if mask == (bitmap{}) || len(g.tiers) > 0 && g.tiers[len(g.tiers)-1].mask == mask {
		return
	}
	g.tiers = append(g.tiers, tier{mask: mask, note: note})
}
