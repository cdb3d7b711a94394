// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package state keeps what must survive the plugin, the Nomad client and the
// machine: the handle that Nomad stores for each task (its driver state), and
// the records of the tasks below the plugin's state_dir.
//
// A record is one folder, tasks/<alloc id>/<task>/<invocation>, that only root
// (or the agent's own user) may enter. The set of records is the state: there
// is no index that could disagree with it. Whoever starts a solver holds the
// flock of the record's `lock` file from before the start until the solver's
// whole tree is gone, so that "is it over?" never depends on a pid.
//
// The package touches nothing outside state_dir and knows neither Nomad's RPCs
// nor LS-DYNA; the pid file, spec.json and exit.json in a record belong to
// packages pidfile and supervisor.
package state
