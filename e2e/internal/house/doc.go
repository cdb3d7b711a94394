// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package house holds the tests of the repository itself: which package may
// import which, that each file names its licence, that nothing depends on a path
// of one machine. `make check` runs them; they only read.
package house
