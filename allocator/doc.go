// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package allocator knows who owns which core.
//
// An Allocator gives out leases on the cores it manages: pairwise disjoint, of
// exactly the size asked for, placed so that a job spans as few packages, NUMA nodes
// and L3 caches as the free cores allow, or spread evenly where that is wanted. What
// the machine is made of is read by package topology; where a job is placed is decided
// by internal/grid, whose page explains how.
//
// An Allocator is memory only: it writes no kernel file, sets no affinity, keeps no
// file of its own, and knows neither Nomad nor LS-DYNA. Owners are opaque strings.
//
// The names are the kernel's: a CPU is a logical CPU, a core is a physical core
// with one or more CPUs (its SMT siblings), a package is a socket.
package allocator
