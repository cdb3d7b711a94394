// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package watch waits for run folders, so that nobody else has to: a file server may
// stop answering, and a thread that waits for it cannot be interrupted.
//
// A [Watcher] is the one goroutine that does things in a run's folder, always with the
// rights of the task's user ([Options.As]). It reads the outputs as they grow, sends
// sense switches and follows what comes of them, and holds the folder for the run
// (package ownership). [Inspect] reads a folder that no driver watches.
package watch
