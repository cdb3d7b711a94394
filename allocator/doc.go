// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package allocator knows the machine's topology and who owns which core.
//
// Discover reads packages, dies, NUMA nodes, L3 caches, physical cores and
// hardware threads from a sysfs tree. An Allocator hands out leases on the
// cores it manages: pairwise disjoint, of exactly the size asked for, placed so
// that a job spans as few packages, NUMA nodes and L3 caches as the free cores
// allow, or spread evenly where that is wanted.
//
// The room reads below the sysfs root it is given (and /proc/cpuinfo through
// gopsutil for the live machine) and touches nothing else: it writes no kernel
// file, sets no affinity, keeps no file of its own, and knows neither Nomad nor
// LS-DYNA. Owners are opaque strings.
//
// The words are the kernel's: a CPU is a logical CPU, a core is a physical core
// with one or more CPUs (its SMT siblings), a package is a socket.
// Sources: https://docs.kernel.org/admin-guide/cputopology.html,
// https://docs.kernel.org/ABI/stable/sysfs-devices-node.html.
package allocator
