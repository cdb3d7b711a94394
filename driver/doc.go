// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package driver is the Nomad task driver: its RPCs, its fingerprint, and how a
// task is started and found again. It orchestrates and does nothing itself: LS-DYNA
// is package lsdyna's, cores are package allocator's, processes are package
// supervisor's, records are package state's.
//
// A start and its recovery are lists of the same steps, in start.go and recover.go.
// What happens to a run between them and its end is in internal/task, where it runs
// in internal/placement, what is told of it in internal/events, and what the two
// configuration blocks say in internal/settings.
package driver
