// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package glstat reads LS-DYNA's global statistics: energies, energy ratio, added mass
// and time step over the problem time. They are in the ASCII file glstat
// (*DATABASE_GLSTAT), and in the same form in the d3hsp of runs whose glstat is binary
// (binout), which is not read here. It touches no file.
//
// A [Reader] takes the bytes of such a file in pieces of any size, and keeps a bounded
// number of [Sample]s, whatever the file's length.
package glstat
