// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package watchdog decides when a run passes a bound that its job has set for its health:
// energy ratio, hourglass energy, added mass, time step, silence. It touches nothing; what
// follows from a bound that was passed is the task's.
package watchdog
