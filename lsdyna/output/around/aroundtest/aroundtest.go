// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package aroundtest has what launchers print about the first rank that failed.
package aroundtest

// Of rank 1 of a run over two nodes, which was killed. Open MPI 5 wraps its line.
const (
	OpenMPI  = "mpirun noticed that process rank 1 with PID 0 on node lsdyna-node-1-crash02 exited on signal 9 (Killed).\n"
	OpenMPI5 = "prterun noticed that process rank 1 with PID 4711 on node lsdyna-node-1-crash02 exited on\nsignal 9 (Killed).\n"
	IntelMPI = "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n=   RANK 1 PID 4711 RUNNING AT lsdyna-node-1-crash02\n=   KILLED BY SIGNAL: 9 (Killed)\n"
)

// SIGTERM is what the Fortran runtime prints in a rank that SIGTERM ended.
const SIGTERM = "forrtl: error (78): process killed (SIGTERM)\n"

// Hydra is what MPICH's launcher prints about a rank, with the exit code and what it says
// of the signal, which may be nothing.
func Hydra(code, signal string) string {
	text := "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n" +
		"=   PID 4711 RUNNING AT lsdyna-node-1-crash02\n" +
		"=   EXIT CODE: " + code + "\n" +
		"=   CLEANING UP REMAINING PROCESSES\n"
	if signal != "" {
		text += "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: " + signal + "\n"
	}
	return text
}
