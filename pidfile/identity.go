// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package pidfile

import "github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"

// Solver returns the identity of the recorded process.
func (r Record) Solver() procfs.Identity {
	return procfs.Identity{PID: r.PID, StartTicks: r.StartTime, BootID: r.BootID}
}

// Supervisor returns the identity of its parent.
func (r Record) Supervisor() procfs.Identity {
	return procfs.Identity{PID: r.SupervisorPID, StartTicks: r.SupervisorStartTime, BootID: r.BootID}
}

// Alive reports whether the process of this record still runs (procfs.Identity).
func (r Record) Alive(procRoot string) bool { return r.Solver().Alive(procRoot) }

// SupervisorAlive is Alive for the recorded supervisor.
func (r Record) SupervisorAlive(procRoot string) bool { return r.Supervisor().Alive(procRoot) }

// Contradicts reports whether the record names other processes than a trusted
// one of the same run. What either does not say contradicts nothing.
func (r Record) Contradicts(trusted Record) bool {
	differ := func(a, b uint64) bool { return a != 0 && b != 0 && a != b }
	return differ(uint64(r.PID), uint64(trusted.PID)) || differ(r.StartTime, trusted.StartTime) ||
		r.BootID != "" && trusted.BootID != "" && r.BootID != trusted.BootID ||
		differ(uint64(r.SupervisorPID), uint64(trusted.SupervisorPID)) || differ(r.SupervisorStartTime, trusted.SupervisorStartTime)
}
