// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// rankSource is an MPI program whose rank 1 ends as RANK_END says, while rank 0 waits for
// it. Rank 0 writes what a solver does into mes0000.
const rankSource = `#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
	int rank;
	const char *end = getenv("RANK_END");
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (rank == 0) {
		FILE *f = fopen("mes0000", "w");
		fputs("      Date: 04/14/2026      Time: 09:00:00  \n     |  Version : mpp d R14       |\n"
			"    9000 t 1.8000E-02 dt 2.00E-06 write d3plot file            04/14/26 09:01:34\n", f);
		fclose(f);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank == 1 && strcmp(end, "kill") == 0) kill(getpid(), SIGKILL);
	if (rank == 1 && strcmp(end, "segv") == 0) { signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); }
	if (rank == 1 && strcmp(end, "exit") == 0) _exit(3);
	if (rank == 1 && strcmp(end, "abort") == 0) MPI_Abort(MPI_COMM_WORLD, 7);
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Finalize();
	return 0;
}
`

// What a launcher's exit code and words tell of a rank differs from one to the next. The
// launchers are real ones, and the ranks an MPI program, or the stand-in solver.
func TestOutcome_OfRealLaunchers(t *testing.T) {
	for _, launcher := range []struct {
		mpi, cc, run string
		faults       map[string]string // of the stand-in solver, where the library's headers are missing
	}{
		{mpi: "mpich", cc: "mpicc.mpich", run: "mpiexec.hydra"},
		{mpi: "openmpi", cc: "mpicc.openmpi", run: "mpirun.openmpi", faults: map[string]string{
			"kill": "kill=20,rank=1", "segv": "segv=20,rank=1", "exit": "vanish=20,exit_code=3,rank=1",
		}},
	} {
		t.Run(launcher.mpi, func(t *testing.T) {
			mpirun, err := exec.LookPath(launcher.run)
			if err != nil {
				t.Skipf("needs %s", launcher.run)
			}
			base := worldReadable(t)
			source, rank := filepath.Join(base, "rank.c"), filepath.Join(base, "ls-dyna_mpp_d_R14")
			must.NoError(t, os.WriteFile(source, []byte(rankSource), 0o644))
			out, err := exec.CommandContext(t.Context(), launcher.cc, "-o", rank, source).CombinedOutput()
			standsIn := err != nil && launcher.faults != nil
			if err != nil && !standsIn {
				t.Skipf("needs %s and its library's headers: %v\n%s", launcher.cc, err, out)
			}
			if standsIn {
				must.NoError(t, os.Symlink(standin, rank))
			}
			mute := filepath.Join(base, "mute") // a launcher whose words are lost
			must.NoError(t, os.WriteFile(mute, []byte("#!/bin/sh\nexec "+mpirun+" \"$@\" >/dev/null 2>&1\n"), 0o755))
			n := newNode(t, func(c *settings.Config) {
				c.Solvers["mpp"] = settings.SolverConfig{Path: rank, Parallel: "mpp", MPI: launcher.mpi, MPIRun: mpirun}
				c.Solvers["mute"] = settings.SolverConfig{Path: rank, Parallel: "mpp", MPI: launcher.mpi, MPIRun: mute}
			})
			for end, c := range map[string]struct {
				want        output.Kind
				words, mute string // with the launcher's words, and by its exit code alone; "" where that tells another end
			}{
				"kill":  {output.Killed, "signal 9", "signal 9 (SIGKILL)"},
				"segv":  {output.Failed, "signal 11", "signal 11 (SIGSEGV)"},
				"exit":  {output.Failed, "exit code 3", ""},
				"abort": {output.Failed, "MPI_", ""},
			} {
				for solver, words := range map[string]string{"mpp": c.words, "mute": c.mute} {
					fault := launcher.faults[end]
					if words == "" || standsIn && fault == "" {
						continue
					}
					t.Run(end+", "+solver, func(t *testing.T) {
						j := job{config: "solver = \"" + solver + "\"\nncpu = 2\nmemory = \"20m\"", env: map[string]string{"RANK_END": end}, files: map[string]string{"main.k": "*NODE\n"}}
						if standsIn {
							j.env, j.files = map[string]string{"STANDIN_FAULT": fault}, nil
						}
						r := n.start(j)
						result := r.wait()
						t.Logf("exit code %d: %v", result.ExitCode, result.Err)
						must.ErrorContains(t, result.Err, words)
						past := r.history()
						must.Eq(t, c.want, past[len(past)-1].Outcome)
					})
				}
			}
		})
	}
}
