// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package grid decides which free cores a job gets. It knows the machine and which
// cores are free; who owns the others is package allocator's.
//
// # Units and the tree
//
// A unit is what is given out: a physical core, or a logical CPU where siblings are
// shared. Units are numbered in the order of the machine's tree, so that each domain
// (package, NUMA node, L3 cache) is a range of units, and a set of free units is a
// Bitmap in which a domain's free units are counted by popcount.
//
// The tree has three levels: packages, middle domains, leaves. A leaf is the set of
// units that have package, NUMA node and L3 cache in common. On most machines the
// middle domain is the NUMA node and the leaf the cache. Where a cache spans several
// nodes (sub-NUMA clustering) it is the other way round (nodeFirst is false), and
// where a node spans packages the middle domain is the node's part of a package.
//
// # Tiers
//
// A job's threads wait for each other at every time step, so a job gets one kind of
// core. A tier is a class of units that a job may be placed on as a whole; New
// orders them by preference (see buildTiers). Place takes the first tier with enough
// free units. Beside a tier may stand its part without timer tick (nohz_full): it is
// taken where a job spans no more domains there.
//
// # Free units
//
// Free keeps the free units and, for each tier, how many there are in every domain.
// When units are taken or given back, only the leaves that they lie in are counted
// again. A decision begins with these sums.
//
// # Pack
//
// The selection of n units that spans the fewest packages, then nodes, then L3
// caches, is found from above:
//
//  1. k is the least number of packages that have n free units together. Each
//     subset of k packages with enough of them is tried (subset); where there are
//     too many subsets (searchBudget) only the k packages with most free units.
//  2. In each of those the middle domains are chosen in the same way.
//  3. In those the fewest leaves are the fullest ones (greedy). Leaves with the same
//     number of free units are equal, so classes of leaves are counted, not leaves.
//  4. The chosen leaves usually have more than n free units. As long as this surplus
//     allows, a chosen leaf is exchanged for one with fewer free units (tighten):
//     the number of leaves stays, and large holes stay large.
//  5. The selection is compared with the best one so far (evaluate): first by what it
//     spans, then by the score of what stays free (see scoring).
//
// Subsets that cannot be better than the best so far are left out: a subset of more
// nodes, or of as many nodes and more caches.
//
// Where a leaf is a NUMA node the second and third steps differ: the fewest leaves
// come before the fewest middle domains, so the number of middle domains grows from
// its least until the fewest leaves are reached (tryPackages).
//
// # Scatter
//
// The n units are spread evenly over the NUMA nodes, and those of each node over its
// leaves (spread). A domain that has too few gives all it has.
//
// # Threads
//
// The leaves chosen, collect takes their lowest units. Where a core has several
// units, first whole cores, then the rest of cores that are in use already, so that
// two jobs seldom share a core.
//
// # Cost
//
// A decision allocates nothing: its working space is a part of the Grid (scratch).
// It takes about one microsecond on 1024 CPUs, see BenchmarkDecision. A Grid and its
// Free values have no lock of their own: they belong to one allocator and are used
// under its lock.
package grid
