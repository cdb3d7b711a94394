// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package output reads what LS-DYNA prints. A [Reader] turns the bytes of one
// output file into [Facts], [Combine] makes one [Snapshot] of the facts of all
// files of a run, [Decide] gives the verdict on it, and an [eta.Estimator] tells how
// long the run will still take.
//
// The package opens no file: its callers feed it bytes, each once, in pieces of
// any size. Whatever the bytes are, it keeps a bounded amount of them.
package output
