// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package lsdyna knows LS-DYNA and nothing else: how its command line is built,
// what its run folder holds, what its outputs say, how it is asked to stop, and
// which outcome a run had. It knows nothing of Nomad and controls no process;
// the one program it may run is lstc_qrun, the licence server's own query tool.
//
// # What it may touch
//
// Files in a run folder belong to an untrusted user. They are reached only
// through a [RunFolder]: never across a symbolic link, never a FIFO, socket,
// device or directory, never more of a file at a time than a fixed buffer; only
// the deck may be reached through links, as long as they stay in the folder.
// What is written there is few and new: the sense switch in d3kil, the files of
// a [Command], the run's record, and the file for the solver's stdout. Each is
// made under a name that is not there, given to the task's user, and renamed.
//
// # How a run flows through it
//
//	solver.Validate()                     the operator's part
//	folder, _ := OpenRunFolder(base, rel) the task's part
//	old, _ := folder.Snapshot()           outputs of earlier runs
//	cmd, _ := CommandLine(solver, opts)   what to execute
//	f := NewFollower(folder, …)           f.Poll() every second
//	Decide(snapshot, exit)                the verdict, never success on doubt
//
// [Inspect] does the reading half of it for any folder or file.
package lsdyna
