// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rank

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// NoLeader is the argument of a rank that is not on the leading node: its launch daemon's
// environment is its node's.
const NoLeader = "-"

// plain are the variables that a launcher needs and may tell others: it sends its
// environment to the other nodes, over a connection that is not encrypted. A name that
// ends with * stands for all that begin so.
var plain = []string{
	"PATH", "LD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TMPDIR", "TZ", "LANG", "LC_*",
	"OMP_*", "KMP_*", "MKL_*", "I_MPI_*", "HYDRA_*", "MPICH_*", "MPIR_*", "MPIEXEC_*", "MPI_*", "PMI_*", "FI_*", "UCX_*", "PSM2_*", "PSM3_*",
	"NOMAD_DRIVER_LSDYNA_*",
}

// Plain leaves of an environment what a launcher may tell others: not the licence's
// variables, nor what a job has that the driver does not know. Each rank has all of its
// own node's all the same.
func Plain(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return !slices.ContainsFunc(plain, func(allowed string) bool {
			prefix, all := strings.CutSuffix(allowed, "*")
			return name == allowed || all && strings.HasPrefix(name, prefix)
		})
	})
}

// withLeaders adds to a rank's environment what its launcher did not get of that of the
// leader, a process on the same node and of the same user.
func withLeaders(env []string, leader string) ([]string, error) {
	if leader == NoLeader {
		return env, nil
	}
	data, err := os.ReadFile("/proc/" + leader + "/environ")
	if err != nil {
		return nil, fmt.Errorf("read the environment of the run's leader: %w", err)
	}
	has := map[string]bool{}
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		has[name] = true
	}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(data), "\x00"), "\x00") {
		name, _, found := strings.Cut(entry, "=")
		if found && !has[name] && !strings.HasPrefix(name, "NOMAD_DRIVER_LSDYNA_") {
			env = append(env, entry)
		}
	}
	return env, nil
}
