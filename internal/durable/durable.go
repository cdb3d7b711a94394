// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package durable is how records are kept on disk: files that are replaced whole,
// read within bounds, and locked. It also names the files of one run's record.
//
// The supervisor links it, and its memory counts once per task. So the package
// imports nothing but errors, fmt, os and syscall and what those need anyway.
package durable

// The files of one run's record, the folder tasks/<alloc id>/<task>/<invocation>
// below state_dir. Supervisor and plugin of different versions share them: the
// names never change.
const (
	PIDFile  = "pid"            // which process, on which cores: package pidfile
	SpecFile = "spec.json"      // what the supervisor was told to run: package shim
	ExitFile = "exit.json"      // how the solver ended: package shim
	TaskFile = "task.json"      // what the plugin knows of the run: package state
	StopFile = "stop.json"      // a stop that was begun: package state
	LockFile = "lock"           // held for as long as a process of the run may live
	LogFile  = "supervisor.log" // what the supervisor had to say

	UnclaimedFile = "unclaimed.json" // Nomad has not asked for the run: package state
	WatchFile     = "watch.json"     // what was told of the run's health: package state
	SwitchesFile  = "switches.json"  // sense switches that wait, or whose effect is waited for: package state

	RecoveriesFile = "recoveries.json" // how often a plugin has taken the run up again: package state
)

// EndMark is what a supervisor writes to the lock file of its run folder when the run
// is over; the run is named by its task id. Supervisors and plugins of different
// versions, on different nodes, share it: it never changes.
func EndMark(run string) string { return EndMarkPrefix + run + "\n" }

// EndMarkPrefix begins an EndMark.
const EndMarkPrefix = "ended "
