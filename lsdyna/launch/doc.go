// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package launch builds the command that runs LS-DYNA: the solver's arguments,
// its environment, the launcher of an MPI build with the CPUs of every rank, and
// the memory of each rank in words. It is pure: it names the files that the
// command needs in the run folder, and writes none.
package launch
