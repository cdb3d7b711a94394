// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"os"
	"path/filepath"
)

// NomadEnv names another Nomad than the pinned one, which is in the directory with the
// other programs: `make e2e NOMAD=/path/to/nomad`.
const NomadEnv = "LSDYNA_NOMAD"

// NomadPath returns the full path of the Nomad that agents run.
func NomadPath(bin string) (string, error) {
	if path := os.Getenv(NomadEnv); path != "" {
		return filepath.Abs(path)
	}
	return filepath.Abs(filepath.Join(bin, "nomad"))
}
