// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package placement decides where the processes of each run execute, and keeps
// the kernel in line with that: cores, CPU affinity, cpuset and NUMA memory.
//
// Cores holds what concerns the whole machine: the allocator, the cores that Nomad
// has reserved beside it, and one Binder for each run that lives. A Binder is the
// only one that moves the processes of its run. The allocator is reached through
// this package alone, so a lease and the affinity that goes with it change together.
//
// A start calls, in this order, NewBinder, AwaitLease, LaunchPlacement, PrepareSpec, and
// after the launch Attach; Expect as soon as it knows how many cores it wants. A recovery
// calls NewBinder and Adopt, for all runs Settle, and, when Nomad hands over a handle,
// AttachByPIDFile or AttachByDriverState. Both end with Release.
// Reevaluate repeats, for as long as the driver lives, what nobody announces: a
// reservation, a CPU that goes offline, cores that have become free for a run without
// any, an affinity that somebody changed.
//
// # Locks
//
// Cores.mu and Binder.mu are never held together, and no two Binders are locked at
// once. The allocator has its own lock, which may be taken under either. Run.Report
// is called without any of them. Under a Binder's lock there are system calls on
// /proc, on cgroups and on the run's record; none on a run folder, which may hang.
// What may take minutes, moving memory, is done without a lock in a goroutine that
// Cores.Close waits for.
package placement
