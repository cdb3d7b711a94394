// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package driver is the Nomad task driver: its RPCs, its configuration, its
// fingerprint, events, statistics and exec. It orchestrates and does nothing
// itself: LS-DYNA is package lsdyna's, cores are package allocator's, processes
// are package supervisor's, records are package state's.
//
// A start and its recovery are lists of the same steps, in start.go and
// recover.go; what happens to a task between them and its end is in task.go.
package driver
