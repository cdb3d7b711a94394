// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"fmt"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

// endPatience is how long a single process may take to go after SIGKILL.
const endPatience = 5 * time.Second

// EndProcess kills one process, if it still is the one that was recorded, and
// waits until it is gone.
func EndProcess(id procfs.Identity) error {
	w, alive := watchProcess(id)
	if !alive {
		return nil
	}
	defer w.close()
	if err := w.kill(); err != nil {
		return fmt.Errorf("end process %d: %w", id.PID, err)
	}
	if !w.endsWithin(endPatience) {
		return fmt.Errorf("end process %d: %w", id.PID, ErrNotEnded)
	}
	return nil
}
