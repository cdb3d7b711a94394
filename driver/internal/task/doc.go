// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package task is the life of one run of a solver, from its start or its recovery
// until Nomad destroys it: its phases, its stop, its sense switches, what is told of
// it, and its end.
//
// A Handle is what Nomad calls a task handle. It joins five things that have owners
// of their own: the processes (package supervisor), the run folder
// (watch.Watcher), the cores (placement.Binder), the record (package state) and the
// task events (package events). Nothing in this package waits for a run folder
// without a deadline.
package task
