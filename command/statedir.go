// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"cmp"
	"flag"
	"os"
	"path/filepath"
)

// stateDirEnv names the agent's state_dir for all commands, so that nobody has to name it
// again and again on a node where it is not the default.
const stateDirEnv = "NOMAD_DRIVER_LSDYNA_STATE_DIR"

// stateDirFlag adds the flag -state-dir. What it returns reads it after the call was
// parsed.
func stateDirFlag(fs *flag.FlagSet) func() (string, error) {
	dir := fs.String("state-dir", cmp.Or(os.Getenv(stateDirEnv), DefaultStateDir), "")
	return func() (string, error) {
		if *dir == "" {
			return "", usagef("-state-dir is empty; name the agent's state_dir")
		}
		return filepath.Clean(*dir), nil
	}
}
