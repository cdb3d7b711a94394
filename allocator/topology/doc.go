// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package topology reads from sysfs what a machine is made of: packages, dies, NUMA
// nodes, L3 caches, physical cores and hardware threads, which cores are efficiency
// cores, and which CPUs are kept from the scheduler.
//
// Discover reads below the sysfs root it is given, so that a captured tree is read
// as the live machine is, and asks gopsutil (/proc/cpuinfo) for a second opinion on
// the live machine. It writes nothing. Kernels and virtual machines leave files out:
// what is missing is filled in, with a warning, and never a failure.
//
// The names are the kernel's: a CPU is a logical CPU, a core is a physical core
// with one or more CPUs (its SMT siblings), a package is a socket.
// Sources: https://docs.kernel.org/admin-guide/cputopology.html,
// https://docs.kernel.org/ABI/stable/sysfs-devices-node.html.
package topology
