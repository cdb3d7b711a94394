// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package lsdyna names what LS-DYNA names: its builds, the solver that an
// operator declares, the files it reads and writes, the sense switches it takes.
// It is pure: it touches no file and no process, and knows nothing of Nomad.
//
// What is done with these names is in the packages below it:
//
//   - launch builds the command of a run: arguments, environment, the CPUs of
//     each MPI rank, memory in words
//   - output reads what the solver prints: facts, phase, remaining time, verdict
//   - license says where licences come from, and asks the licence server
//   - rundir is the run folder, the only one of them that touches files: with it
//     rundir/deck, which reads decks, rundir/ownership, which run has it, and
//     rundir/watch, the one that waits for it
//
// launch may use license, and rundir may use launch and output; nothing else
// goes between them. A run flows through them as follows:
//
//	solver.Validate()                         the operator's part
//	folder, _ := rundir.Open(base, rel)       the task's part
//	old, _ := folder.Snapshot(ctx, jobID)     outputs of earlier runs
//	cmd, _ := launch.Build(solver, options)   what to execute
//	watcher := watch.Start(…)                 watcher.View() at any time
//	output.Decide(snapshot, exit)             the verdict, never success on doubt
//
// watch.Inspect does the reading half of it for any folder or file.
package lsdyna
